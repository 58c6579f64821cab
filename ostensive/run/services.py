"""What a recipe's stages are handed when they are opened: everything that touches the world beyond their rows.

`ServiceSettings` are plain values that pickle, so that a worker in another process opens the same services itself.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ostensive.chat.access import ChatSettings, open_chat
from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.key_permits import KeyPermit, parse_permits, permits_in
from ostensive.chat.prices import load_prices
from ostensive.chat.records import Chat
from ostensive.chat.scripted import Script
from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.models.generator import GeneratorPool
from ostensive.recipe import RunSettings, parse_assignments
from ostensive.run.options import BuildOptions


@dataclass(frozen=True, slots=True)
class Services:
    """The loader of pixels, the opener of models that are asked in words, and how many threads to use."""

    images: ImageLoader
    open_chat: Callable[[ChatSettings, Script], Chat]
    """A served model, one of this machine, or a scripted one, which says what the script says. Those of this machine
    that are named with equal settings are loaded once and shared while they are open."""
    threads: int
    stop: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Where and how the services of a run are opened."""

    intake: IntakeSettings
    threads: int
    journal: Path
    run_id: str  # in whose name answers are journaled
    max_cost_usd: float | None = None
    max_requests: int | None = None
    prices: Path | None = None  # a YAML price table over the built-in one
    permits: Sequence[KeyPermit] = ()  # which keys may go where, as the user has said


@contextmanager
def open_services(settings: ServiceSettings, stop: threading.Event) -> Iterator[Services]:
    """The services of a run in this process; raises `SettingsError` and `StorageError`, before anything is sent."""
    prices = load_prices(settings.prices)
    with Journal(settings.journal, settings.run_id) as journal:
        budget = Budget(
            max_usd=settings.max_cost_usd,
            max_requests=settings.max_requests,
            spent=journal.totals(settings.run_id),
        )
        generators = GeneratorPool()

        def open_model(chat: ChatSettings, script: Script) -> Chat:
            return open_chat(
                chat,
                journal=journal,
                budget=budget,
                stop=stop,
                script=script,
                prices=prices,
                generators=generators,
                threads=settings.threads,
                permits=settings.permits,
            )

        yield Services(ImageLoader(settings.intake), open_model, settings.threads, stop)


def permits_of(options: BuildOptions) -> tuple[KeyPermit, ...]:
    """The user's word on which keys may go where, by `--allow-key` and by settings typed beside the recipe."""
    return (*parse_permits(options.allow_keys), *permits_in(parse_assignments(options.settings)))


def thread_count(settings: RunSettings) -> int:
    """The threads asked for, or one for each core this process may use."""
    if settings.threads is not None:
        return settings.threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
