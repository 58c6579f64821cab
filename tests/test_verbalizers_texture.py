"""Textures drawn and recognised."""

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ostensive.records import Box
from verbalizers.pixels.raster import make_raster
from verbalizers.pixels.texture import measure_texture, texture_phrase

WHOLE = Box(0.0, 0.0, 1.0, 1.0)


def phrase_of(picture: Image.Image, box: Box = WHOLE) -> str | None:
    return texture_phrase(measure_texture(make_raster(picture, 160), box))


def stripes(angle_degrees: float, period_px: float = 12.0) -> Image.Image:
    """Lines in the direction of the angle: 0 horizontal, 90 vertical."""
    y, x = np.mgrid[:160, :160]
    angle = math.radians(angle_degrees)
    phase = (-x * math.sin(angle) + y * math.cos(angle)) * 2 * math.pi / period_px
    grey = (127 + 100 * np.sin(phase)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


@pytest.mark.parametrize("colour", ["black", "white", "steelblue"])
def test_one_colour_is_even(colour: str) -> None:
    assert phrase_of(Image.new("RGB", (100, 80), colour)) == "an even surface"


@pytest.mark.parametrize(
    ("angle", "word"),
    [(0, "horizontal"), (8, "horizontal"), (90, "vertical"), (82, "vertical"), (45, "slanting"), (135, "slanting")],
)
def test_direction_of_lines(angle: float, word: str) -> None:
    assert phrase_of(stripes(angle)) == f"mostly {word} lines"


@pytest.mark.parametrize(("rotation", "side"), [(0, "bottom"), (90, "right"), (180, "top"), (270, "left")])
def test_gradients_grow_lighter_towards_the_right_side(rotation: int, side: str) -> None:
    # Pillow's gradient is black at the top; it is rotated counter-clockwise.
    picture = Image.linear_gradient("L").rotate(rotation).convert("RGB")
    assert phrase_of(picture) == f"smooth shading that grows lighter towards the {side}"


@pytest.mark.parametrize("sigma", [40, 90])
def test_noise_is_fine_detail(sigma: int) -> None:
    assert phrase_of(Image.effect_noise((160, 160), sigma).convert("RGB")) == "fine detail"


def test_large_squares_are_broad_patches() -> None:
    picture = Image.new("RGB", (160, 160), "black")
    draw = ImageDraw.Draw(picture)
    for x, y in ((0, 0), (80, 80)):
        draw.rectangle((x, y, x + 79, y + 79), fill="white")
    assert phrase_of(picture) == "broad light and dark patches"


def test_only_what_lies_in_the_box_counts() -> None:
    picture = Image.effect_noise((160, 160), 90).convert("RGB")
    ImageDraw.Draw(picture).rectangle((80, 0, 159, 159), fill="green")
    assert phrase_of(picture, Box(0.55, 0.1, 0.95, 0.9)) == "an even surface"
    assert phrase_of(picture, Box(0.05, 0.1, 0.45, 0.9)) == "fine detail"


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (1, 50)])
def test_smallest_images(size: tuple[int, int]) -> None:
    assert phrase_of(Image.new("RGB", size, "red")) == "an even surface"
