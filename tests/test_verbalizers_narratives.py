"""Descriptions of drawn scenes: each statement is one that the drawing makes true."""

from random import Random

import pytest
from PIL import Image, ImageDraw, ImageFilter

from verbalizers.pixels.narratives import tell_narratives
from verbalizers.pixels.raster import make_raster
from verbalizers.pixels.scene import measure_scene


def told(picture: Image.Image, seed: int = 0, count: int = 6) -> str:
    scene = measure_scene(picture, make_raster(picture, 160), 384)
    return "\n".join(tell_narratives(scene, count, Random(seed)))


def flag(*colours: str, upright: bool = False) -> Image.Image:
    picture = Image.new("RGB", (90, 90))
    for index, colour in enumerate(colours):
        band = (30 * index, 0, 30 * index + 29, 89) if upright else (0, 30 * index, 89, 30 * index + 29)
        ImageDraw.Draw(picture).rectangle(band, fill=colour)
    return picture


@pytest.mark.parametrize("seed", range(4))
def test_walks_down_and_across(seed: int) -> None:
    text = told(flag("navy", "white", "red"), seed)
    assert "the top is dark blue, the middle is white and the bottom is vivid red" in text
    assert "each third is a mix of" in text
    assert "The bottom is the lighter of the two ends." in text
    upright = told(flag("white", "red", "navy", upright=True), seed)
    assert "the left is white, the middle is vivid red and the right is dark blue" in upright
    assert "The left side is the lighter one." in upright


@pytest.mark.parametrize("seed", range(4))
def test_centre_and_what_is_around_it(seed: int) -> None:
    picture = Image.new("RGB", (90, 90), "darkgreen")
    ImageDraw.Draw(picture).rectangle((30, 30, 59, 59), fill="yellow")
    text = told(picture, seed).lower()
    assert ("the centre is vivid yellow, what lies around it is dark green" in text) or (
        "in the centre it is vivid yellow, and around that dark green" in text
    )
    assert "the centre is the lightest part" in text
    assert "the two halves nearly mirror each other" in text


def test_lightest_darkest_and_contrast() -> None:
    picture = Image.new("RGB", (90, 90), "gray")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 29, 29), fill="white")
    draw.rectangle((60, 60, 89, 89), fill="black")
    text = told(picture)
    assert "The top left is the lightest part and the bottom right the darkest." in text
    assert "high contrast" in text or "contrast is high" in text


def test_detail_and_sharpness() -> None:
    picture = Image.new("RGB", (180, 180), "gray")
    for x in range(66, 116, 8):
        ImageDraw.Draw(picture).line((x, 6, x, 54), fill="white", width=3)
    assert "most detail lies at the top" in told(picture)
    assert "Its edges are sharp." in told(picture)
    for x in (10, 90, 130):
        ImageDraw.Draw(picture).rectangle((x, 60, x + 30, 160), fill="black")
    assert "Its edges are blurred." in told(picture.filter(ImageFilter.GaussianBlur(7)))


@pytest.mark.parametrize("seed", range(4))
def test_one_colour(seed: int) -> None:
    text = told(Image.new("RGB", (50, 50), "white"), seed)
    assert "almost entirely white" in text
    assert text.count("each third is white") == 2
    assert "both white" in text
    assert "hardly any detail" in text
    assert "No single part is lightest or darkest by much." in text
    assert "edges" not in text
    assert "mirror" not in text


def test_overview_brightness_and_warmth() -> None:
    first = told(flag("red", "orange", "yellow"), count=1)
    assert "mostly warm" in first
    assert "\n" not in first
    assert "It is bright" in first or "It is moderately bright" in first


@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_count_and_variety(count: int) -> None:
    picture = flag("navy", "white", "red")
    scene = measure_scene(picture, make_raster(picture, 160), 384)
    narratives = tell_narratives(scene, count, Random(0))
    assert len(narratives) == count
    assert len(set(narratives)) == count
    assert narratives == tell_narratives(scene, count, Random(0))
    if count > 1:
        assert len({tell_narratives(scene, count, Random(seed)) for seed in range(5)}) > 1
