"""Captions of drawn regions: each word is one that the drawing makes true."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from ostensive.records import Box
from verbalizers.pixels.captions import caption_of, measure_region
from verbalizers.pixels.raster import make_raster


def captions_of(picture: Image.Image, box: Box, label: str = "area") -> set[str]:
    """All wordings."""
    facts = measure_region(make_raster(picture, 160), box, label)
    return {caption_of(facts, Random(seed)) for seed in range(20)}


def drawn(box: tuple[int, int, int, int], colour: str, ground: str) -> Image.Image:
    picture = Image.new("RGB", (100, 100), ground)
    ImageDraw.Draw(picture).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour)
    return picture


def test_size_colour_texture_surroundings_and_place() -> None:
    captions = captions_of(drawn((10, 70, 30, 90), "navy", "white"), Box(0.1, 0.7, 0.3, 0.9))
    assert len(captions) > 1
    for caption in captions:
        assert caption.startswith("a small, dark blue area")
        assert "at the bottom left" in caption
        assert "with an even surface" in caption
        assert "against white" in caption or "white around it" in caption


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 100, 30), ["large, wide, vivid red area", "across the top"]),
        ((80, 0, 100, 100), ["large, very tall, vivid red area", "along the right side"]),
        ((45, 45, 53, 53), ["tiny, vivid red area", "in the centre"]),
        ((0, 0, 80, 70), ["very large, vivid red area", "across the top and middle"]),
    ],
)
def test_size_shape_and_place_words(box: tuple[int, int, int, int], words: list[str]) -> None:
    for caption in captions_of(drawn(box, "red", "white"), Box(*(value / 100 for value in box))):
        assert all(word in caption for word in words), caption


@given(
    st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(8, 60), st.integers(8, 60)),
    st.sampled_from(
        [("navy", "dark blue"), ("yellow", "vivid yellow"), ("black", "black"), ("lightgray", "light grey")]
    ),
    st.sampled_from([("white", "white"), ("darkgreen", "dark green")]),
    st.integers(0, 5),
)
def test_any_drawn_rectangle_is_told_truly(
    place: tuple[int, int, int, int], colour: tuple[str, str], ground: tuple[str, str], seed: int
) -> None:
    left, top = place[0], place[1]
    right, bottom = min(left + place[2], 100), min(top + place[3], 100)
    box = Box(left / 100, top / 100, right / 100, bottom / 100)
    facts = measure_region(make_raster(drawn((left, top, right, bottom), colour[0], ground[0]), 160), box, "area")
    caption = caption_of(facts, Random(seed))
    assert f"{colour[1]} area" in caption
    assert ground[1] in caption
    assert "even surface" in caption
    area = (right - left) * (bottom - top) / 10_000
    size = "tiny" if area < 0.01 else "small" if area < 0.05 else "medium-sized" if area < 0.15 else "large"
    assert caption.startswith(("a ", "an "))
    assert size in caption.split(" area")[0]
    x, y = box.center
    if "at the top" in caption:
        assert y < 1 / 3
    if "at the bottom" in caption:
        assert y >= 2 / 3
    if "on the left" in caption or "top left" in caption or "bottom left" in caption:
        assert x < 1 / 3
    if "in the centre" in caption:
        assert 1 / 3 <= x <= 2 / 3
        assert 1 / 3 <= y <= 2 / 3


def test_two_and_many_colours() -> None:
    picture = Image.new("RGB", (100, 100), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 20, 49, 79), fill="red")
    draw.rectangle((50, 20, 79, 79), fill="blue")
    for caption in captions_of(picture, Box(0.2, 0.2, 0.8, 0.8)):
        assert "vivid red and vivid blue area" in caption
        assert "fine detail" not in caption, "two even halves have none, whatever is around them"
    for index, colour in enumerate(["red", "blue", "yellow", "black", "green", "pink"]):
        draw.rectangle((20 + 10 * index, 20, 29 + 10 * index, 79), fill=colour)
    for caption in captions_of(picture, Box(0.2, 0.2, 0.8, 0.8)):
        assert "area in a mix of" in caption


def test_mostly_one_colour() -> None:
    picture = drawn((20, 20, 80, 62), "red", "white")
    for caption in captions_of(picture, Box(0.2, 0.2, 0.8, 0.8)):
        assert "mostly vivid red area" in caption


def test_surroundings_are_named_only_where_one_colour_prevails() -> None:
    picture = drawn((40, 40, 60, 60), "red", "white")
    ImageDraw.Draw(picture).rectangle((50, 0, 99, 99), fill="black")
    ImageDraw.Draw(picture).rectangle((40, 40, 59, 59), fill="red")
    for caption in captions_of(picture, Box(0.4, 0.4, 0.6, 0.6)):
        assert "against" not in caption
        assert "around" not in caption
    for caption in captions_of(Image.new("RGB", (50, 50), "red"), Box(0.4, 0.4, 0.6, 0.6)):
        assert "around" not in caption, "the same colour around is no contrast"


def test_a_face_is_told_as_a_likeness() -> None:
    for caption in captions_of(drawn((40, 10, 60, 30), "tan", "black"), Box(0.4, 0.1, 0.6, 0.3), "face"):
        assert "part that looks like a face" in caption
        assert "area" not in caption


def test_the_whole_view() -> None:
    for caption in captions_of(Image.new("RGB", (30, 30), "white"), Box(0.0, 0.0, 1.0, 1.0)):
        assert caption.startswith("a very large, white area")
        assert "over the whole view" in caption
