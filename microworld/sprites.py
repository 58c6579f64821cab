"""Things as small pictures ready to be laid over a ground: their outlines, and sprites cached for each look.

Outlines are signed distances: negative inside, zero on the edge. Lengths are in units of 1/64 of the side, whatever the
size in pixels, around the middle of the thing; y grows downwards. Distances were chosen over polygons handed to Pillow:
an outline of even width, edges of any fineness and unions of limbs all follow from one number a point, and the masks
depend on no library's rasteriser.

A thing is up to three layers (body, hat, what it holds), each with its own cache, because their combinations are too
many (over 300,000) to keep. Sprites are premultiplied 16-bit integers: laying one down is a product, a sum and a
shift of a small array, several times as fast as floating point or as Pillow's drawing of the same outlines.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from microworld.scenes import HAT_RISE, RADIUS, SIDE_PX, Colour, Pattern, Pose, Shape, Size, Thing
from ostensive.images.drawing import RGB

Field = npt.NDArray[np.float64]
Distance = Callable[[Field, Field], Field]
"""Of points `x, y` (two arrays of one shape) to an outline."""

RING_HOLE = 0.4  # of the radius
CROSS_ARM = 0.36  # half the width of an arm, of the radius
STAR_WAIST = 0.46  # inner corners to outer ones; more than a drawn pentagram's 0.38, to leave room for a pattern


def disc(x0: float, y0: float, radius: float) -> Distance:
    """A filled circle."""
    return lambda x, y: np.hypot(x - x0, y - y0) - radius


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


Canvas = npt.NDArray[np.uint16]
"""`(height, width, 3)`, 0 to 255 in each channel; 16 bits wide so that layers are laid down in place."""

INK: dict[Colour, RGB] = {
    "red": RGB(220, 30, 38),
    "orange": RGB(250, 138, 18),
    "yellow": RGB(252, 226, 40),
    "green": RGB(18, 160, 62),
    "blue": RGB(38, 88, 232),
    "purple": RGB(150, 52, 190),
    "white": RGB(250, 250, 250),
    "black": RGB(22, 22, 24),
}
"""What the names of colours mean in this world."""

DARK_EDGE, LIGHT_EDGE = RGB(16, 16, 20), RGB(240, 240, 240)
SHADE = 0.62  # of the way from a colour to its edge: what stripes and dots are drawn in
EDGE_WIDTH = 1.0  # in units of 1/64 of the side, like all lengths here
HELD_EDGE_WIDTH = 0.8
HELD_RADIUS: dict[Size, float] = {"small": 4, "large": 6}
HAT_HALF_WIDTH: dict[Size, float] = {"small": 5, "large": 8}
HAT_OVERLAP: dict[Size, float] = {"small": 2, "large": 3}  # how far a hat comes down over what wears it
STRIPE_PERIOD: dict[Size, float] = {"small": 4, "large": 6}
_SUBSAMPLES = 6  # a pixel is judged at 6 x 6 points
_EDGE, _PLAIN, _SHADED = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A layer, ready to be laid down. All arrays are read-only."""

    premultiplied: Canvas  # colour times opacity, 0 to 65,280
    keep: Canvas  # (height, width, 1): 256 less the opacity
    drawn: npt.NDArray[np.bool_]  # at least half opaque: what counts as the pixels of the thing

    def lay(self, canvas: Canvas, left: int, top: int) -> None:
        """Lays the layer over `canvas`, which holds all of it, with its first pixel at `left`, `top`."""
        height, width = self.drawn.shape
        below = canvas[top : top + height, left : left + width]
        below *= self.keep
        below += self.premultiplied
        below >>= 8


@dataclass(frozen=True, slots=True)
class Layer:
    """A sprite and where its first pixel lies."""

    sprite: Sprite
    left: int
    top: int


def edge_of(colour: Colour) -> RGB:
    """What a thing of this colour is outlined in, so that one of the two stands out from any ground."""
    return LIGHT_EDGE if colour == "black" else DARK_EDGE


def shade_of(colour: Colour) -> RGB:
    """What the stripes and dots of a thing of this colour are drawn in."""
    return RGB(*(round(a + SHADE * (b - a)) for a, b in zip(INK[colour], edge_of(colour), strict=True)))


def layers(thing: Thing, side_px: int) -> Iterator[Layer]:
    """The layers of a thing on a picture of `side_px` pixels, the lowest first: body, hat, what it holds."""
    radius, scale = RADIUS[thing.size] * SIDE_PX, side_px / SIDE_PX
    x, y = thing.box.x1 * SIDE_PX, thing.box.y2 * SIDE_PX - 2 * radius
    body = _body_sprite(thing.shape, thing.pose, thing.pattern, thing.size, thing.colour, side_px)
    yield Layer(body, round(x * scale), round(y * scale))
    if thing.hat is not None:
        left = x + radius + _head_x(thing.pose, radius) - HAT_HALF_WIDTH[thing.size]
        top = y - HAT_RISE[thing.size] * SIDE_PX
        yield Layer(_hat_sprite(thing.size, thing.hat, side_px), round(left * scale), round(top * scale))
    if thing.holds is not None:
        held = HELD_RADIUS[thing.size]
        dx, dy = _held_middle(thing.shape, thing.pose, radius)
        sprite = _held_sprite(thing.holds.shape, thing.size, thing.holds.colour, side_px)
        yield Layer(sprite, round((x + radius + dx - held) * scale), round((y + radius + dy - held) * scale))


def _head_x(pose: Pose | None, radius: float) -> int:
    return 0 if pose is None else round(HEAD_X[pose] * radius)


def _held_middle(shape: Shape, pose: Pose | None, radius: float) -> tuple[int, int]:
    """Where the middle of what a thing holds lies, from the thing's own: the widest part of it."""
    if shape == "figure":
        return (round(0.35 * radius), round(0.05 * radius)) if pose == "sitting" else (0, round(0.15 * radius))
    return 0, {"triangle": round(0.35 * radius), "heart": round(-0.1 * radius)}.get(shape, 0)


@lru_cache(maxsize=2048)
def _body_sprite(shape: Shape, pose: Pose | None, pattern: Pattern, size: Size, colour: Colour, side_px: int) -> Sprite:
    return _coloured(_body_shares(shape, pose, pattern, size, side_px), colour)


@lru_cache(maxsize=256)
def _hat_sprite(size: Size, colour: Colour, side_px: int) -> Sprite:
    half, height = HAT_HALF_WIDTH[size], HAT_RISE[size] * SIDE_PX + HAT_OVERLAP[size]
    region = (-half, -height, half, 0.0)
    return _coloured(shares(hat_outline(half, height), None, region, EDGE_WIDTH, side_px), colour)


@lru_cache(maxsize=512)
def _held_sprite(shape: Shape, size: Size, colour: Colour, side_px: int) -> Sprite:
    radius = HELD_RADIUS[size]
    outline = shape_outline(shape, None, radius)
    return _coloured(shares(outline, None, (-radius, -radius, radius, radius), HELD_EDGE_WIDTH, side_px), colour)


@lru_cache(maxsize=256)
def _body_shares(shape: Shape, pose: Pose | None, pattern: Pattern, size: Size, side_px: int) -> Field:
    radius = RADIUS[size] * SIDE_PX
    outline = shape_outline(shape, pose, radius)
    region = (-radius, -radius, radius, radius)
    result = shares(outline, pattern_marks(pattern, STRIPE_PERIOD[size]), region, EDGE_WIDTH, side_px)
    if shape == "figure":
        assert pose is not None, "a figure has a pose"
        eyes = shares(_eyes(pose, radius), None, region, 0, side_px).sum(axis=2)
        result = result * (1 - eyes[..., None])
        result[..., _EDGE] += eyes
    return result


def _eyes(pose: Pose, radius: float) -> Distance:
    y, apart = (HEAD_RADIUS - 1) * radius, 0.15 * radius
    x, half = HEAD_X[pose] * radius, max(0.06 * radius, 0.5)
    return union(disc(x - apart, y, half), disc(x + apart, y, half))


def pattern_marks(pattern: Pattern, period: float) -> Distance | None:
    """Where a pattern is dark (below zero), around the middle of the thing; None for a plain one."""
    if pattern == "striped":  # edges of stripes fall between pixels at 64 px, for both sizes
        phase = 0.0 if period % 4 == 0 else period / 4
        return lambda x, y: -np.cos(2 * np.pi * (y - phase) / period) + 0 * x
    if pattern == "dotted":

        def distance(x: Field, y: Field) -> Field:
            row = np.floor(y / (period / 2) + 0.5)
            shift = np.where(row % 2 == 0, 0.0, period / 2)
            across = (x - shift + period / 2) % period - period / 2
            return np.hypot(across, y - row * period / 2) - 0.27 * period

        return distance
    return None


def shares(
    outline: Distance, marks: Distance | None, region: tuple[float, float, float, float], edge: float, side_px: int
) -> Field:
    """How much of each pixel of `region` (x1, y1, x2, y2) is edge, plain and pattern: `(height, width, 3)`, 0-1."""
    x1, y1, x2, y2 = region
    width, height = (max(1, round((b - a) * side_px / SIDE_PX)) for a, b in ((x1, x2), (y1, y2)))
    across = x1 + (x2 - x1) * (np.arange(width * _SUBSAMPLES) + 0.5) / (width * _SUBSAMPLES)
    down = y1 + (y2 - y1) * (np.arange(height * _SUBSAMPLES) + 0.5) / (height * _SUBSAMPLES)
    x, y = np.meshgrid(across, down)
    distance = outline(x, y)
    shaded = np.zeros(x.shape, bool) if marks is None else marks(x, y) < 0
    core = distance < -edge
    kinds = np.stack([(distance < 0) & ~core, core & ~shaded, core & shaded], axis=-1)
    parts: Field = kinds.reshape(height, _SUBSAMPLES, width, _SUBSAMPLES, 3).mean(axis=(1, 3))
    return parts


def _coloured(parts: Field, colour: Colour) -> Sprite:
    return make_sprite(parts, (edge_of(colour), INK[colour], shade_of(colour)))


def make_sprite(parts: Field, inks: tuple[RGB, RGB, RGB]) -> Sprite:
    """A sprite from the shares of edge, plain and pattern in each pixel, and the colours of the three."""
    opacity = np.round(parts.sum(axis=2, keepdims=True) * 256)
    premultiplied = np.round(parts @ np.array(inks, float) * 256).astype(np.uint16)
    keep = (256 - opacity).astype(np.uint16)
    drawn = opacity[..., 0] >= 128
    for array in (premultiplied, keep, drawn):
        array.flags.writeable = False  # they are shared by everything that asks for this look
    return Sprite(premultiplied, keep, drawn)
