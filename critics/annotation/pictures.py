"""The images that the page may show: those of the run that have something to judge, with their regions drawn.

An image is asked for by its content hash and looked up in a table, so that no name in a request ever becomes a path;
what is read must have that hash, so that nothing else can be served in its place.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL.Image import Image, Resampling

from ostensive.images.drawing import draw_regions
from ostensive.images.loader import ImageLoader
from ostensive.records import ImageRecord, Region, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder

MAX_SIDE_PX: Final = 1600
MIN_SIDE_PX: Final = 480
JPEG_QUALITY: Final = 90
_PICTURES_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Subject:
    """An image with the regions that a text about it may mention."""

    image: ImageRecord
    regions: tuple[Region, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its regions."""
        return tuple(region.number for region in self.regions)


def read_subjects(run: RunFolder, image_ids: Collection[str]) -> dict[str, Subject]:
    """Those of the images that the run has, by id."""
    wanted = set(image_ids)
    regions: dict[str, tuple[Region, ...]] = {}
    for path in run.paths_of(Verbalization):
        if wanted.intersection(_image_ids(path)):
            regions.update({text.image_id: text.regions for text in partitions.read_kept(path, Verbalization)})
    subjects = {}
    for path in run.paths_of(ImageRecord):
        if wanted.intersection(_image_ids(path)):
            for image in partitions.read_kept(path, ImageRecord):
                if image.image_id in wanted:
                    subjects[image.image_id] = Subject(image, regions.get(image.image_id, ()))
    return subjects


def _image_ids(path: Path) -> list[str]:
    return partitions.read_column(path, "image_id", kept_only=True)


class Pictures:
    """Draws images as JPEG; the last few are kept, since two annotators look at the same ones. Safe for any thread."""

    def __init__(self, subjects: dict[str, Subject], loader: ImageLoader) -> None:
        self.subjects = subjects
        self._loader = loader
        self._kept: OrderedDict[tuple[str, tuple[int, ...]], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def jpeg(self, image_id: str, numbers: Sequence[int]) -> bytes:
        """The image with the regions of these numbers on it, its longer side from `MIN_SIDE_PX` to `MAX_SIDE_PX`.

        Raises `KeyError` for an image or a number that is not known, and `ImageChangedError`.
        """
        subject = self.subjects[image_id]
        chosen = tuple(sorted(set(numbers)))
        if missing := set(chosen) - set(subject.numbers):
            raise KeyError(min(missing))
        with self._lock:
            if (image_id, chosen) in self._kept:
                self._kept.move_to_end((image_id, chosen))
                return self._kept[image_id, chosen]
        data = self._drawn(subject, chosen)
        with self._lock:
            self._kept[image_id, chosen] = data
            while len(self._kept) > _PICTURES_KEPT:
                self._kept.popitem(last=False)
        return data

    def _drawn(self, subject: Subject, numbers: Sequence[int]) -> bytes:
        # Brought to size first, so that outlines and digits are drawn as large as they are looked at.
        pixels = _sized(self._loader.load(subject.image))
        drawn = draw_regions(pixels, [region for region in subject.regions if region.number in numbers])
        sink = io.BytesIO()
        drawn.save(sink, "JPEG", quality=JPEG_QUALITY)
        return sink.getvalue()


def _sized(pixels: Image) -> Image:
    """A large image made smaller, a very small one enlarged by a whole factor, which invents nothing."""
    longer = max(pixels.size)
    if longer > MAX_SIDE_PX:
        pixels.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    elif longer < MIN_SIDE_PX:
        factor = -(-MIN_SIDE_PX // longer)
        return pixels.resize((pixels.width * factor, pixels.height * factor), Resampling.NEAREST)
    return pixels
