"""Services for stages that ask no model, or one that a test hands in."""

import threading
from collections.abc import Callable
from typing import Any, NoReturn

from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.run.services import Services


def no_model(*_asked: object) -> NoReturn:
    raise AssertionError("a model is opened in a test that has none")


def plain_services(
    stop: threading.Event | None = None, *, threads: int = 2, open_chat: Callable[..., Any] = no_model
) -> Services:
    return Services(ImageLoader(IntakeSettings()), open_chat, threads, stop or threading.Event())
