"""What a recipe's stages are handed when they are made: everything that touches the world beyond their rows."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ostensive.chat.access import ChatSettings
from ostensive.chat.records import Chat
from ostensive.chat.scripted import Script
from ostensive.images.loader import ImageLoader
from ostensive.models.pool import GeneratorPool
from ostensive.recipe import RunSettings


@dataclass(frozen=True, slots=True)
class Services:
    """The loader of pixels, the opener of chat models, models that are shared, and how many threads to use."""

    images: ImageLoader
    open_chat: Callable[[ChatSettings, Script], Chat]  # the script is what a scripted model says
    generators: GeneratorPool  # the teacher and the verbalizers use one model where they name the same
    threads: int
    stop: threading.Event


def thread_count(settings: RunSettings) -> int:
    """The threads asked for, or one for each core this process may use."""
    if settings.threads is not None:
        return settings.threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
