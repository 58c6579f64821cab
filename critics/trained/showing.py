"""What a critic is shown: which regions are drawn, on a picture that is decoded once.

A draw depends on the seed, the row and the round alone, so that order, batches and resuming change nothing.
"""

import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: a candidate

import PIL.Image

from critics.trained.settings import BackboneName, ShowingSettings
from critics.trained.texts import triple_text
from ostensive.fingerprint import fingerprint
from ostensive.images.drawing import draw_regions
from ostensive.models.pictures import shrunk
from ostensive.records import ImageRecord, Region

MENTIONED_ALONE_SHARE: Final = 0.6
"""Of the triples in `mixed`: LSKD's repository, the critic's data set."""
_CACHE_BYTES: Final = 512 << 20
APPLIED: Final = -1
"""The round of training in which a critic is not trained but applied."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One triple as a critic is given it."""

    row_id: str
    image: ImageRecord
    regions: tuple[Region, ...]  # to be drawn
    text: str


@dataclass(frozen=True, slots=True)
class Showing:
    """How triples are shown: the same at training and after."""

    backbone: BackboneName
    settings: ShowingSettings
    seed: int

    def show(self, candidate: Any, image: ImageRecord, regions: Sequence[Region], epoch: int = APPLIED) -> Shown:
        """`candidate` as it is shown in a round of training, or after it."""
        rng = random.Random(fingerprint([self.seed, candidate.row_id, epoch]))  # noqa: S311 - no secret
        drawn = drawn_regions(candidate.mentions, regions, self.settings, rng)
        return Shown(candidate.row_id, image, drawn, triple_text(candidate, self.backbone))


def drawn_regions(
    mentions: Sequence[int], regions: Sequence[Region], settings: ShowingSettings, rng: random.Random
) -> tuple[Region, ...]:
    """The regions of an image to be drawn for a triple, in the order of their numbers."""
    mentioned = [region for region in regions if region.number in mentions]
    others = [region for region in regions if region.number not in mentions]
    alone = settings.regions == "mentioned"
    if settings.regions == "mixed":
        alone = rng.random() < MENTIONED_ALONE_SHARE
    room = 0 if alone else min(len(others), max(0, settings.max_regions - len(mentioned)))
    return tuple(sorted([*mentioned, *rng.sample(others, room)], key=lambda region: region.number))


class Pictures:
    """Images scaled down for a critic, the last used kept; any number of threads may ask.

    Images are kept as they are before anything is drawn: of one image many triples are judged, each with regions of
    its own.
    """

    def __init__(
        self, load: Callable[[ImageRecord], PIL.Image.Image], side_px: int, *, max_bytes: int = _CACHE_BYTES
    ) -> None:
        self._load = load
        self._side_px = side_px
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, PIL.Image.Image] = OrderedDict()
        self._lock = threading.Lock()

    def drawn(self, shown: Shown) -> PIL.Image.Image:
        """The picture of a triple; raises `ImageChangedError` where the image is no longer what was taken in."""
        return draw_regions(self._picture(shown.image), shown.regions)

    def _picture(self, image: ImageRecord) -> PIL.Image.Image:
        with self._lock:  # held while it is decoded: threads that ask together want the same one
            picture = self._kept.get(image.image_id)
            if picture is None:
                picture = shrunk(self._load(image), self._side_px)
                self._kept[image.image_id] = picture
                self._bytes += _bytes_of(picture)
            self._kept.move_to_end(image.image_id)
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                self._bytes -= _bytes_of(self._kept.popitem(last=False)[1])
            return picture


def _bytes_of(picture: PIL.Image.Image) -> int:
    return 3 * picture.width * picture.height
