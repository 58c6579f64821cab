"""Services for stages that ask no model."""

import threading
from typing import NoReturn

from ostensive.images.loader import ImageLoader
from ostensive.models.pool import GeneratorPool
from ostensive.recipe import IntakeSettings
from ostensive.run.services import Services


def plain_services(stop: threading.Event | None = None, threads: int = 2) -> Services:
    def open_chat(*_asked: object) -> NoReturn:
        raise AssertionError("a model is opened in a test that has none")

    return Services(ImageLoader(IntakeSettings()), open_chat, GeneratorPool(), threads, stop or threading.Event())
