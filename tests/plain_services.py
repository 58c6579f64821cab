"""Services for stages: those that ask no model, or one that a test hands in, and those with a journal."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.run.services import Services, ServiceSettings, open_services


def no_model(*_asked: object) -> NoReturn:
    raise AssertionError("a model is opened in a test that has none")


def plain_services(
    stop: threading.Event | None = None, *, threads: int = 2, open_chat: Callable[..., Any] = no_model
) -> Services:
    return Services(ImageLoader(IntakeSettings()), open_chat, threads, stop or threading.Event())


@contextmanager
def journaled_services(
    journal: Path, *, stop: threading.Event | None = None, max_requests: int | None = None
) -> Iterator[Services]:
    """Services through which models on this machine and servers are asked."""
    settings = ServiceSettings(
        intake=IntakeSettings(), threads=2, journal=journal, run_id="run", max_requests=max_requests
    )
    with open_services(settings, stop or threading.Event()) as services:
        yield services
