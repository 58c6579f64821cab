"""Corrupted pictures: as large as the clean one, the same each time, and spoilt as they say."""

import re

import numpy as np
import PIL.Image
import pytest
from drawing import draw_scene
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.preferences import corrupting
from builders.preferences.corrupting import change_of, corrupted
from builders.preferences.settings import Corruption, PreferencesSettings
from ostensive.chat.pictures import presentable
from ostensive.errors import SettingsError
from ostensive.settings import validate

WAYS: tuple[Corruption, ...] = ("resize", "colour", "blur", "crop", "noise")
DEFAULTS = PreferencesSettings()
SCENE = draw_scene(3, width=200, height=120)


def pixels(picture: PIL.Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    return np.asarray(picture, dtype=np.int16)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(WAYS), st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**31 - 1))
def test_any_picture_keeps_its_size_and_comes_out_the_same(
    name: Corruption, width: int, height: int, seed: int
) -> None:
    picture = presentable(draw_scene(1, width=width + 30, height=height + 30).crop((0, 0, width, height)))
    before = picture.tobytes()
    first, second = (corrupted(picture, name, DEFAULTS, seed) for _ in range(2))
    assert (first.picture.size, first.picture.mode) == (picture.size, "RGB")
    assert (first.done, first.picture.tobytes()) == (second.done, second.picture.tobytes())
    assert first.done.startswith(f"{name}: ")
    assert picture.tobytes() == before, "the clean picture is left as it is"


@pytest.mark.parametrize("name", WAYS)
def test_a_picture_with_something_in_it_is_changed(name: Corruption) -> None:
    spoilt = corrupted(SCENE, name, DEFAULTS, 5).picture
    assert 0.01 < change_of(SCENE, spoilt) < 0.6
    others = [corrupted(SCENE, name, DEFAULTS, seed).done for seed in range(20)]
    assert (len(set(others)) > 1) == (name in ("colour", "crop", "noise"))


def test_resize_leaves_what_twenty_rows_can_hold() -> None:
    rng = np.random.default_rng(0)
    noise = PIL.Image.fromarray(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8))
    found = corrupting.reduced(noise, 20)
    # 12 x 12 pixels are averaged: noise of 256 levels is left with a twelfth of its deviation, or less.
    assert pixels(found).std() < pixels(noise).std() / 10


def test_a_small_picture_is_halved() -> None:
    sizes = {(640, 480): 20, (40, 90): 20, (38, 30): 15, (28, 28): 14, (1, 9): 1}
    assert {size: corrupting.reduced_side_px(size, 20) for size in sizes} == sizes
    small = SCENE.crop((0, 0, 38, 30))
    assert corrupted(small, "resize", DEFAULTS, 0).done == "resize: shorter side 15 px"


@pytest.mark.slow  # importing torchvision takes five seconds
def test_light_and_hue_are_those_of_torchvision() -> None:
    from torchvision.transforms import functional

    for factor, turn in ((0.5, -0.3), (1.5, 0.3), (1.0, 0.0), (0.731, 0.112), (1.204, -0.5), (1.1, 0.5)):
        assert change_of(corrupting.brightened(SCENE, factor), functional.adjust_brightness(SCENE, factor)) == 0
        ours, theirs = corrupting.hue_turned(SCENE, turn), functional.adjust_hue(SCENE, turn)
        assert change_of(ours, theirs) == 0


def test_light_and_hue_are_drawn_from_the_ranges_of_the_paper() -> None:
    done = [corrupted(SCENE, "colour", DEFAULTS, seed).done for seed in range(300)]
    factors = [float(re.findall(r"brightness ([\d.]+)", text)[0]) for text in done]
    turns = [float(re.findall(r"hue ([+-][\d.]+)", text)[0]) for text in done]
    assert 0.5 <= min(factors) < 0.55 < 1.45 < max(factors) <= 1.5
    assert -0.3 <= min(turns) < -0.27 < 0.27 < max(turns) <= 0.3
    first = sum(text.startswith("colour: brightness") for text in done)
    assert 100 < first < 200, "either comes first as often"


def test_the_numbers_of_a_row_give_its_picture_again() -> None:
    colour = corrupted(SCENE, "colour", DEFAULTS, 11)
    steps = re.findall(r"(brightness|hue) ([+-]?[\d.]+)", colour.done)
    again = SCENE
    for name, number in steps:
        change = corrupting.brightened if name == "brightness" else corrupting.hue_turned
        again = change(again, float(number))
    assert len(steps) == 2
    assert again.tobytes() == colour.picture.tobytes()
    noise = corrupted(SCENE, "noise", DEFAULTS, 11)
    deviation, seed = re.findall(r"[\d.]+", noise.done)
    assert corrupting.noised(SCENE, float(deviation), int(seed)).tobytes() == noise.picture.tobytes()


def test_grey_stays_grey_when_hues_turn() -> None:
    grey = SCENE.convert("L").convert("RGB")
    assert change_of(grey, corrupting.hue_turned(grey, 0.3)) == 0
    assert change_of(SCENE, corrupting.hue_turned(SCENE, 0.3)) > 0.02


def test_a_crop_is_a_part_of_the_picture() -> None:
    halves = PIL.Image.new("RGB", (200, 100), "red")
    halves.paste("blue", (100, 0, 200, 100))
    left, right = (corrupting.cropped(halves, 0.4, across, 0.5) for across in (0.0, 1.0))
    assert left.getcolors() == [(20000, (255, 0, 0))]
    assert right.getcolors() == [(20000, (0, 0, 255))]


def test_how_much_changed() -> None:
    black, white = (PIL.Image.new("RGB", (4, 3), colour) for colour in ("black", "white"))
    assert change_of(black, black) == 0
    assert change_of(black, white) == 1
    assert change_of(black, white.resize((3, 4))) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"corruptions": ["blur", "blur"]}, "corruptions: each corruption at most once is expected"),
        ({"corruptions": []}, "corruptions: "),
        ({"corruptions": ["smear"]}, "corruptions.0: "),
        ({"crop": {"side_share": 1}}, "crop.side_share: "),
        ({"colour": {"hue": 0.6}}, "colour.hue: "),
        ({"pairs": 0}, "pairs: "),
    ],
)
def test_settings_that_are_wrong(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"here: {message}")):
        validate(PreferencesSettings, values, "here")
