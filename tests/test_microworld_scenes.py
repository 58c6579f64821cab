"""Scenes of the microworld: what is recorded is what is drawn, and a seed says it all."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microworld.render import cover_of, ground, render, render_pixels
from microworld.sample import SampleOptions, sample_scene
from microworld.scenes import (
    COLOURS,
    MAX_THINGS,
    MIN_VISIBLE,
    PATTERNS,
    PLACES,
    POSES,
    SHAPES,
    SIDE_PX,
    SIZES,
    Scene,
    beside,
    inside,
    is_nearest,
)
from microworld.sprites import INK

SEEDS = st.integers(0, 2**31)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_scene_is_whole_and_follows_from_its_seed(seed: int) -> None:
    scene = sample_scene(seed)
    assert scene == sample_scene(seed)
    assert scene.seed == seed
    assert 1 <= len(scene.things) <= MAX_THINGS
    assert [thing.number for thing in scene.things] == list(range(len(scene.things)))
    for thing in scene.things:
        assert MIN_VISIBLE <= thing.visible <= 1
        assert thing.is_agent == (thing.pose is not None)
        assert thing.holds is None or thing.holds.colour != thing.colour, "what is held can be told from its holder"
    assert np.array_equal(render_pixels(scene), render_pixels(scene))


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_last_thing_is_drawn_in_its_box_and_in_its_colours(seed: int) -> None:
    """Nothing covers the last thing, so that all of it can be found again in the pixels."""
    scene = sample_scene(seed)
    last = scene.things[-1]
    rows, columns = np.nonzero(cover_of(scene) == last.number + 1)
    left, top, right, bottom = last.box.pixels(SIDE_PX, SIDE_PX)
    assert abs(columns.min() - left) <= 1
    assert abs(columns.max() + 1 - right) <= 1
    assert abs(rows.min() - top) <= 1
    assert abs(rows.max() + 1 - bottom) <= 1
    assert last.visible == pytest.approx(1)
    pixels = render_pixels(scene)[rows, columns].astype(int)
    plain = (np.abs(pixels - np.array(INK[last.colour])).max(axis=1) <= 12).sum()
    assert plain >= 4, "the colour that the thing is said to have is there to be seen"


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_what_is_visible_is_counted_on_the_picture(seed: int) -> None:
    scene = sample_scene(seed)
    cover = cover_of(scene)
    for thing in scene.things:
        alone = cover_of(Scene(seed, scene.place, (replace(thing, number=0),)))
        assert (cover == thing.number + 1).sum() / (alone == 1).sum() == pytest.approx(thing.visible)


def test_everything_comes_up() -> None:
    scenes = [sample_scene(seed) for seed in range(400)]
    things = [thing for scene in scenes for thing in scene.things]
    assert {scene.place for scene in scenes} == set(PLACES)
    assert {len(scene.things) for scene in scenes} == set(range(1, MAX_THINGS + 1))
    for name, values in (("shape", SHAPES), ("colour", COLOURS), ("size", SIZES), ("pattern", PATTERNS)):
        assert {getattr(thing, name) for thing in things} == set(values)
    assert {thing.pose for thing in things if thing.is_agent} == set(POSES)
    assert {thing.hat for thing in things} == {*COLOURS, None}
    assert any(thing.holds for thing in things)
    assert any(thing.visible < 1 for thing in things), "some are covered in part"
    pairs = [(a, b, scene) for scene in scenes for a in scene.things for b in scene.things if a.number != b.number]
    assert {beside(a.box, "left of", b.box) for a, b, _ in pairs} == {True, False, None}
    assert any(inside(a, b) for a, b, _ in pairs)
    assert {is_nearest(a, b, scene) for a, b, scene in pairs} == {True, False, None}


def test_options_leave_out_what_they_say() -> None:
    plain = SampleOptions(
        min_things=2, max_things=3, shapes=("circle", "star"), patterns=("plain",), sizes=("large",), extras=False,
        occlusion=False,
    )  # fmt: skip
    for seed in range(60):
        scene = sample_scene(seed, plain)
        assert 2 <= len(scene.things) <= 3
        for thing in scene.things:
            assert (thing.shape in ("circle", "star"), thing.pattern, thing.size) == (True, "plain", "large")
            assert (thing.hat, thing.holds, thing.visible) == (None, None, 1.0)
    figures = SampleOptions(shapes=("figure",))
    assert all(thing.is_agent for seed in range(9) for thing in sample_scene(seed, figures).things)


@pytest.mark.parametrize("place", PLACES)
def test_places_have_texture_and_vary(place: str) -> None:
    grounds = [ground(place, seed) for seed in range(6)]  # type: ignore[arg-type]  # a parameter is typed as str
    assert len({one.tobytes() for one in grounds}) == 6
    for one in grounds:
        assert one.astype(float).std(axis=(0, 1)).max() > 4, "more than one colour"


def test_places_are_told_apart_by_their_mean_colour_or_texture() -> None:
    means = {place: np.mean([ground(place, seed).mean(axis=(0, 1)) for seed in range(8)], axis=0) for place in PLACES}
    for one in PLACES:
        for other in PLACES:
            assert one == other or np.abs(means[one] - means[other]).max() > 15


@pytest.mark.parametrize("side_px", [64, 96, 256])
def test_pictures_of_any_size(side_px: int) -> None:
    scene = sample_scene(3)
    picture = render(scene, side_px)
    assert (picture.size, picture.mode) == ((side_px, side_px), "RGB")
    assert len(np.unique(cover_of(scene, side_px))) == len(scene.things) + 1


def test_nothing_vanishes_on_its_ground() -> None:
    """Each thing has an edge or a body that differs from the ground it stands on."""
    for seed in range(120):
        scene = sample_scene(seed)
        last = scene.things[-1]
        where = cover_of(scene) == last.number + 1
        difference = np.abs(render_pixels(scene).astype(int) - ground(scene.place, seed).astype(int)).max(axis=2)
        assert (difference[where] > 40).mean() > 0.25, (seed, last)
