"""Where the number of a region goes: beside its box, inside the image, and over no small region.

Pure geometry on whole pixels. Small regions choose first, for they have the fewest good places; each takes the cheapest
of the places around its box, and a place elsewhere only where all of those hide something. In a fixed corner, as most
drawing helpers have it, a number would hide a box smaller than itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Our own numbers. A region is taken for hidden from this share on; hiding and clashing outweigh everything else.
_HIDDEN_SHARE = 0.5
_FORBIDDEN_COST, _COVER_COST, _RANK_COST, _FAR_COST = 100.0, 4.0, 0.1, 2.0
_GRID_STEPS = 32  # places along a side that are tried when all around the box are bad


@dataclass(frozen=True, slots=True, order=True)
class PixelBox:
    """A box in whole pixels, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        return max(self.right - self.left, 0) * max(self.bottom - self.top, 0)

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """`(left, top, right, bottom)`, as Pillow takes it for cropping and pasting."""
        return self.left, self.top, self.right, self.bottom

    def shared(self, other: "PixelBox") -> int:
        """Pixels that are in both."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)


@dataclass(frozen=True, slots=True)
class TagSize:
    """Width and height of a number with its backing, in pixels."""

    width_px: int
    height_px: int


def place_tags(boxes: Sequence[PixelBox], sizes: Sequence[TagSize], width: int, height: int) -> list[PixelBox]:
    """A place for each of `sizes` by its box, inside a `width` x `height` image, in the order given.

    No tag hides half of a region or touches another tag unless every place tried does, as where regions fill the image.
    Tags are to be no larger than the image.
    """
    order = sorted(range(len(boxes)), key=lambda index: (boxes[index].area, boxes[index], index))
    placed: dict[int, PixelBox] = {}
    for index in order:
        placed[index] = _best_place(index, boxes, sizes[index], list(placed.values()), PixelBox(0, 0, width, height))
    return [placed[index] for index in range(len(boxes))]


def _best_place(
    index: int, boxes: Sequence[PixelBox], size: TagSize, taken: Sequence[PixelBox], image: PixelBox
) -> PixelBox:
    def cost(place: PixelBox) -> float:
        clashes = any(place.shared(tag) for tag in taken)
        shares = [place.shared(box) / max(box.area, 1) for box in boxes]
        hides = any(share >= _HIDDEN_SHARE for share in shares)
        others = max((share for other, share in enumerate(shares) if other != index), default=0.0)
        return _FORBIDDEN_COST * (clashes + hides) + _COVER_COST * others

    ranked: list[tuple[float, int, PixelBox]] = []
    for rank, place in enumerate(_places_around(boxes[index], size, image)):
        if ranked and min(ranked)[0] <= _RANK_COST * rank:
            break  # no later place can be cheaper, whatever it costs beside its rank
        ranked.append((cost(place) + _RANK_COST * rank, rank, place))
    if min(ranked)[0] >= _FORBIDDEN_COST:
        ranked += [
            (cost(place) + _FAR_COST * _distance(place, boxes[index]) / size.height_px, len(ranked), place)
            for place in _places_anywhere(size, image)
        ]
    return min(ranked)[2]


def _places_around(box: PixelBox, size: TagSize, image: PixelBox) -> Iterator[PixelBox]:
    """Outside first, then the inner corners; moved into the image where they would stand out of it."""
    width, height = size.width_px, size.height_px
    starts = (
        (box.left, box.top - height),
        (box.left, box.bottom),
        (box.right, box.top),
        (box.left - width, box.top),
        (box.right - width, box.top - height),
        (box.right - width, box.bottom),
        (box.right, box.bottom - height),
        (box.left - width, box.bottom - height),
        (box.left, box.top),
        (box.right - width, box.top),
        (box.left, box.bottom - height),
        (box.right - width, box.bottom - height),
    )
    for left, top in starts:
        yield _inside(left, top, size, image)


def _places_anywhere(size: TagSize, image: PixelBox) -> Iterator[PixelBox]:
    for row in range(_GRID_STEPS + 1):
        for column in range(_GRID_STEPS + 1):
            left = (image.right - size.width_px) * column // _GRID_STEPS
            yield _inside(left, (image.bottom - size.height_px) * row // _GRID_STEPS, size, image)


def _inside(left: int, top: int, size: TagSize, image: PixelBox) -> PixelBox:
    left = max(min(left, image.right - size.width_px), 0)
    top = max(min(top, image.bottom - size.height_px), 0)
    return PixelBox(left, top, left + size.width_px, top + size.height_px)


def _distance(place: PixelBox, box: PixelBox) -> int:
    """Pixels between two boxes, the larger of across and down; 0 where they touch."""
    across = max(place.left - box.right, box.left - place.right, 0)
    return max(across, place.top - box.bottom, box.top - place.bottom)
