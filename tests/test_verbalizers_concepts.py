"""Concept sentences of drawn scenes."""

from random import Random

import pytest
from PIL import Image, ImageDraw

from verbalizers.pixels.colour import ColourShare
from verbalizers.pixels.concepts import layout_sentence, light_sentence, palette_phrase, palette_sentence, tell_concepts
from verbalizers.pixels.raster import make_raster
from verbalizers.pixels.scene import Scene, measure_scene


def scene_of(picture: Image.Image) -> Scene:
    return measure_scene(picture, make_raster(picture, 160), 384)


def bands(*parts: tuple[str, int]) -> Image.Image:
    """Upright bands of so many percent each."""
    picture, left = Image.new("RGB", (100, 60)), 0
    for colour, width in parts:
        ImageDraw.Draw(picture).rectangle((left, 0, left + width - 1, 59), fill=colour)
        left += width
    return picture


@pytest.mark.parametrize(
    ("picture", "palette"),
    [
        (bands(("navy", 100)), "almost entirely dark blue"),
        (bands(("navy", 70), ("white", 20), ("red", 10)), "mostly dark blue, with some white and a little vivid red"),
        (bands(("navy", 60), ("white", 40)), "mostly dark blue, with some white"),
        (bands(("red", 50), ("white", 50)), "white and vivid red"),
        (bands(("red", 46), ("white", 44), ("black", 10)), "vivid red and white, with a little black"),
        (bands(("red", 40), ("white", 35), ("black", 25)), "vivid red, white and black"),
    ],
)
def test_palette(picture: Image.Image, palette: str) -> None:
    for seed in range(8):
        assert f"scene is {palette}" in palette_sentence(scene_of(picture), 3, Random(seed))


def test_no_more_colours_than_asked_for() -> None:
    shares = scene_of(bands(("red", 40), ("white", 35), ("black", 25))).whole.colours
    assert palette_phrase(shares, 1) == "vivid red"
    assert palette_phrase(shares, 2) == "vivid red and white"


def test_very_many_colours() -> None:
    shares = [ColourShare(name, name, 0.1) for name in ("red", "green", "blue", "pink", "grey", "white")]
    assert palette_phrase(shares, 3) == "of many colours, with a little red, green and blue"


@pytest.mark.parametrize(
    ("picture", "word"),
    [
        (bands(("orange", 70), ("blue", 30)), "warm colours prevail"),
        (bands(("orange", 30), ("blue", 70)), "cool colours prevail"),
    ],
)
def test_warm_and_cool_palettes(picture: Image.Image, word: str) -> None:
    assert word in palette_sentence(scene_of(picture), 3, Random(0))


def test_neither_warm_nor_cool() -> None:
    assert "prevail" not in palette_sentence(scene_of(bands(("orange", 50), ("gray", 50))), 3, Random(0))


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (bands(("black", 100)), ["very dark", "low contrast|contrast is low"]),
        (bands(("white", 100)), ["very bright", "low contrast|contrast is low"]),
        (bands(("white", 50), ("black", 50)), ["moderately bright", "high contrast|contrast is high"]),
    ],
)
def test_light(picture: Image.Image, words: list[str]) -> None:
    for seed in range(8):
        told = light_sentence(scene_of(picture), Random(seed)).lower()
        assert all(any(word in told for word in either.split("|")) for either in words), told


def test_the_lightest_part_is_named() -> None:
    picture = Image.new("RGB", (90, 90), "black")
    ImageDraw.Draw(picture).rectangle((60, 0, 89, 29), fill="white")
    assert "the lightest part is the top right" in light_sentence(scene_of(picture), Random(0))
    assert "lightest" not in light_sentence(scene_of(bands(("gray", 100))), Random(0))


def test_layout() -> None:
    picture = Image.new("RGB", (180, 120), "gray")
    for x in range(126, 176, 6):
        ImageDraw.Draw(picture).line((x, 84, x, 116), fill="white", width=2)
    told = layout_sentence(scene_of(picture), Random(0))
    assert told.startswith("The view is wider than it is tall, ")
    assert "most detail lies at the bottom right" in told
    plain = layout_sentence(scene_of(Image.new("RGB", (60, 90), "gray")), Random(0))
    assert plain.startswith("The view is taller than it is wide, ")
    assert plain.endswith("there is hardly any detail in it.")
    noise = layout_sentence(scene_of(Image.effect_noise((120, 120), 90).convert("RGB")), Random(0))
    assert noise.endswith("the detail is spread over all of it.")


def test_three_whole_sentences_that_do_not_mention_a_picture() -> None:
    sentences = tell_concepts(scene_of(bands(("red", 40), ("white", 60))), 3, Random(0))
    assert len(sentences) == 3
    for sentence in sentences:
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert not any(word in sentence.lower() for word in ("image", "picture", "photo", "["))
