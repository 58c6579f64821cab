"""Scenes drawn at random: everything about one follows from its seed.

Things are put down one after the other, wherever there is room, and a scene in which one of them is covered too much
is drawn again. What is visible is counted on the very masks that are rendered, so that record and picture agree.
"""

import random
from dataclasses import dataclass, replace

import numpy as np

from microworld.scenes import (
    COLOURS,
    HAT_RISE,
    MAX_THINGS,
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
from microworld.sprites import layers
from ostensive.records import Box

MIN_VISIBLE = 0.5
"""The least share of a thing's pixels that later things leave to be seen."""
FIGURES = 0.2
HATS = 0.2
HOLDERS = 0.33
INSIDERS = 0.12
"""Shares of the things that are figures and wear hats; of the large ones that hold something; and of those that are put
inside a large one, where there is one."""
_LEAST_APART_PX = 6  # between the middles of two things, so that one does not pass for a part of the other
_INSIDE_PX = 3  # as `scenes.INSIDE_OFFSET`
_TRIES = 24


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
        box = Box(x / SIDE_PX, (y - rise) / SIDE_PX, (x + 2 * radius) / SIDE_PX, (y + 2 * radius) / SIDE_PX)
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
