"""What is in a scene of the microworld: one place, one to six things, and how they stand to each other.

A scene is a value: it is drawn, told, asked about and checked from this description alone, and nothing in it is read
back from pixels. Positions are in shares of the side, as boxes are everywhere; y grows downwards.
"""

import math
from dataclasses import dataclass
from typing import Literal

from ostensive.records import Box

SIDE_PX = 64

Place = Literal["meadow", "beach", "snowfield", "street", "night sky"]
Shape = Literal["circle", "square", "triangle", "diamond", "star", "cross", "ring", "hexagon", "heart", "figure"]
Colour = Literal["red", "orange", "yellow", "green", "blue", "purple", "white", "black"]
Size = Literal["small", "large"]
Pattern = Literal["plain", "striped", "dotted"]
Pose = Literal["standing", "waving", "sitting"]

PLACES: tuple[Place, ...] = ("meadow", "beach", "snowfield", "street", "night sky")
THINGS: tuple[Shape, ...] = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "hexagon", "heart")
SHAPES: tuple[Shape, ...] = (*THINGS, "figure")  # a figure is an agent: one of the "people" of this world
COLOURS: tuple[Colour, ...] = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SIZES: tuple[Size, ...] = ("small", "large")
PATTERNS: tuple[Pattern, ...] = ("plain", "striped", "dotted")
POSES: tuple[Pose, ...] = ("standing", "waving", "sitting")
MAX_THINGS = 6
RADIUS: dict[Size, float] = {"small": 7 / SIDE_PX, "large": 12 / SIDE_PX}
"""Half the side of the box of a thing without its hat, as a share of the image's side."""
HAT_RISE: dict[Size, float] = {"small": 5 / SIDE_PX, "large": 8 / SIDE_PX}
"""How far a hat makes the box of a thing taller, as a share of the image's side."""
MIN_VISIBLE = 0.5
"""The least share of a thing's pixels, and of its parts where these are spoken of, that later things leave visible."""


@dataclass(frozen=True, slots=True)
class Held:
    """A smaller thing in the middle of another one."""

    shape: Shape
    colour: Colour


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a scene. `number` is its place in `Scene.things`, the order in which they are drawn."""

    number: int
    shape: Shape
    colour: Colour
    size: Size
    pattern: Pattern
    hat: Colour | None
    holds: Held | None
    pose: Pose | None  # of a figure; None for all others
    box: Box  # what is drawn of it, hat included, before anything covers it
    visible: float  # the share of its drawn pixels that no later thing covers, 0-1

    @property
    def is_agent(self) -> bool:
        """Whether it is one of this world's people."""
        return self.shape == "figure"


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture, whole. `seed` is what it was made from, and makes it again."""

    seed: int
    place: Place
    things: tuple[Thing, ...]


Side = Literal["left of", "right of", "above", "below"]
SIDES: tuple[Side, ...] = ("left of", "right of", "above", "below")
MARGIN = 0.06
"""How much farther left the middle of one thing has to be than another's before it is said to be left of it."""


def beside(one: Box, side: str, other: Box) -> bool | None:
    """Whether the middle of one box is on a side of that of another; None where the difference is within `MARGIN`."""
    (x1, y1), (x2, y2) = one.center, other.center
    lead = {"left of": x2 - x1, "right of": x1 - x2, "above": y2 - y1, "below": y1 - y2}[side]
    return None if abs(lead) < MARGIN else lead > 0


def center_distance(one: Thing, other: Thing) -> float:
    """Between the middles of two boxes, in shares of the side."""
    return math.dist(one.box.center, other.box.center)


def within(one: Box, other: Box) -> float:
    """The least distance of an edge of `one` from the same edge of `other`; negative where it sticks out."""
    return min(one.x1 - other.x1, one.y1 - other.y1, other.x2 - one.x2, other.y2 - one.y2)


def body_center(thing: Thing) -> tuple[float, float]:
    """The middle of a thing without its hat, `(x, y)` in shares of the side."""
    return (thing.box.x1 + thing.box.x2) / 2, thing.box.y2 - RADIUS[thing.size]


INSIDE_OFFSET = 3 / SIDE_PX
"""How far, at most, a thing inside another is off the other's middle in x and in y; `sample` puts it within this."""


def inside(one: Thing, other: Thing) -> bool | None:
    """Whether `one` lies inside `other`: in front of it, its box within the other's, about in the middle.

    None where the boxes overlap in another way: a small star over the corner of a large triangle's box may or may not
    lie on the triangle, and people would not agree.
    """
    a, b = one.box, other.box
    if one.number == other.number or a.overlap(b) == 0:
        return False
    (x1, y1), (x2, y2) = body_center(one), body_center(other)
    middle = max(abs(x1 - x2), abs(y1 - y2)) <= INSIDE_OFFSET + 1e-9
    return True if within(a, b) >= 0 and middle and one.number > other.number else None


def is_nearest(one: Thing, other: Thing, scene: Scene) -> bool | None:
    """Whether `one` is, of all things but `other`, the nearest to `other`; None where it is within `MARGIN`."""
    rivals = [thing for thing in scene.things if thing.number not in (one.number, other.number)]
    lead = min((center_distance(rival, other) for rival in rivals), default=math.inf) - center_distance(one, other)
    return None if abs(lead) < MARGIN else lead > 0
