"""Places, sizes, shapes, detail and symmetry against drawings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from ostensive.records import Box
from verbalizers.pixels import layout
from verbalizers.pixels.raster import make_raster
from verbalizers.pixels.scene import Scene, measure_scene


def scene_of(picture: Image.Image) -> Scene:
    return measure_scene(picture, make_raster(picture, 160), 384)


@pytest.mark.parametrize(
    ("box", "phrase"),
    [
        (Box(0.0, 0.0, 0.2, 0.2), "at the top left"),
        (Box(0.4, 0.05, 0.6, 0.2), "at the top"),
        (Box(0.8, 0.0, 1.0, 0.3), "at the top right"),
        (Box(0.1, 0.4, 0.2, 0.6), "on the left"),
        (Box(0.4, 0.4, 0.6, 0.6), "in the centre"),
        (Box(0.7, 0.4, 0.9, 0.6), "on the right"),
        (Box(0.0, 0.8, 0.1, 1.0), "at the bottom left"),
        (Box(0.45, 0.9, 0.55, 1.0), "at the bottom"),
        (Box(0.9, 0.9, 1.0, 1.0), "at the bottom right"),
        (Box(0.0, 0.0, 1.0, 0.2), "across the top"),
        (Box(0.1, 0.4, 1.0, 0.6), "across the middle"),
        (Box(0.0, 0.3, 1.0, 1.0), "across the middle and bottom"),
        (Box(0.0, 0.0, 0.2, 1.0), "along the left side"),
        (Box(0.4, 0.1, 0.6, 1.0), "down the middle"),
        (Box(0.0, 0.0, 0.6, 1.0), "down the left and middle"),
        (Box(0.05, 0.05, 0.95, 0.95), "over nearly the whole view"),
        (Box(0.0, 0.0, 1.0, 1.0), "over the whole view"),
    ],
)
def test_place_of_a_box(box: Box, phrase: str) -> None:
    assert layout.place_phrase(box) == phrase


@given(st.floats(0, 1), st.floats(0, 1))
def test_places_mirror_with_the_point(x: float, y: float) -> None:
    swap = {"left": "right", "right": "left"}
    near_a_border = any(abs(3 * x - border) < 1e-6 for border in (1, 2))
    mirrored = " ".join(swap.get(word, word) for word in layout.place_of(x, y).split())
    assert near_a_border or layout.place_of(1 - x, y) == mirrored


@pytest.mark.parametrize(
    ("area", "word"), [(0.001, "tiny"), (0.02, "small"), (0.1, "medium-sized"), (0.3, "large"), (0.4, "very large")]
)
def test_size_words(area: float, word: str) -> None:
    assert layout.size_word(area) == word


@pytest.mark.parametrize(
    ("width", "height", "word"),
    [(10, 10, None), (19, 10, None), (20, 10, "wide"), (10, 20, "tall"), (50, 10, "very wide"), (1, 40, "very tall")],
)
def test_shape_words(width: int, height: int, word: str | None) -> None:
    assert layout.shape_word(width, height) == word


@pytest.mark.parametrize(
    ("size", "phrase"),
    [
        ((100, 100), "about as wide as it is tall"),
        ((100, 98), "about as wide as it is tall"),
        ((150, 100), "wider than it is tall"),
        ((100, 150), "taller than it is wide"),
        ((4000, 100), "much wider than it is tall"),
        ((100, 200), "much taller than it is wide"),
    ],
)
def test_format(size: tuple[int, int], phrase: str) -> None:
    assert layout.format_phrase(*size) == phrase


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 160, 161])
def test_thirds_are_never_empty_and_cover_everything(length: int) -> None:
    pixels = np.arange(length)
    parts = [pixels[part] for part in layout.thirds(length)]
    assert all(len(part) for part in parts)
    assert sorted(set(np.concatenate(parts).tolist())) == list(range(length))


@pytest.mark.parametrize("cell", range(9))
def test_most_detail_is_where_a_pattern_was_drawn(cell: int) -> None:
    picture = Image.new("RGB", (180, 120), "gray")
    draw = ImageDraw.Draw(picture)
    left, top = 60 * (cell % 3), 40 * (cell // 3)
    for x in range(left + 6, left + 54, 6):
        draw.line((x, top + 6, x, top + 34), fill="white", width=2)
    shares = scene_of(picture).detail_shares
    assert shares is not None
    assert layout.busiest(shares) == layout.PLACES[cell]


@pytest.mark.parametrize("cell", [0, 4, 8])
def test_least_detail_is_where_nothing_was_drawn(cell: int) -> None:
    picture = Image.effect_noise((180, 180), 90).convert("RGB")
    left, top = 60 * (cell % 3), 60 * (cell // 3)
    ImageDraw.Draw(picture).rectangle((left, top, left + 59, top + 59), fill="gray")
    shares = scene_of(picture).detail_shares
    assert shares is not None
    assert layout.plainest(shares) == layout.PLACES[cell]
    assert layout.busiest(shares) is None


def test_detail_that_is_spread_has_no_place_and_none_has_no_shares() -> None:
    noise = scene_of(Image.effect_noise((150, 150), 90).convert("RGB")).detail_shares
    assert noise is not None
    assert (layout.busiest(noise), layout.plainest(noise)) == (None, None)
    assert scene_of(Image.new("RGB", (90, 90), "red")).detail_shares is None


def test_mirror_images_are_told_from_others() -> None:
    half = Image.effect_noise((60, 120), 120).convert("RGB").resize((6, 12)).resize((60, 120))
    ImageDraw.Draw(half).rectangle((0, 0, 20, 60), fill="black")
    ImageDraw.Draw(half).rectangle((30, 80, 59, 100), fill="white")
    mirrored = Image.new("RGB", (120, 120))
    mirrored.paste(half, (0, 0))
    mirrored.paste(ImageOps.mirror(half), (60, 0))
    likeness = scene_of(mirrored).mirror
    assert likeness is not None
    assert likeness > 0.98
    lopsided = Image.new("RGB", (120, 120), "white")
    ImageDraw.Draw(lopsided).rectangle((0, 0, 59, 119), fill="black")
    unlike = scene_of(lopsided).mirror
    assert unlike is not None
    assert unlike < -0.9
    assert scene_of(Image.new("RGB", (120, 120), "white")).mirror is None
