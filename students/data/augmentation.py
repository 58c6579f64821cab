"""What becomes of a row that is seen once more: cut-out, flip, shown regions, numbers. All of it is pure.

LSKD (appendix on training, and its code) numbers regions at random and varies how many are shown; its code crops, flips
and recolours the picture after the boxes were drawn, so that a box that a text mentions may be cut away and "left" be
false. Here geometry comes first, keeps what is mentioned, and boxes follow it; drawing comes last.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from ostensive.records import Box, Region
from students.data.settings import AugmentationSettings
from students.data.sides import may_flip

_LEAST_VISIBLE: Final = 0.5  # of a region that is not mentioned, for it to be shown on a cut-out
_LEAST_SIDE: Final = 1e-9  # of a box, in shares of the picture: what rounding may leave of a very thin one
_NUMBER: Final = re.compile(r"\[(0|[1-9][0-9]*)\]")


@dataclass(frozen=True, slots=True)
class PixelCrop:
    """A part of a picture in whole pixels; right and bottom are the first outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Geometry:
    """What happens to a picture of `source` pixels (width, height): it is cut, brought to `size`, maybe mirrored."""

    source: tuple[int, int]
    crop: PixelCrop
    size: tuple[int, int]
    is_flipped: bool


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A draw for one row: `regions` are those to be drawn, on the new picture and under their new numbers."""

    geometry: Geometry
    regions: tuple[Region, ...]
    numbers: Mapping[int, int]  # the new number of each shown region by its old one


def augment(
    regions: Sequence[Region],
    mentioned: Collection[int],
    texts: Sequence[str],
    *,
    size: tuple[int, int],
    settings: AugmentationSettings,
    draw: Random,
) -> Augmentation:
    """A draw for a row with these `texts` about a picture of `size` (width, height) pixels with all its `regions`.

    Every region of `mentioned` is shown whole; a number that is none of a region stays as it is, and no region is given
    it. The same state of `draw` gives the same.
    """
    named = [region for region in regions if region.number in mentioned]
    crop = _crop(size, [region.box for region in named], settings, draw)
    is_flipped = draw.random() < settings.flip and may_flip(texts)
    geometry = Geometry(size, crop, _fitted((crop.width, crop.height), settings.max_side), is_flipped)
    others = [
        region
        for region in regions
        if region.number not in mentioned and visible_share(region.box, geometry) >= _LEAST_VISIBLE
    ]
    if draw.random() < settings.mentioned_only or not others:
        others = []
    else:
        others = draw.sample(others, draw.randint(1, len(others)))
    shown = [*named, *others]
    numbers = {region.number: region.number for region in shown}
    if settings.renumber:
        kept = {number for text in texts for number in numbers_in(text)} - numbers.keys()
        numbers = dict(zip(numbers, _free_numbers(len(shown), kept, draw), strict=True))
    moved = (replace(region, number=numbers[region.number], box=moved_box(region.box, geometry)) for region in shown)
    return Augmentation(geometry, tuple(sorted(moved, key=lambda region: region.number)), numbers)


def renumbered(text: str, numbers: Mapping[int, int]) -> str:
    """`text` with each `[k]` that is a key of `numbers` replaced by its value, all at once."""
    return _NUMBER.sub(lambda found: f"[{numbers.get(int(found[1]), found[1])}]", text)


def numbers_in(text: str) -> list[int]:
    """The numbers that stand as `[k]` in a text, in order."""
    return [int(number) for number in _NUMBER.findall(text)]


def moved_box(box: Box, geometry: Geometry) -> Box:
    """Where `box` lies on the new picture; what is outside of it is cut off."""
    x1, x2 = _along(box.x1, box.x2, geometry.source[0], geometry.crop.left, geometry.crop.width)
    y1, y2 = _along(box.y1, box.y2, geometry.source[1], geometry.crop.top, geometry.crop.height)
    if geometry.is_flipped:
        x1, x2 = 1 - x2, 1 - x1
    (left, right), (top, bottom) = _apart(x1, x2), _apart(y1, y2)
    return Box(left, top, right, bottom)


def visible_share(box: Box, geometry: Geometry) -> float:
    """How much of `box` is on the new picture, 0-1 of its area."""
    width, height = geometry.source
    crop = geometry.crop
    shared_x = min(box.x2 * width, crop.right) - max(box.x1 * width, crop.left)
    shared_y = min(box.y2 * height, crop.bottom) - max(box.y1 * height, crop.top)
    whole = box.area * width * height
    return max(shared_x, 0.0) * max(shared_y, 0.0) / whole if whole > 0 else 0.0


def _crop(size: tuple[int, int], kept: Sequence[Box], settings: AugmentationSettings, draw: Random) -> PixelCrop:
    """A part of a picture by lot, with all of `kept` in it: as wide and high as they need at least."""
    width, height = size
    area = draw.uniform(settings.min_crop_area, 1.0)
    stretch = math.exp(draw.uniform(-1.0, 1.0) * math.log(settings.max_stretch))
    left, right = _side(width, math.sqrt(area * stretch), [(box.x1, box.x2) for box in kept], draw.random())
    top, bottom = _side(height, math.sqrt(area / stretch), [(box.y1, box.y2) for box in kept], draw.random())
    return PixelCrop(left, top, right, bottom)


def _side(length: int, share: float, kept: Sequence[tuple[float, float]], place: float) -> tuple[int, int]:
    """Where a part of about `share` begins and ends along a side; `place`, 0-1, is where among what is possible."""
    first = min((math.floor(start * length) for start, _ in kept), default=length)
    last = max((math.ceil(end * length) for _, end in kept), default=0)
    part = min(max(round(share * length), last - first, 1), length)
    lowest, highest = max(last - part, 0), min(first, length - part)
    begin = lowest + min(int(place * (highest - lowest + 1)), highest - lowest)
    return begin, begin + part


def _along(start: float, end: float, length: int, left: int, part: int) -> tuple[float, float]:
    """A stretch of 0-1 of `length` pixels in shares of the `part` that begins at `left`."""
    found = [(place * length - left) / part for place in (start, end)]
    return min(max(found[0], 0.0), 1.0), min(max(found[1], 0.0), 1.0)


def _apart(start: float, end: float) -> tuple[float, float]:
    """The two at least a hair apart, within 0-1."""
    start = min(start, 1 - _LEAST_SIDE)
    return start, max(end, start + _LEAST_SIDE)


def _fitted(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """`size` made smaller, its proportions kept, so that no side is longer than `max_side`."""
    if max_side is None or max(size) <= max_side:
        return size
    factor = max_side / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _free_numbers(count: int, taken: Collection[int], draw: Random) -> list[int]:
    """The lowest `count` numbers that are not `taken`, in an order by lot."""
    free: list[int] = []
    number = 0
    while len(free) < count:
        if number not in taken:
            free.append(number)
        number += 1
    draw.shuffle(free)
    return free
