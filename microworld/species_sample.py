"""Specimens drawn at random: a scene with one thing of a species, and at most two things of none.

As in nature, not all that an expert names is to be seen: a young one has no hat yet, what was held is dropped and may
lie beside, another thing covers the head or the hands. The others are those of an ordinary scene, so that specimens
stand in the same world as everything else.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from microworld.claims import HeldKind
from microworld.sample import SampleOptions, sample_scene, visible_shares
from microworld.scenes import (
    COLOURS,
    HAT_RISE,
    MIN_VISIBLE,
    PATTERNS,
    PLACES,
    RADIUS,
    SIDE_PX,
    THINGS,
    Colour,
    Held,
    Place,
    Scene,
    Size,
    Thing,
)
from microworld.species import NAMES, Species, species_named, species_of
from microworld.species_parts import parts_seen
from ostensive.records import Box

_TRIES = 12
_SIZE: Size = "large"  # small things hold nothing
_LEAST_OFF_PX = 5  # what covers the middle of a specimen lies off it, so that it does not pass for what is held


@dataclass(frozen=True, slots=True)
class SpecimenOptions:
    """What specimens may be like. Of those that could lose or hide something, about so many shares do."""

    lost_share: float = 0.25  # of hats, and of what is held
    lies_beside_share: float = 0.5  # of what is dropped
    covered_share: float = 0.3
    max_others: int = 2
    places: tuple[Place, ...] = PLACES


ALL = SpecimenOptions()


def sample_specimen(seed: int, species: str | None = None, options: SpecimenOptions = ALL) -> Scene:
    """The scene of a seed with one specimen, of `species` or of any; the same on every machine.

    Which thing is the specimen, and of what species, is seen from the scene: `species_truth.specimens_in`.
    Raises `ValueError` for a species that there is not.
    """
    rng = random.Random(f"specimen {seed}")  # noqa: S311 - no secret
    drawn = rng.choice(NAMES)
    if species is not None and species not in NAMES:
        raise ValueError(f"there is no species {species!r}; there are {', '.join(NAMES)}")
    kind, place = species_named(species or drawn), rng.choice(options.places)
    while True:
        things = _specimen_and_others(kind, rng, options)
        if all(thing.visible >= MIN_VISIBLE for thing in things):
            return Scene(seed, place, things)


def _specimen_and_others(kind: Species, rng: random.Random, options: SpecimenOptions) -> tuple[Thing, ...]:
    specimen = _placed(_individual(kind, rng, options), rng)
    others = _others(specimen, rng, rng.randint(0, options.max_others))
    if others and specimen.holds is None and kind.holds != "nothing" and rng.random() < options.lies_beside_share:
        others[0] = _dropped(others[0], kind.holds, rng)
    if others and rng.random() < options.covered_share:
        covering = _covering(specimen, others[-1], rng, hat=rng.random() < 0.5)
        if covering is not None:
            return _seen((specimen, *others[:-1], covering))
    others.insert(rng.randint(0, len(others)), specimen)
    return _seen(others)


def _individual(kind: Species, rng: random.Random, options: SpecimenOptions) -> Thing:
    """A thing of the species without a place yet: what is open is drawn, and now and then something is lost."""
    colour = rng.choice(kind.colours)
    hat: Colour | None = None
    if kind.hat is None:
        hat = rng.choice((None, *COLOURS))
    elif kind.hat != "none" and rng.random() >= options.lost_share:
        hat = kind.hat
    held = None
    if kind.holds != "nothing" and rng.random() >= options.lost_share:
        held = _held(kind.holds, [other for other in COLOURS if other != colour], rng)
    pattern = rng.choice(PATTERNS) if kind.pattern is None else kind.pattern
    pose = rng.choice(kind.poses) if kind.poses else None
    return Thing(0, kind.shape, colour, _SIZE, pattern, hat, held, pose, Box(0, 0, 1, 1), 1.0)


def _held(kind: HeldKind, colours: Sequence[Colour], rng: random.Random) -> Held:
    shape = rng.choice(THINGS) if kind.shape is None else kind.shape
    return Held(shape, rng.choice(colours) if kind.colour is None else kind.colour)


def _placed(thing: Thing, rng: random.Random) -> Thing:
    width = round(2 * RADIUS[thing.size] * SIDE_PX)
    rise = 0 if thing.hat is None else round(HAT_RISE[thing.size] * SIDE_PX)
    x, y = rng.randint(0, SIDE_PX - width), rng.randint(0, SIDE_PX - width - rise)
    return replace(thing, box=_box_px(x, y, x + width, y + rise + width))


def _others(specimen: Thing, rng: random.Random, most: int) -> list[Thing]:
    """At most so many things of an ordinary scene, of no species, that leave the specimen alone."""
    if most == 0:
        return []
    drawn = sample_scene(rng.getrandbits(32), SampleOptions(min_things=most, max_things=most + 1)).things
    free = [thing for thing in drawn if thing.box.overlap(specimen.box) == 0 and species_of(thing) is None]
    return free[:most]


def _dropped(thing: Thing, kind: HeldKind, rng: random.Random) -> Thing:
    """What the specimen held, in the place of a thing and of its size."""
    held, box = _held(kind, COLOURS, rng), thing.box
    bare = Box(box.x1, box.y2 - (box.x2 - box.x1), box.x2, box.y2)
    fallen = replace(
        thing, shape=held.shape, colour=held.colour, pattern="plain", hat=None, holds=None, pose=None, box=bare
    )
    return fallen if species_of(fallen) is None else thing


def _covering(specimen: Thing, thing: Thing, rng: random.Random, *, hat: bool) -> Thing | None:
    """`thing` moved over the hat or the middle of the specimen so that this part is hidden; None where it cannot be."""
    width, height = (round(side * SIDE_PX) for side in (thing.box.x2 - thing.box.x1, thing.box.y2 - thing.box.y1))
    radius = RADIUS[specimen.size] * SIDE_PX
    middle_x, middle_y = specimen.box.center[0] * SIDE_PX, specimen.box.y2 * SIDE_PX - radius
    for _ in range(_TRIES):
        off_x, off_y = rng.randint(-10, 10), rng.randint(-10, 10) - (round(radius) + 3 if hat else 0)
        left, top = round(middle_x + off_x - width / 2), round(middle_y + off_y - height / 2)
        if max(abs(off_x), abs(off_y)) < _LEAST_OFF_PX or min(left, top) < 0:
            continue
        if left + width > SIDE_PX or top + height > SIDE_PX:
            continue
        moved = replace(thing, number=specimen.number + 1, box=_box_px(left, top, left + width, top + height))
        seen = parts_seen((specimen, moved), specimen)
        if seen.body >= MIN_VISIBLE > (seen.hat if hat else seen.held):
            return moved
    return None


def _seen(things: Sequence[Thing]) -> tuple[Thing, ...]:
    """The things with their numbers, and with how much of each is visible."""
    numbered = [replace(thing, number=number) for number, thing in enumerate(things)]
    return tuple(replace(thing, visible=one) for thing, one in zip(numbered, visible_shares(numbered), strict=True))


def _box_px(x1: float, y1: float, x2: float, y2: float) -> Box:
    return Box(x1 / SIDE_PX, y1 / SIDE_PX, x2 / SIDE_PX, y2 / SIDE_PX)
