"""What is certainly so of boxes, what is certainly not, and what is too close to say.

Two sources meet here: the relations of scenes, by the middles of things, and the facts that the scripted teacher writes
about, under the names which its own table of wordings gives them. Teachers see corners rounded to two decimals and keep
margins of their own (`builders.localized.facts`); the limits below are those margins less what rounding can take away,
so that whatever is written with the margin is certain here. Exact comparison was given up for relations: no eye sees a
hundredth, and a hair's breadth is no reason to call a sentence true or false.
"""

import math
from collections.abc import Callable, Sequence

from microworld.scenes import MARGIN
from ostensive.records import Box

_BESIDE = 0.04  # between middles: 0.05 less two roundings of a middle
_CENTRAL = 0.035  # of distances from the middle of the view: 0.05 less two roundings of both axes
_GAP = 0.01  # between edges: 0.02 less two roundings
_LARGER = 1.5  # times the area
_BARELY = 0.005  # by which an edge has to pass another before it is beyond it

Sided = ("left of", "right of", "above", "below")


def beside(one: Box, relation: str, other: Box) -> bool | None:
    """Whether the middle of one box is left of, right of, above or below that of another; None within `MARGIN`."""
    (x1, y1), (x2, y2) = one.center, other.center
    lead = {"left of": x2 - x1, "right of": x1 - x2, "above": y2 - y1, "below": y1 - y2}[relation]
    return None if abs(lead) < MARGIN else lead > 0


def within(one: Box, other: Box) -> float:
    """The least distance of an edge of `one` from the same edge of `other`; negative where it sticks out."""
    return min(one.x1 - other.x1, one.y1 - other.y1, other.x2 - one.x2, other.y2 - one.y2)


def _clear(lead: float, margin: float) -> bool | None:
    return None if abs(lead) < margin else lead > 0


def _gap(first_end: float, second_begin: float) -> bool | None:
    return _clear(second_begin - first_end, _GAP)


def _larger(a: Box, b: Box) -> bool | None:
    return None if 1 / _LARGER <= a.area / b.area <= _LARGER else a.area > b.area


def _off_middle(box: Box) -> float:
    return math.hypot(box.center[0] - 0.5, box.center[1] - 0.5)


def _inside(a: Box, b: Box) -> bool | None:
    inner = within(a, b)
    return True if inner >= 0 else False if inner < -_BARELY else None


def _cross(a: Box, b: Box) -> bool | None:
    across = min(a.x2, b.x2) - max(a.x1, b.x1)
    down = min(a.y2, b.y2) - max(a.y1, b.y1)
    inner = max(within(a, b), within(b, a))
    if min(across, down) < -_BARELY or inner > _BARELY:
        return False
    return True if min(across, down) > _BARELY and inner < 0 else None


def _half(edge: float, middle: float) -> bool | None:
    """A side of the view: an edge that does not pass the middle; no more than half of the box may be beyond it."""
    return True if edge <= 0.5 else False if middle > 0.5 else None


SINGLE: dict[str, Callable[[Box], bool | None]] = {
    "on_left": lambda a: _half(a.x2, a.center[0]),
    "on_right": lambda a: _half(1 - a.x1, 1 - a.center[0]),
    "upper": lambda a: _half(a.y2, a.center[1]),
    "lower": lambda a: _half(1 - a.y1, 1 - a.center[1]),
    "small": lambda a: a.area < 0.1,
    "big": lambda a: a.area > 0.25,
    "narrow": lambda a: a.x2 - a.x1 < 0.25,
    "broad": lambda a: a.x2 - a.x1 > 0.5,
    "low": lambda a: a.y2 - a.y1 < 0.25,
    "tall": lambda a: a.y2 - a.y1 > 0.5,
}
PAIR: dict[str, Callable[[Box, Box], bool | None]] = {
    "left": lambda a, b: _clear(b.center[0] - a.center[0], _BESIDE),
    "above": lambda a, b: _clear(b.center[1] - a.center[1], _BESIDE),
    "larger": _larger,
    "central": lambda a, b: _clear(_off_middle(b) - _off_middle(a), _CENTRAL),
    "inside": _inside,
    "overlap": _cross,
    "apart_across": lambda a, b: _gap(a.x2, b.x1),
    "apart_down": lambda a, b: _gap(a.y2, b.y1),
}
# Of one box beside each of the others: an extreme is what stands so to all of them.
EXTREME: dict[str, Callable[[Box, Box], bool | None]] = {
    "leftmost": PAIR["left"],
    "rightmost": lambda a, b: PAIR["left"](b, a),
    "largest": _larger,
    "smallest": lambda a, b: _larger(b, a),
}
FACTS = frozenset((*SINGLE, *PAIR, *EXTREME))
"""The names of the facts, each as the scripted teacher's table of wordings has it."""


def holds(fact: str, a: Box, b: Box | None, others: Sequence[Box]) -> bool | None:
    """Whether a fact holds of `a`, of `a` and `b`, or of `a` among `others`; None where it is too close to say."""
    if fact in SINGLE:
        return SINGLE[fact](a)
    if fact in PAIR:
        assert b is not None, f"{fact} is about two boxes"
        return PAIR[fact](a, b)
    single = [EXTREME[fact](a, other) for other in others]
    return False if False in single else None if None in single else True
