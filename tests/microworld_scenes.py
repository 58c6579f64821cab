"""Scenes for tests of the language: anything a scene may be, drawn without regard to beauty."""

import random

from microworld.scenes import (
    COLOURS,
    PATTERNS,
    PLACES,
    POSES,
    RADIUS,
    SHAPES,
    SIZES,
    THINGS,
    Held,
    Scene,
    Thing,
)
from ostensive.records import Box, Region


def thing(number: int, rng: random.Random) -> Thing:
    shape, size = rng.choice(SHAPES), rng.choice(SIZES)
    radius = RADIUS[size]
    x, y = (rng.uniform(radius, 1 - radius) for _ in range(2))
    figure = shape == "figure"
    holds = Held(rng.choice(THINGS), rng.choice(COLOURS)) if rng.random() < 0.2 else None
    hat = rng.choice(COLOURS) if rng.random() < 0.25 else None
    top = max(0.0, y - radius - (0.06 if hat else 0.0))
    visible = 1.0 if rng.random() < 0.8 else rng.uniform(0.15, 1.0)
    pattern, pose = rng.choice(PATTERNS), rng.choice(POSES) if figure else None
    box = Box(x - radius, top, x + radius, y + radius)
    return Thing(number, shape, rng.choice(COLOURS), size, pattern, hat, holds, pose, box, visible)


def scene(seed: int) -> Scene:
    rng = random.Random(f"scene {seed}")
    things = tuple(thing(number, rng) for number in range(rng.randint(1, 6)))
    return Scene(seed, rng.choice(PLACES), things)


def regions_of(scene: Scene, captions: dict[int, str] | None = None) -> tuple[Region, ...]:
    """A region around each thing, in an order of its own, so that numbers of things and of regions differ."""
    things = random.Random(scene.seed).sample(scene.things, len(scene.things))
    return tuple(
        Region(number, one.box, one.shape, 0.9, (captions or {}).get(one.number, ""))
        for number, one in enumerate(things)
    )
