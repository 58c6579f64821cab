"""The outlines of everything that is drawn, as signed distances: negative inside, zero on the edge.

Lengths are in units of 1/64 of the side, whatever the size in pixels, around the middle of the thing; y grows
downwards. Distances were chosen over polygons handed to Pillow: an outline of even width, edges of any fineness and
unions of limbs all follow from one number a point, and the masks depend on no library's rasteriser.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from microworld.scenes import Pose, Shape

Field = npt.NDArray[np.float64]
Distance = Callable[[Field, Field], Field]
"""Of points `x, y` (two arrays of one shape) to an outline."""

RING_HOLE = 0.4  # of the radius
CROSS_ARM = 0.36  # half the width of an arm, of the radius
STAR_WAIST = 0.46  # inner corners to outer ones; more than a drawn pentagram's 0.38, to leave room for a pattern


def disc(x0: float, y0: float, radius: float) -> Distance:
    """A filled circle."""
    return lambda x, y: np.hypot(x - x0, y - y0) - radius


def ellipse(x0: float, y0: float, width: float, height: float) -> Distance:
    """A filled ellipse with these half axes; near its edge the distance is right to first order."""

    def distance(x: Field, y: Field) -> Field:
        u, v = (x - x0) / width, (y - y0) / height
        level = np.hypot(u, v)
        slope = np.hypot(u / width, v / height)
        result: Field = np.where(slope > 0, level * (level - 1) / np.maximum(slope, 1e-9), -min(width, height))
        return result

    return distance


def limb(start: tuple[float, float], end: tuple[float, float], radius: float) -> Distance:
    """All points within `radius` of a line from `start` to `end`."""
    (x1, y1), (x2, y2) = start, end
    length = (x2 - x1) ** 2 + (y2 - y1) ** 2

    def distance(x: Field, y: Field) -> Field:
        along = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length, 0, 1)
        return np.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)) - radius

    return distance


def polygon(corners: Sequence[tuple[float, float]]) -> Distance:
    """A filled polygon that does not cross itself."""

    def distance(x: Field, y: Field) -> Field:
        nearest = np.full(x.shape, np.inf)
        within = np.zeros(x.shape, bool)
        for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
            nearest = np.minimum(nearest, limb((x1, y1), (x2, y2), 0)(x, y))
            if y1 != y2:
                crossing = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
                within ^= ((y1 > y) != (y2 > y)) & (x < crossing)
        return np.where(within, -nearest, nearest)

    return distance


def union(*parts: Distance) -> Distance:
    """All points that lie in one of the parts."""

    def distance(x: Field, y: Field) -> Field:
        result = parts[0](x, y)
        for part in parts[1:]:
            result = np.minimum(result, part(x, y))
        return result

    return distance


def ring(radius: float, hole: float) -> Distance:
    """A disc with a round hole in its middle."""
    return lambda x, y: np.abs(np.hypot(x, y) - (radius + hole) / 2) - (radius - hole) / 2


def filling(corners: Sequence[tuple[float, float]], radius: float) -> list[tuple[float, float]]:
    """`corners` moved and stretched so that they touch all four sides of the square of half side `radius`."""
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    top, bottom = min(y for _, y in corners), max(y for _, y in corners)
    return [
        (radius * (2 * (x - left) / (right - left) - 1), radius * (2 * (y - top) / (bottom - top) - 1))
        for x, y in corners
    ]


def _star() -> list[tuple[float, float]]:
    turns = [(math.pi * step / 5 - math.pi / 2, 1 if step % 2 == 0 else STAR_WAIST) for step in range(10)]
    return [(reach * math.cos(turn), reach * math.sin(turn)) for turn, reach in turns]


def _heart() -> list[tuple[float, float]]:
    turns = [2 * math.pi * step / 40 for step in range(40)]
    return [
        (16 * math.sin(t) ** 3, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
        for t in turns
    ]


def _cross() -> list[tuple[float, float]]:
    a = CROSS_ARM
    return [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)]


_POLYGONS: dict[Shape, list[tuple[float, float]]] = {
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": [(0, -1), (1, 1), (-1, 1)],
    "diamond": [(0, -1), (1, 0), (0, 1), (-1, 0)],
    "hexagon": [(-0.45, -1), (0.45, -1), (1, 0), (0.45, 1), (-0.45, 1), (-1, 0)],
    "star": _star(),
    "cross": _cross(),
    "heart": _heart(),
}


def shape_outline(shape: Shape, pose: Pose | None, radius: float) -> Distance:
    """The outline of a thing without its hat; it touches all four sides of the square of half side `radius`."""
    if shape == "circle":
        return disc(0, 0, radius)
    if shape == "ring":
        return ring(radius, RING_HOLE * radius)
    if shape == "figure":
        assert pose is not None, "a figure has a pose"
        return _figure(pose, radius)
    return polygon(filling(_POLYGONS[shape], radius))


# A figure's head, in shares of the radius; the hat sits on it and the eyes lie in it.
HEAD_RADIUS = 0.4
HEAD_X: dict[Pose, float] = {"standing": 0.0, "waving": 0.0, "sitting": -0.35}
# Limbs: from, to, half width, in shares of the radius.
_Limb = tuple[float, float, float, float, float]
_STANDING_LEGS: tuple[_Limb, ...] = ((-0.2, 0.3, -0.42, 0.79, 0.21), (0.2, 0.3, 0.42, 0.79, 0.21))
_LIMBS: dict[Pose, tuple[_Limb, ...]] = {
    "standing": (
        (0, -0.2, 0, 0.3, 0.38),
        (-0.2, -0.2, -0.82, 0.22, 0.18),
        (0.2, -0.2, 0.82, 0.22, 0.18),
        *_STANDING_LEGS,
    ),
    "waving": (
        (0, -0.2, 0, 0.3, 0.38),
        (-0.2, -0.2, -0.82, 0.22, 0.18),
        (0.2, -0.2, 0.82, -0.78, 0.18),
        *_STANDING_LEGS,
    ),
    "sitting": (
        (-0.45, -0.2, -0.6, 0.6, 0.4),
        (-0.3, 0.0, 0.35, 0.05, 0.17),
        (-0.5, 0.75, 0.75, 0.75, 0.25),
        (0.78, 0.4, 0.78, 0.78, 0.22),
    ),
}


def _figure(pose: Pose, radius: float) -> Distance:
    head = disc(HEAD_X[pose] * radius, (HEAD_RADIUS - 1) * radius, HEAD_RADIUS * radius)
    limbs = [
        limb((x1 * radius, y1 * radius), (x2 * radius, y2 * radius), half * radius)
        for x1, y1, x2, y2, half in _LIMBS[pose]
    ]
    return union(head, *limbs)


def hat_outline(half_width: float, height: float) -> Distance:
    """A top hat: a brim below and a crown; the middle of its lower edge is the point (0, 0)."""
    brim, crown = 0.38 * height, 0.66 * half_width
    return union(
        polygon([(-half_width, -brim), (half_width, -brim), (half_width, 0), (-half_width, 0)]),
        polygon([(-crown, -height), (crown, -height), (crown, -brim / 2), (-crown, -brim / 2)]),
    )
