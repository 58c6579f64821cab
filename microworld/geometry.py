"""What is certainly so of boxes, what is certainly not, and what is too close to say: the facts a teacher states.

The scripted teacher sees corners rounded to two decimals and keeps margins of its own (`builders.localized.facts`); the
limits below are those margins less what rounding can take away, so that whatever is written with the margin is certain
here. Nothing is compared exactly: no eye sees a hundredth, and a hair's breadth is no reason to call a sentence true or
false.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from builders.localized.facts import GAP, LARGER, ROUNDING, SINGLE, VISIBLE, Extent
from microworld.scenes import within
from ostensive.records import Box

_BESIDE = VISIBLE - 2 * ROUNDING  # between middles
_CENTRAL = VISIBLE - 3 * ROUNDING  # of distances from the middle of the view, each off by both axes
_GAP = GAP - 2 * ROUNDING  # between edges
_BARELY = ROUNDING  # by which an edge has to pass another before it is beyond it


def _clear(lead: float, margin: float) -> bool | None:
    return None if abs(lead) < margin else lead > 0


def _gap(first_end: float, second_begin: float) -> bool | None:
    return _clear(second_begin - first_end, _GAP)


def _larger(a: Box, b: Box) -> bool | None:
    return None if 1 / LARGER <= a.area / b.area <= LARGER else a.area > b.area


def off_middle(box: Box) -> float:
    """How far the centre of a box is from the middle of the view; each axis counts 0-1."""
    return math.hypot(box.center[0] - 0.5, box.center[1] - 0.5)


def shared_side(a: Box, b: Box) -> float:
    """The shorter side of what two boxes have in common; below 0 where they are apart."""
    return min(min(a.x2, b.x2) - max(a.x1, b.x1), min(a.y2, b.y2) - max(a.y1, b.y1))


def _inside(a: Box, b: Box) -> bool | None:
    inner = within(a, b)
    return True if inner >= 0 else False if inner < -_BARELY else None


def _cross(a: Box, b: Box) -> bool | None:
    inner = max(within(a, b), within(b, a))
    if shared_side(a, b) < -_BARELY or inner > _BARELY:
        return False
    return True if shared_side(a, b) > _BARELY and inner < 0 else None


# A box that passes the middle of the view is in neither half, and is certainly in the other when its middle is.
_IN_OTHER_HALF: Mapping[str, Callable[[Box], bool]] = {
    "on_left": lambda a: a.center[0] > 0.5,
    "on_right": lambda a: a.center[0] < 0.5,
    "upper": lambda a: a.center[1] > 0.5,
    "lower": lambda a: a.center[1] < 0.5,
}
PAIR: Mapping[str, Callable[[Box, Box], bool | None]] = {
    "left": lambda a, b: _clear(b.center[0] - a.center[0], _BESIDE),
    "above": lambda a, b: _clear(b.center[1] - a.center[1], _BESIDE),
    "larger": _larger,
    "central": lambda a, b: _clear(off_middle(b) - off_middle(a), _CENTRAL),
    "inside": _inside,
    "overlap": _cross,
    "apart_across": lambda a, b: _gap(a.x2, b.x1),
    "apart_down": lambda a, b: _gap(a.y2, b.y1),
}
# Of one box beside each of the others: an extreme is what stands so to all of them.
EXTREME: Mapping[str, Callable[[Box, Box], bool | None]] = {
    "leftmost": PAIR["left"],
    "rightmost": lambda a, b: PAIR["left"](b, a),
    "largest": _larger,
    "smallest": lambda a, b: _larger(b, a),
}
FACTS = frozenset((*SINGLE, *PAIR, *EXTREME))
"""The names of the facts, each as the teacher's table of wordings has it."""


def holds(fact: str, a: Box, b: Box | None, others: Sequence[Box]) -> bool | None:
    """Whether a fact holds of `a`, of `a` and `b`, or of `a` among `others`; None where it is too close to say."""
    if fact in SINGLE:
        extent = Extent(a.x1, a.y1, a.x2, a.y2, a.x2 - a.x1, a.y2 - a.y1)
        in_other_half = _IN_OTHER_HALF.get(fact)
        return SINGLE[fact](extent) or (False if in_other_half is None or in_other_half(a) else None)
    if fact in PAIR:
        assert b is not None, f"{fact} is about two boxes"
        return PAIR[fact](a, b)
    single = [EXTREME[fact](a, other) for other in others]
    return False if False in single else None if None in single else True
