"""Brightness, contrast and sharpness of drawn and blurred images."""

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from verbalizers.pixels import light
from verbalizers.pixels.raster import make_raster


def lightness_of(picture: Image.Image) -> NDArray[np.float32]:
    return make_raster(picture, 160).lab[..., 0]


def grey_of(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("L"))


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (0, "very dark"),
        (40, "very dark"),
        (70, "dark"),
        (120, "moderately bright"),
        (190, "bright"),
        (255, "very bright"),
    ],
)
def test_brightness_of_one_grey(level: int, word: str) -> None:
    value = light.brightness(lightness_of(Image.new("RGB", (40, 30), (level, level, level))))
    assert light.brightness_word(value) == word


def test_brightness_is_that_of_the_eye_not_the_mean_of_rgb() -> None:
    blue, yellow = (light.brightness(lightness_of(Image.new("RGB", (9, 9), name))) for name in ("blue", "yellow"))
    assert light.brightness_word(blue) == "dark"
    assert light.brightness_word(yellow) == "very bright"


@pytest.mark.parametrize(
    ("low", "high", "word"), [(128, 128, "low"), (100, 140, "low"), (60, 180, "moderate"), (0, 255, "high")]
)
def test_contrast_of_two_halves(low: int, high: int, word: str) -> None:
    picture = Image.new("RGB", (80, 40), (low,) * 3)
    ImageDraw.Draw(picture).rectangle((40, 0, 79, 39), fill=(high,) * 3)
    assert light.contrast_word(light.contrast(lightness_of(picture))) == word


def test_contrast_is_not_made_by_a_few_pixels() -> None:
    picture = Image.new("RGB", (80, 40), "gray")
    picture.putpixel((3, 3), (255, 255, 255))
    picture.putpixel((9, 9), (0, 0, 0))
    assert light.contrast(lightness_of(picture)) < 1


@pytest.mark.parametrize("name", ["astronaut", "coffee", "coins", "grass"])
def test_photographs_are_sharp_and_blurred_ones_are_blurred(name: str) -> None:
    picture = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    amounts = [light.blur_amount(grey_of(picture.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 2, 5)]
    assert all(amount is not None for amount in amounts)
    assert amounts == sorted(amount for amount in amounts if amount is not None)
    assert [light.sharpness_word(amount) for amount in (amounts[0], amounts[2])] == ["sharp", "blurred"]


def test_blurring_drawn_squares() -> None:
    picture = Image.new("RGB", (200, 200), "white")
    draw = ImageDraw.Draw(picture)
    for x in range(0, 200, 40):
        draw.rectangle((x, x, x + 25, x + 25), fill="black")
        draw.rectangle((x, 160 - x, x + 15, 185 - x), fill="blue")
    assert light.sharpness_word(light.blur_amount(grey_of(picture))) == "sharp"
    blurred = picture.filter(ImageFilter.GaussianBlur(6))
    assert light.sharpness_word(light.blur_amount(grey_of(blurred))) == "blurred"


@pytest.mark.parametrize("size", [(50, 50), (5, 300), (1, 1)])
def test_without_edges_or_room_nothing_is_said_of_sharpness(size: tuple[int, int]) -> None:
    assert light.blur_amount(grey_of(Image.new("RGB", size, "green"))) is None
    assert light.sharpness_word(None) is None
