"""What is in a scene of the microworld: one place, one to six things, and how they stand to each other.

A scene is a value: it is drawn, told, asked about and checked from this description alone, and nothing in it is read
back from pixels. Positions are in shares of the side, as boxes are everywhere; y grows downwards.
"""

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
"""Of every thing, and of its hat and of what it holds, at least this share of the drawn pixels is not covered."""


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


Relation = Literal["left of", "right of", "above", "below", "inside", "holding", "nearest to"]

MARGIN = 0.06
"""How much farther left the middle of one thing has to be than another's before it is said to be left of it."""


def center_distance(one: Thing, other: Thing) -> float:
    """Between the middles of two boxes, in shares of the side."""
    (x1, y1), (x2, y2) = one.box.center, other.box.center
    return float(((x1 - x2) ** 2 + (y1 - y2) ** 2) ** 0.5)


def stands(one: Thing, relation: Literal["left of", "right of", "above", "below"], other: Thing) -> bool | None:
    """Whether a relation holds between the middles of two things; None where the difference is within `MARGIN`."""
    (x1, y1), (x2, y2) = one.box.center, other.box.center
    difference = {"left of": x2 - x1, "right of": x1 - x2, "above": y2 - y1, "below": y1 - y2}[relation]
    return None if abs(difference) < MARGIN else difference > 0


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
    within = b.x1 <= a.x1 and b.y1 <= a.y1 and a.x2 <= b.x2 and a.y2 <= b.y2
    (x1, y1), (x2, y2) = body_center(one), body_center(other)
    middle = max(abs(x1 - x2), abs(y1 - y2)) <= INSIDE_OFFSET + 1e-9
    return True if within and middle and one.number > other.number else None


def nearest(scene: Scene, thing: Thing) -> Thing | None:
    """The thing whose middle is nearest to that of `thing`; None where there is no other, or two are about as near."""
    others = sorted(
        (other for other in scene.things if other.number != thing.number), key=lambda o: center_distance(thing, o)
    )
    if not others or (
        len(others) > 1 and center_distance(thing, others[1]) - center_distance(thing, others[0]) < MARGIN
    ):
        return None
    return others[0]
