"""What is certainly true of boxes that are known to two decimals: the matter of which the scripted teacher writes.

Corners in a prompt are rounded, so that each may be 0.005 off. A relation counts only when it holds for every box that
rounds to the given one, and by a margin that an eye would see.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ROUNDING = 0.005
_VISIBLE = 0.05
_GAP = 0.02
_LARGER = 1.5


@dataclass(frozen=True, slots=True)
class NotedBox:
    """A box as a prompt gives it: corners 0-1, two decimals; rounding may have made it a line."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class _Measured:
    """A box and its measures: the least and the most that any box which rounds to this one can have."""

    box: NotedBox
    center_x: float
    center_y: float
    from_middle: float  # of its centre to the middle of the view; each axis counts 0-1
    least_width: float
    most_width: float
    least_height: float
    most_height: float
    least_area: float
    most_area: float


def _measured(box: NotedBox) -> _Measured:
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    width, height = box.x2 - box.x1, box.y2 - box.y1
    least_width, least_height = max(width - 2 * _ROUNDING, 0.0), max(height - 2 * _ROUNDING, 0.0)
    most_width, most_height = max(width + 2 * _ROUNDING, 0.0), max(height + 2 * _ROUNDING, 0.0)
    return _Measured(
        box,
        x,
        y,
        math.hypot(x - 0.5, y - 0.5),
        least_width,
        most_width,
        least_height,
        most_height,
        least_width * least_height,
        most_width * most_height,
    )


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that holds of box `a`, or of boxes `a` and `b`, by their places in the list."""

    kind: str
    a: int
    b: int = -1  # -1 for facts about one box


def facts_of(boxes: Sequence[NotedBox]) -> list[Fact]:
    """Every fact about the boxes, in a fixed order."""
    all_measured = [_measured(box) for box in boxes]
    found = [Fact(kind, a) for a, measured in enumerate(all_measured) for kind in _single_kinds(measured)]
    for a, first in enumerate(all_measured):
        for b, second in enumerate(all_measured):
            if a != b:
                found += [Fact(kind, a, b) for kind in _pair_kinds(first, second) if kind != "overlap" or a < b]
    return found + (_extremes(all_measured) if len(boxes) >= 3 else [])


def _single_kinds(measured: _Measured) -> list[str]:
    box = measured.box
    holds = {
        "on_left": box.x2 + _ROUNDING <= 0.5,
        "on_right": box.x1 - _ROUNDING >= 0.5,
        "upper": box.y2 + _ROUNDING <= 0.5,
        "lower": box.y1 - _ROUNDING >= 0.5,
        "small": measured.most_area < 0.1,
        "big": measured.least_area > 0.25,
        "narrow": measured.most_width < 0.25,
        "broad": measured.least_width > 0.5,
        "low": measured.most_height < 0.25,
        "tall": measured.least_height > 0.5,
    }
    return [kind for kind, true in holds.items() if true]


def _pair_kinds(first: _Measured, second: _Measured) -> list[str]:
    a, b = first.box, second.box
    kinds = []
    if first.center_x + _VISIBLE < second.center_x:
        kinds.append("left")
    if first.center_y + _VISIBLE < second.center_y:
        kinds.append("above")
    if first.least_area > _LARGER * second.most_area:
        kinds.append("larger")
    if first.from_middle + _VISIBLE < second.from_middle:
        kinds.append("central")
    if b.x1 - a.x2 > _GAP:
        kinds.append("apart_across")
    if b.y1 - a.y2 > _GAP:
        kinds.append("apart_down")
    if min(a.x2, b.x2) - max(a.x1, b.x1) > _GAP and min(a.y2, b.y2) - max(a.y1, b.y1) > _GAP:
        if _within(a, b, 2 * _ROUNDING):
            kinds.append("inside")
        elif not _within(a, b, -2 * _ROUNDING) and not _within(b, a, -2 * _ROUNDING):
            kinds.append("overlap")
    return kinds


def _within(a: NotedBox, b: NotedBox, margin: float) -> bool:
    """Whether `a` lies in `b` with at least `margin` to each side; a negative margin lets it stick out."""
    return a.x1 - b.x1 >= margin and a.y1 - b.y1 >= margin and b.x2 - a.x2 >= margin and b.y2 - a.y2 >= margin


def _extremes(boxes: Sequence[_Measured]) -> list[Fact]:
    places = range(len(boxes))
    across = sorted(places, key=lambda k: boxes[k].center_x)
    found = []
    if boxes[across[0]].center_x + _VISIBLE < boxes[across[1]].center_x:
        found.append(Fact("leftmost", across[0]))
    if boxes[across[-2]].center_x + _VISIBLE < boxes[across[-1]].center_x:
        found.append(Fact("rightmost", across[-1]))
    largest = max(places, key=lambda k: boxes[k].least_area)
    if all(boxes[largest].least_area > _LARGER * boxes[k].most_area for k in places if k != largest):
        found.append(Fact("largest", largest))
    smallest = min(places, key=lambda k: boxes[k].most_area)
    if all(boxes[k].least_area > _LARGER * boxes[smallest].most_area for k in places if k != smallest):
        found.append(Fact("smallest", smallest))
    return found
