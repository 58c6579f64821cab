"""What is certainly true of boxes that are known to two decimals: the matter of which the scripted teacher writes.

Corners in a prompt are rounded, so that each may be 0.005 off. A relation counts only when it holds for every box that
rounds to the given one, and by a margin that an eye would see.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ROUNDING = 0.005
"""How far a corner that is given to two decimals can be off."""
VISIBLE = 0.05
"""By how much a middle has to be further left, higher up or nearer the middle of the view than another."""
GAP = 0.02
"""How wide the space between two boxes is, or how deep they reach into each other, at least."""
LARGER = 1.5
"""How many times the area of another a larger box has."""


@dataclass(frozen=True, slots=True)
class PromptBox:
    """A box as a prompt gives it: corners 0-1, two decimals; rounding may have made it a line."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Extent:
    """A box and its measures, all 0-1."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height


SINGLE: Mapping[str, Callable[[Extent], bool]] = {
    "on_left": lambda a: a.x2 <= 0.5,
    "on_right": lambda a: a.x1 >= 0.5,
    "upper": lambda a: a.y2 <= 0.5,
    "lower": lambda a: a.y1 >= 0.5,
    "small": lambda a: a.area < 0.1,
    "big": lambda a: a.area > 0.25,
    "narrow": lambda a: a.width < 0.25,
    "broad": lambda a: a.width > 0.5,
    "low": lambda a: a.height < 0.25,
    "tall": lambda a: a.height > 0.5,
}
"""When a fact about one box is so. What is so of a box and of a larger one around it is so of all between the two."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """A box, and the smallest and the largest that round to it."""

    box: PromptBox
    center_x: float
    center_y: float
    from_middle: float  # of its centre to the middle of the view; each axis counts 0-1
    least: Extent
    most: Extent


def _measured(box: PromptBox) -> _Measured:
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    least, most = _grown(box, -ROUNDING), _grown(box, ROUNDING)
    return _Measured(box, x, y, math.hypot(x - 0.5, y - 0.5), least, most)


def _grown(box: PromptBox, margin: float) -> Extent:
    width, height = (max(side + 2 * margin, 0.0) for side in (box.x2 - box.x1, box.y2 - box.y1))
    return Extent(box.x1 - margin, box.y1 - margin, box.x2 + margin, box.y2 + margin, width, height)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that holds of box `a`, or of boxes `a` and `b`, by their places in the list."""

    kind: str
    a: int
    b: int = -1  # -1 for facts about one box


def facts_of(boxes: Sequence[PromptBox]) -> list[Fact]:
    """Every fact about the boxes, in a fixed order."""
    all_measured = [_measured(box) for box in boxes]
    found = [Fact(kind, a) for a, measured in enumerate(all_measured) for kind in _single_kinds(measured)]
    for a, first in enumerate(all_measured):
        for b, second in enumerate(all_measured):
            if a != b:
                found += [Fact(kind, a, b) for kind in _pair_kinds(first, second) if kind != "overlap" or a < b]
    return found + (_extremes(all_measured) if len(boxes) >= 3 else [])


def _single_kinds(measured: _Measured) -> list[str]:
    return [kind for kind, holds in SINGLE.items() if holds(measured.least) and holds(measured.most)]


def _pair_kinds(first: _Measured, second: _Measured) -> list[str]:
    a, b = first.box, second.box
    kinds = []
    if first.center_x + VISIBLE < second.center_x:
        kinds.append("left")
    if first.center_y + VISIBLE < second.center_y:
        kinds.append("above")
    if first.least.area > LARGER * second.most.area:
        kinds.append("larger")
    if first.from_middle + VISIBLE < second.from_middle:
        kinds.append("central")
    if b.x1 - a.x2 > GAP:
        kinds.append("apart_across")
    if b.y1 - a.y2 > GAP:
        kinds.append("apart_down")
    if min(a.x2, b.x2) - max(a.x1, b.x1) > GAP and min(a.y2, b.y2) - max(a.y1, b.y1) > GAP:
        if _within(a, b, 2 * ROUNDING):
            kinds.append("inside")
        elif not _within(a, b, -2 * ROUNDING) and not _within(b, a, -2 * ROUNDING):
            kinds.append("overlap")
    return kinds


def _within(a: PromptBox, b: PromptBox, margin: float) -> bool:
    """Whether `a` lies in `b` with at least `margin` to each side; a negative margin lets it stick out."""
    return a.x1 - b.x1 >= margin and a.y1 - b.y1 >= margin and b.x2 - a.x2 >= margin and b.y2 - a.y2 >= margin


def _extremes(boxes: Sequence[_Measured]) -> list[Fact]:
    places = range(len(boxes))
    across = sorted(places, key=lambda k: boxes[k].center_x)
    found = []
    if boxes[across[0]].center_x + VISIBLE < boxes[across[1]].center_x:
        found.append(Fact("leftmost", across[0]))
    if boxes[across[-2]].center_x + VISIBLE < boxes[across[-1]].center_x:
        found.append(Fact("rightmost", across[-1]))
    largest = max(places, key=lambda k: boxes[k].least.area)
    if all(boxes[largest].least.area > LARGER * boxes[k].most.area for k in places if k != largest):
        found.append(Fact("largest", largest))
    smallest = min(places, key=lambda k: boxes[k].most.area)
    if all(boxes[k].least.area > LARGER * boxes[smallest].most.area for k in places if k != smallest):
        found.append(Fact("smallest", smallest))
    return found
