"""Whether boxes bear a statement out: right, wrong, or too close to say.

Every relation has a margin, within which nothing is said. Its unit is what the eye compares:

- Places and directions: a share of the picture's side (`SIDE`), as an eye that knows nothing of the things would see,
  and on top of it a share of the smaller box's own extent (`OWN`), for the middle of a broad thing is seen less exactly
  than that of a narrow one. Where one box reaches across the other, the larger one's extent counts: what stands before a
  table is hardly left or right of it.
- Sizes: a ratio of the two boxes, since a hundredth is much of a small thing and nothing of a large one.
- Space that is shared: gaps in shares of the picture's side, and what lies inside as a share of the inner box.

Detectors' boxes are a few hundredths off and include what a thing does not fill, so that margins of shares of the picture
are the widest. Where a word has two plain meanings ("leftmost" by the middle or by the edge) both have to be
contradicted before a statement is wrong. The values are set by hand and measured in `benchmarks/geometry.py`.
"""

import math
from collections.abc import Callable, Sequence

from critics.geometry.statements import (
    Alike,
    Between,
    Compared,
    Covers,
    Ends,
    Extreme,
    Measure,
    Near,
    Nearer,
    Placed,
    Shared,
    Wider,
)
from ostensive.records import Box

SIDE = 0.02
"""Share of the picture's side by which two middles have to differ."""
OWN = 0.1
"""Share of a box's own extent by which they have to differ besides."""
FROM_POINT = 0.03
"""By how much the distances from the middle, an edge or a corner of the picture have to differ, in shares of its side."""
AREA_RATIO = 1.25
SIDE_RATIO = 1.1
GAP = 0.01
"""Width of a gap, or depth of what is shared, from which on it counts, in shares of the picture's side."""
FILLED = 1.5
"""How many times the area of a thing its box may have: things fill their boxes from a half on."""
_HALF = 0.03
Found = bool | None
"""True, false, or None where it is too close to say."""


def all_of(found: Sequence[Found]) -> Found:
    """False where one is, else None where one is; True where all are, and there are any."""
    return False if False in found else None if None in found or not found else True


def deny(found: Found) -> Found:
    """The finding on the opposite."""
    return None if found is None else not found


def extent(box: Box, axis: Measure) -> float:
    """Width or height of a box, by the axis or the measure."""
    return box.x2 - box.x1 if axis in ("x", "width", "left", "right") else box.y2 - box.y1


def values_of(measure: Measure, box: Box) -> tuple[float, ...]:
    """What a measure may mean of a box, the usual meaning first."""
    x, y = box.center
    match measure:
        case "x":
            return (x,)
        case "y":
            return (y,)
        case "area":
            return (box.area,)
        case "width" | "height":
            return (extent(box, measure),)
        case "from_middle":
            return (math.hypot(x - 0.5, y - 0.5),)
        case "left":
            return x, box.x1
        case "right":
            return 1 - x, 1 - box.x2
        case "top":
            return y, box.y1
        case "bottom":
            return 1 - y, 1 - box.y2
        case "edge":
            return min(x, y, 1 - x, 1 - y), min(box.x1, box.y1, 1 - box.x2, 1 - box.y2)
        case "corner":
            return (math.hypot(min(x, 1 - x), min(y, 1 - y)),)


def lead(measure: Measure, a: Box, b: Box) -> int:
    """1 where `a` has clearly more of a measure than `b`, -1 where it has clearly less, 0 where neither is clear."""
    signs = {_sign(measure, one, other, a, b) for one, other in zip(values_of(measure, a), values_of(measure, b))}
    return signs.pop() if len(signs) == 1 else 0


def _sign(measure: Measure, one: float, other: float, a: Box, b: Box) -> int:
    if measure in ("area", "width", "height"):
        ratio = AREA_RATIO if measure == "area" else SIDE_RATIO
        floor = 0.0 if measure == "area" else 0.01
        more, less = one > other * ratio and one - other > floor, other > one * ratio and other - one > floor
        return more - less
    margin = _margin(measure, a, b) if measure in ("x", "y") else FROM_POINT
    return 0 if abs(one - other) < margin else 1 if one > other else -1


def _margin(axis: Measure, a: Box, b: Box) -> float:
    (a1, a2), (b1, b2) = ((one.x1, one.x2) if axis == "x" else (one.y1, one.y2) for one in (a, b))
    is_nested = (a1 <= b1 and b2 <= a2) or (b1 <= a1 and a2 <= b2)
    extents = a2 - a1, b2 - b1
    return SIDE + OWN * (max(extents) if is_nested else min(extents))


def compared(one: Compared, a: Box, b: Box) -> Found:
    """Whether `a` has more (or less) of a measure than `b`."""
    if one.factor is not None:
        return _times(one, values_of(one.measure, a)[0] / values_of(one.measure, b)[0])
    ahead = lead(one.measure, a, b) * one.sign
    if one.or_equal:
        plain = (values_of(one.measure, a)[0] - values_of(one.measure, b)[0]) * one.sign
        return False if ahead < 0 else True if plain >= 0 else None
    if one.is_loose and gap(a, b) < 0:
        return None
    return None if ahead == 0 else ahead > 0


def _times(one: Compared, ratio: float) -> Found:
    """Whether a ratio is what was said; of areas, "twice as large" may be meant of the sides."""
    assert one.factor is not None, "asked of statements with a factor alone"
    readings = (one.factor, one.factor**2) if one.measure == "area" else (one.factor,)
    least, most = min(readings), max(readings)
    if one.bound == "more":
        return True if ratio > most * 1.1 else False if ratio < least * 0.85 else None
    if one.bound == "less":
        return True if ratio < least * 0.9 else False if ratio > most * 1.18 else None
    if any(0.8 * value <= ratio <= 1.25 * value for value in readings):
        return True
    return False if ratio < least * 0.62 or ratio > most * 1.6 else None


def extreme(one: Extreme, a: Box, group: Sequence[Box]) -> Found:
    """Whether `a` has the most (or least) of a measure in the group, or the next to most."""
    leads = [lead(one.measure, a, b) * one.sign for b in group]
    edges = {"x": ("left", "right"), "y": ("top", "bottom")}.get(one.measure)
    if edges is not None:
        # By the edge a broad thing may be the first that by its middle is not.
        edge: Measure = edges[one.sign > 0]  # type: ignore[assignment] # an edge is a measure
        passed = [values_of(edge, a)[1] - values_of(edge, b)[1] for b in group]
        leads = [0 if ahead < 0 and behind <= GAP else ahead for ahead, behind in zip(leads, passed, strict=True)]
    behind, open_ = leads.count(-1), leads.count(0)
    if behind >= one.rank or behind + open_ < one.rank - 1:
        return False
    return True if behind == one.rank - 1 and not open_ else None


def alike(one: Alike, a: Box, b: Box) -> Found:
    """Whether two boxes are about the same in a measure."""
    first, second = values_of(one.measure, a)[0], values_of(one.measure, b)[0]
    if one.measure in ("x", "y"):
        apart, size = abs(first - second), min(extent(a, one.measure), extent(b, one.measure))
        return True if apart < SIDE + OWN * size else False if apart > 0.08 + size / 2 else None
    ratio = max(first, second) / min(first, second)
    same, other = (1.25, 1.7) if one.measure == "area" else (1.12, 1.35)
    return True if ratio <= same else False if ratio >= other else None


def gap(a: Box, b: Box) -> float:
    """The space between two boxes along the axis where there is most, below 0 for what they share."""
    return max(max(a.x1, b.x1) - min(a.x2, b.x2), max(a.y1, b.y1) - min(a.y2, b.y2))


def inside_share(a: Box, b: Box) -> float:
    """The share of `a` that lies in `b`, 0-1."""
    width, height = min(a.x2, b.x2) - max(a.x1, b.x1), min(a.y2, b.y2) - max(a.y1, b.y1)
    return max(width, 0.0) * max(height, 0.0) / a.area


def _within(a: Box, b: Box) -> float:
    """By how much `a` stays inside `b` on the side where it does least; below 0 where it sticks out."""
    return min(a.x1 - b.x1, a.y1 - b.y1, b.x2 - a.x2, b.y2 - a.y2)


def shared(how: str, a: Box, b: Box) -> Found:
    """Whether two boxes share space as a statement says."""
    between = gap(a, b)
    match how:
        case "overlap":
            return True if between < -GAP else False if between > GAP else None
        case "cross":
            if between > GAP:
                return False
            is_nested = max(_within(a, b), _within(b, a)) >= 0
            return True if between < -GAP and not is_nested else None
        case "touch":
            return True if -GAP <= between <= GAP / 2 else False if between > 2 * GAP else None
        case "apart":
            return True if between > GAP else False if between < -GAP else None
        case "inside":
            share = inside_share(a, b)
            return True if share > 0.95 else False if share < 0.5 else None
        case "wholly inside":
            share = inside_share(a, b)
            return True if share > 0.99 else False if share < 0.9 and _within(a, b) < -GAP else None
        case "outside":
            share = inside_share(a, b)
            return True if between > GAP else False if share > 0.9 else None
        case "contains":
            return shared("inside", b, a)
        case _:
            return shared("wholly inside", b, a)


def ends(one: Ends, a: Box, b: Box) -> Found:
    """Whether `a` ends before `b` begins along an axis."""
    first, second = (a, b) if one.sign > 0 else (b, a)
    space = second.x1 - first.x2 if one.axis == "x" else second.y1 - first.y2
    return None if abs(space) < GAP else space > 0


def near(one: Near, a: Box, b: Box) -> Found:
    """Whether two boxes are near each other, or far: next to is a matter of taste, and only what is plain is said."""
    space, size = max(gap(a, b), 0.0), max(extent(a, "x"), extent(a, "y"), extent(b, "x"), extent(b, "y"))
    is_close = space < 0.05 and (not one.is_beside or min(a.y2, b.y2) > max(a.y1, b.y1))
    is_distant = space > 0.3 and space > 0.75 * size
    found = True if is_close else False if is_distant else None
    return deny(found) if one.is_far else found


def nearer(one: Nearer, first: tuple[Box, Box], second: tuple[Box, Box]) -> Found:
    """Whether the first two boxes are nearer to each other than the second two, by the middles and by the gap."""
    middles = _distance(*first) - _distance(*second)
    gaps = max(gap(*first), 0.0) - max(gap(*second), 0.0)
    if abs(middles) < 0.05 or middles * gaps < 0:
        return None
    return (middles < 0) == (one.sign > 0)


def _distance(a: Box, b: Box) -> float:
    return math.dist(a.center, b.center)


def between(a: Box, b: Box, c: Box) -> Found:
    """Whether the middle of `a` is between those of two others: how far along the way from one to the other it is."""
    (ax, ay), (bx, by), (cx, cy) = a.center, b.center, c.center
    length = math.dist((bx, by), (cx, cy))
    if length < 0.1:
        return None
    along = ((ax - bx) * (cx - bx) + (ay - by) * (cy - by)) / length**2
    aside = abs((ax - bx) * (cy - by) - (ay - by) * (cx - bx)) / length**2
    if -0.15 <= along <= 1.15:
        return True if 0.1 < along < 0.9 and aside < 0.4 else None
    axis: Measure = "x" if abs(cx - bx) > abs(cy - by) else "y"
    ahead = {lead(axis, a, b), lead(axis, a, c)}
    return False if ahead in ({1}, {-1}) else None


def placed(one: Placed, a: Box) -> Found:
    """Whether a box is in a part of the picture."""
    return all_of([_PLACES[one.how](place, a) for place in one.places])


def _ahead(place: str, a: Box) -> tuple[float, float, float]:
    """The near edge, the middle and the far edge of a box as seen from a side of the picture, 0-1."""
    x, y = a.center
    match place:
        case "left":
            return a.x1, x, a.x2
        case "right":
            return 1 - a.x2, 1 - x, 1 - a.x1
        case "top":
            return a.y1, y, a.y2
        case _:
            return 1 - a.y2, 1 - y, 1 - a.y1


def _middle(a: Box, width: float) -> Found:
    x, y = a.center
    off = max(abs(x - 0.5), abs(y - 0.5))
    covers = a.x1 <= 0.5 <= a.x2 and a.y1 <= 0.5 <= a.y2
    return True if off < width else False if off > 0.25 + width / 2 and not covers else None


def _at_side(place: str, a: Box) -> Found:
    if place == "middle":
        return _middle(a, 0.12)
    start, middle, end = _ahead(place, a)
    return (
        True if middle < 0.5 - _HALF else False if middle > 0.5 + _HALF and (start > 0.3 or end - start < 0.6) else None
    )


def _in_half(place: str, a: Box) -> Found:
    if place == "middle":
        return _middle(a, 0.12)
    _, middle, end = _ahead(place, a)
    return True if end <= 0.5 + _HALF and middle < 0.5 - _HALF / 2 else False if middle > 0.5 + _HALF else None


def _in_third(place: str, a: Box) -> Found:
    if place == "middle":
        return _middle(a, 0.1)
    _, middle, end = _ahead(place, a)
    return True if middle < 0.3 and end < 0.4 else False if middle > 0.45 else None


def _at_edge(place: str, a: Box) -> Found:
    if place == "middle":
        return _middle(a, 0.12)
    start, middle, _ = _ahead(place, a)
    return True if start < 0.1 and middle < 0.4 else False if start > 0.3 else None


def _reaches(place: str, a: Box) -> Found:
    if place == "middle":
        return None
    start, _, _ = _ahead(place, a)
    return True if start <= GAP else False if start > 0.06 else None


_PLACES: dict[str, Callable[[str, Box], Found]] = {
    "side": _at_side,
    "half": _in_half,
    "third": _in_third,
    "edge": _at_edge,
    "reaches": _reaches,
}


def covers(one: Covers, a: Box) -> Found:
    """Whether a box takes up a share of the picture, of its width or its height.

    A thing is never larger than its box, and may be smaller by `FILLED` in area, so that "more than" is refuted sooner
    than "less than".
    """
    value = values_of(one.measure, a)[0]
    filled = value / FILLED if one.measure == "area" else value - 0.02
    most = value * 1.05 if one.measure == "area" else value + 0.02
    if one.bound == "more":
        return True if filled > one.share else False if most < one.share else None
    if one.bound == "less":
        return False if filled > one.share else True if most < one.share else None
    if 0.8 * one.share <= value <= FILLED * one.share:
        return True
    return False if most < 0.7 * one.share or filled > 1.4 * one.share else None


def wider(one: Wider, a: Box) -> Found:
    """Whether a box is wider than tall; the sides of the picture count alike, so that only what is plain is said."""
    ratio = extent(a, "x") / extent(a, "y")
    ratio = ratio if one.sign > 0 else 1 / ratio
    return True if ratio > 2 else False if ratio < 0.5 else None
