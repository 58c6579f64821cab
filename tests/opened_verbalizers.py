"""What verbalizers are made and opened with in tests."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from PIL import Image
from plain_services import plain_services

from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.records import ImageRecord
from ostensive.run.services import Services, ServiceSettings, open_services
from verbalizers.base import Verbalizer, VerbalizerContext, open_workers

CONTEXT = VerbalizerContext(seed=0)
VerbalizerT = TypeVar("VerbalizerT", bound=Verbalizer)
Load = Callable[[ImageRecord], Image.Image]


class FileLoader(ImageLoader):
    """Decodes by a function, whatever the content hash of a record says."""

    def __init__(self, load: Load) -> None:
        super().__init__(IntakeSettings())
        self._load_record = load

    def load(self, image: ImageRecord) -> Image.Image:
        return self._load_record(image)


def load_file(image: ImageRecord) -> Image.Image:
    with Image.open(image.location.path) as picture:
        return picture.convert("RGB")


def services(load: Load = load_file, *, threads: int = 2) -> Services:
    """Services with which nobody can be asked."""
    return replace(plain_services(threads=threads), images=FileLoader(load))


@contextmanager
def journaled_services(
    journal: Path, load: Load = load_file, *, stop: threading.Event | None = None, max_requests: int | None = None
) -> Iterator[Services]:
    """Services with a journal, through which models on this machine and servers are asked."""
    settings = ServiceSettings(
        intake=IntakeSettings(), threads=2, journal=journal, run_id="r", max_requests=max_requests
    )
    with open_services(settings, stop or threading.Event()) as opened:
        yield replace(opened, images=FileLoader(load))


@contextmanager
def opened(verbalizer: VerbalizerT, given: Services | None = None, *, threads: int = 2) -> Iterator[VerbalizerT]:
    """`verbalizer`, open, with threads of its own."""
    with open_workers(threads) as workers, verbalizer.opened(given or services(), workers) as ready:
        yield ready
