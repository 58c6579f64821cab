"""Scenes drawn at random: everything about one follows from its seed.

Things are put down one after the other, wherever there is room, and a scene in which one of them is covered too much
is drawn again. What is visible is counted on the very masks that are rendered, so that record and picture agree.

A specimen is a scene with one thing of a species, and at most two things of none. As in nature, not all that an expert
names is to be seen: a young one has no hat yet, what was held is dropped and may lie beside, another thing covers the
head or the hands. The others are those of an ordinary scene, so that specimens stand in the same world.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from microworld.claims import HeldKind
from microworld.scenes import (
    COLOURS,
    HAT_RISE,
    INSIDE_OFFSET,
    MAX_THINGS,
    MIN_VISIBLE,
    PATTERNS,
    PLACES,
    POSES,
    RADIUS,
    SIDE_PX,
    SIZES,
    THINGS,
    Colour,
    Held,
    Pattern,
    Place,
    Scene,
    Shape,
    Size,
    Thing,
)
from microworld.species import NAMES, Species, part_visibility, species_named, species_of
from microworld.sprites import layers
from ostensive.records import Box

FIGURES = 0.2
HATS = 0.2
HOLDERS = 0.33
INSIDERS = 0.12
"""Shares of the things that are figures and wear hats; of the large ones that hold something; and of those that are put
inside a large one, where there is one."""
_LEAST_APART_PX = 6  # between the middles of two things, so that one does not pass for a part of the other
_INSIDE_PX = round(INSIDE_OFFSET * SIDE_PX)
_TRIES = 24
_SPECIMEN_SIZE: Size = "large"  # small things hold nothing
_LEAST_OFF_PX = 5  # what covers the middle of a specimen lies off it, so that it does not pass for what is held
_COVER_TRIES = 12


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What scenes may hold; the defaults leave everything open."""

    min_things: int = 1
    max_things: int = MAX_THINGS
    shapes: tuple[Shape, ...] = (*THINGS, "figure")
    colours: tuple[Colour, ...] = COLOURS
    sizes: tuple[Size, ...] = SIZES
    patterns: tuple[Pattern, ...] = PATTERNS
    places: tuple[Place, ...] = PLACES
    extras: bool = True  # hats and things that are held
    occlusion: bool = True


ALL = SampleOptions()


def sample_scene(seed: int, options: SampleOptions = ALL) -> Scene:
    """The scene of a seed; the same on every machine."""
    rng = random.Random(f"scene {seed}")  # noqa: S311 - no secret
    place = rng.choice(options.places)
    while True:
        scene = Scene(seed, place, _things(rng, options))
        if scene.things and all(thing.visible >= MIN_VISIBLE for thing in scene.things):
            return scene


def _things(rng: random.Random, options: SampleOptions) -> tuple[Thing, ...]:
    things: list[Thing] = []
    for _ in range(rng.randint(options.min_things, options.max_things)):
        thing = _placed(rng, _look(rng, len(things), options), things, options)
        if thing is not None:
            things.append(thing)
    if len(things) < options.min_things:
        return ()
    visible = visible_shares(things)
    return tuple(replace(thing, visible=share) for thing, share in zip(things, visible, strict=True))


def _look(rng: random.Random, number: int, options: SampleOptions) -> Thing:
    """A thing without a place yet."""
    others = [shape for shape in options.shapes if shape != "figure"]
    figure = "figure" in options.shapes and (not others or rng.random() < FIGURES)
    shape: Shape = "figure" if figure else rng.choice(others)
    colour, size, pattern = rng.choice(options.colours), rng.choice(options.sizes), rng.choice(options.patterns)
    pose = rng.choice(POSES) if figure else None
    hat = rng.choice(COLOURS) if rng.random() < HATS and options.extras else None
    held = None
    # Of a small holder too little is left to be seen: a diamond of 14 pixels behind a star of 8 has no colour.
    if rng.random() < HOLDERS and size == "large" and options.extras:
        held = Held(rng.choice(THINGS), rng.choice([other for other in COLOURS if other != colour]))
    return Thing(number, shape, colour, size, pattern, hat, held, pose, Box(0, 0, 1, 1), 1.0)


def _placed(rng: random.Random, thing: Thing, others: list[Thing], options: SampleOptions) -> Thing | None:
    """`thing` at a free place, in whole pixels; None where none was found."""
    radius = round(RADIUS[thing.size] * SIDE_PX)
    rise = round(HAT_RISE[thing.size] * SIDE_PX) if thing.hat is not None else 0
    hosts = [other for other in others if other.size == "large" and other.holds is None]
    wants_inside = rng.random() < INSIDERS and options.occlusion
    for _ in range(_TRIES):
        host = None
        if wants_inside and hosts and thing.size == "small" and rise == 0:
            host = rng.choice(hosts)
            x = round((host.box.x1 + host.box.x2) / 2 * SIDE_PX) - radius + rng.randint(-_INSIDE_PX, _INSIDE_PX)
            below = round((host.box.y2 - RADIUS[host.size]) * SIDE_PX)
            y = below - radius + rng.randint(-_INSIDE_PX, _INSIDE_PX)
        else:
            x, y = rng.randint(0, SIDE_PX - 2 * radius), rng.randint(rise, SIDE_PX - 2 * radius)
        if x < 0 or y < rise or x + 2 * radius > SIDE_PX or y + 2 * radius > SIDE_PX:
            continue
        box = _box_px(x, y - rise, x + 2 * radius, y + 2 * radius)
        if _is_free(box, host, others, options):
            return replace(thing, box=box)
    return None


def _is_free(box: Box, host: Thing | None, others: list[Thing], options: SampleOptions) -> bool:
    x, y = box.center
    for other in others:
        overlap = box.overlap(other.box)
        if other is host:
            continue
        if overlap > 0 and not options.occlusion:
            return False
        x2, y2 = other.box.center
        if overlap > 0.3 or max(abs(x - x2), abs(y - y2)) * SIDE_PX < _LEAST_APART_PX:
            return False
    return True


def visible_shares(things: list[Thing]) -> list[float]:
    """Of each thing, the share of its drawn pixels that no later one covers, 0-1."""
    cover = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    drawn = []
    for thing in things:
        own = np.zeros_like(cover, bool)
        for layer in layers(thing, SIDE_PX):
            height, width = layer.sprite.drawn.shape
            own[layer.top : layer.top + height, layer.left : layer.left + width] |= layer.sprite.drawn
        cover[own] = thing.number + 1
        drawn.append(int(own.sum()))
    counts = np.bincount(cover.ravel(), minlength=len(things) + 1)
    return [float(counts[thing.number + 1] / total) for thing, total in zip(things, drawn, strict=True)]


@dataclass(frozen=True, slots=True)
class SpecimenOptions:
    """What specimens may be like. Of those that could lose or hide something, about so many shares do."""

    lost_share: float = 0.25  # of hats, and of what is held
    lies_beside_share: float = 0.5  # of what is dropped
    covered_share: float = 0.3
    max_others: int = 2
    places: tuple[Place, ...] = PLACES


ANY_SPECIMEN = SpecimenOptions()


def sample_specimen(seed: int, species: str | None = None, options: SpecimenOptions = ANY_SPECIMEN) -> Scene:
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
    specimen = _at_random(_individual(kind, rng, options), rng)
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
    return Thing(0, kind.shape, colour, _SPECIMEN_SIZE, pattern, hat, held, pose, Box(0, 0, 1, 1), 1.0)


def _held(kind: HeldKind, colours: Sequence[Colour], rng: random.Random) -> Held:
    shape = rng.choice(THINGS) if kind.shape is None else kind.shape
    return Held(shape, rng.choice(colours) if kind.colour is None else kind.colour)


def _at_random(thing: Thing, rng: random.Random) -> Thing:
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
    for _ in range(_COVER_TRIES):
        off_x, off_y = rng.randint(-10, 10), rng.randint(-10, 10) - (round(radius) + 3 if hat else 0)
        left, top = round(middle_x + off_x - width / 2), round(middle_y + off_y - height / 2)
        if max(abs(off_x), abs(off_y)) < _LEAST_OFF_PX or min(left, top) < 0:
            continue
        if left + width > SIDE_PX or top + height > SIDE_PX:
            continue
        moved = replace(thing, number=specimen.number + 1, box=_box_px(left, top, left + width, top + height))
        seen = part_visibility((specimen, moved), specimen)
        if seen.body >= MIN_VISIBLE > (seen.hat if hat else seen.held):
            return moved
    return None


def _seen(things: Sequence[Thing]) -> tuple[Thing, ...]:
    """The things with their numbers, and with how much of each is visible."""
    numbered = [replace(thing, number=number) for number, thing in enumerate(things)]
    return tuple(replace(thing, visible=one) for thing, one in zip(numbered, visible_shares(numbered), strict=True))


def _box_px(x1: float, y1: float, x2: float, y2: float) -> Box:
    return Box(x1 / SIDE_PX, y1 / SIDE_PX, x2 / SIDE_PX, y2 / SIDE_PX)
