"""Outline, fill and number of regions: seen at 224 px, told apart by every eye, and the same for `[k]` everywhere."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageChops

from ostensive.chat.pictures import shrunk
from ostensive.images.drawing import (
    PALETTE,
    DrawingStyle,
    contrast_ratio,
    contrasting,
    draw_regions,
    region_colour,
    region_pattern,
)
from ostensive.records import Box, Region
from verbalizers.image_text.verbalizers import cut_out, with_box

# Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; for linear RGB.
DEFICIENCIES = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def region(number: int, *corners: float) -> Region:
    return Region(number, Box(*corners), "area", None, "")


def least_distance(colours: NDArray[np.float64]) -> float:
    from skimage.color import deltaE_ciede2000, rgb2lab

    lab = rgb2lab(colours[None])[0]
    pairs = np.array(list(itertools.combinations(lab, 2)))
    distances: NDArray[np.float64] = deltaE_ciede2000(pairs[:, 0], pairs[:, 1])  # type: ignore[no-untyped-call]  # skimage has no types for it
    return float(distances.min())


def seen_with(deficiency: str) -> NDArray[np.float64]:
    colours = np.array(PALETTE) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(DEFICIENCIES[deficiency]).T, 0, 1)
    back: NDArray[np.float64] = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    return back


def test_twenty_colours_stay_apart_for_every_eye() -> None:
    assert len(PALETTE) >= 20
    assert len(set(PALETTE)) == len(PALETTE), "the published code gave two slots one fill"
    assert least_distance(np.array(PALETTE) / 255) >= 15.9
    for deficiency in DEFICIENCIES:
        assert least_distance(seen_with(deficiency)) >= 10, deficiency


def test_no_two_of_the_first_hundred_numbers_look_alike_and_none_is_grey() -> None:
    looks = {(region_colour(k), region_pattern(k)) for k in range(100)}
    assert len(looks) == 100
    for colour in PALETTE:
        assert max(colour) - min(colour) >= 40, "the published code collapses to one grey from slot five on"
    with pytest.raises(ValueError, match="regions are numbered from 0, not -1"):
        region_colour(-1)


def test_digits_stand_out_from_their_ground() -> None:
    for colour in PALETTE:
        assert contrast_ratio(colour, contrasting(colour)) >= 4.5, "WCAG 2.1, level AA"


@pytest.mark.parametrize("number", [0, 3, 7, 12, 19])
def test_a_region_is_outlined_in_the_colour_of_its_number(number: int) -> None:
    ground = Image.new("RGB", (224, 224), (128, 128, 128))
    drawn = draw_regions(ground, [region(number, 0.25, 0.25, 0.75, 0.75)])
    pixels = np.asarray(drawn)
    # Around the box and not in it: the line is outside, the fill inside lets the picture through.
    line = pixels[100:124, 54:56].reshape(-1, 3)
    assert (line == region_colour(number)).all()
    inside = pixels[112, 112].astype(int)
    expected = 128 + (np.array(region_colour(number)) - 128) * 0x20 / 255
    assert np.abs(inside - expected).max() <= 1
    assert ground.getpixel((112, 112)) == (128, 128, 128), "the image that was given is left alone"


def test_the_number_is_written_and_differs_from_every_other() -> None:
    ground = Image.new("RGB", (224, 224), (128, 128, 128))

    def tag(number: int) -> Image.Image:
        box = (number, 0.25, 0.4, 0.75, 0.75)
        plain = draw_regions(ground, [region(*box)], style=DrawingStyle(numbers=False))
        return ImageChops.difference(draw_regions(ground, [region(*box)]), plain)

    tags = [tag(number) for number in range(0, 60, 20)]  # of one colour: only the digits tell them apart
    for one, two in itertools.combinations(tags, 2):
        assert ImageChops.difference(one, two).getbbox() is not None
    for found in tags:
        left, top, right, bottom = found.getbbox() or (0, 0, 0, 0)
        assert bottom - top >= 11, "legible at 224 px"
        assert right - left >= 8


def test_the_order_of_the_regions_changes_nothing_and_two_of_one_number_are_refused() -> None:
    ground = Image.effect_noise((224, 160), 50).convert("RGB")
    regions = [region(0, 0.1, 0.1, 0.6, 0.6), region(1, 0.2, 0.2, 0.3, 0.3), region(2, 0.0, 0.0, 1.0, 1.0)]
    assert draw_regions(ground, regions).tobytes() == draw_regions(ground, regions[::-1]).tobytes()
    assert draw_regions(ground, []).tobytes() == ground.tobytes()
    with pytest.raises(ValueError, match=r"each region has a number of its own, but these were given: \[1, 1\]"):
        draw_regions(ground, [regions[1], region(1, 0, 0, 1, 1)])


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (2000, 10), (10, 2000)])
def test_any_size_of_image_can_be_drawn_on(size: tuple[int, int]) -> None:
    drawn = draw_regions(Image.new("RGB", size), [region(0, 0, 0, 1, 1), region(21, 0.4, 0.4, 0.401, 0.401)])
    assert drawn.size == size
    assert drawn.mode == "RGB"


@given(st.integers(1, 60), st.integers(1, 60), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_any_box_is_drawn_where_it_is_and_nothing_else_is_touched(
    width: int, height: int, corners: list[float]
) -> None:
    (x1, x2), (y1, y2) = sorted(corners[:2]), sorted(corners[2:])
    assume(x1 < x2 and y1 < y2)
    given_region = region(3, x1, y1, x2, y2)
    left, top, right, bottom = given_region.box.pixels(width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert left <= x1 * width + 0.5
    assert right >= x2 * width - 0.5
    ground = Image.new("RGB", (width, height), (128, 128, 128))
    style = DrawingStyle(numbers=False)
    drawn = draw_regions(ground, [given_region], style=style)
    changed = ImageChops.difference(ground, drawn).getbbox()
    assert changed is not None, "however small it is, it is seen"
    around = style.min_outline_px + 1
    assert changed[0] >= left - around
    assert changed[1] >= top - around
    assert changed[2] <= right + around
    assert changed[3] <= bottom + around


def test_a_single_pixel_is_filled_and_not_covered() -> None:
    drawn = draw_regions(Image.new("RGB", (1, 1), (128, 128, 128)), [region(0, 0, 0, 1, 1)])
    expected = 128 + (np.array(region_colour(0)) - 128) * 0x20 / 255
    assert np.abs(np.asarray(drawn)[0, 0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("shrink_to_px", [None, 1024])
def test_a_long_strip_has_its_box_at_its_place(shrink_to_px: int | None) -> None:
    strip = Image.new("RGB", (20_000, 10), (128, 128, 128))
    image = strip if shrink_to_px is None else shrunk(strip, shrink_to_px)
    assert image.size in ((20_000, 10), (1024, 1))
    drawn = np.asarray(with_box(image, Box(0.25, 0.0, 0.5, 1.0))).astype(int)
    changed = np.flatnonzero(np.abs(drawn - 128).max(axis=(0, 2)))
    quarter = image.width // 4
    assert abs(changed.min() - quarter) <= 4
    assert abs(changed.max() + 1 - 2 * quarter) <= 4
    line = drawn[:, quarter - 2 : quarter]
    assert (line == region_colour(0)).all(), "its left side"
    assert (line != drawn[:, quarter + quarter // 2, None]).any(), "which the inside is not covered by"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 5), (20_000, 10), (10, 20_000)])
@pytest.mark.parametrize("corners", [(0.0, 0.0, 1.0, 1.0), (0.4, 0.4, 0.4001, 0.4001), (0.9999, 0.9999, 1.0, 1.0)])
def test_what_is_cut_out_is_the_box_and_its_margin(width: int, height: int, corners: tuple[float, ...]) -> None:
    ground = Image.effect_noise((width, height), 90).convert("RGB")
    pixels, box = np.asarray(ground), Box(*corners)
    left, top, right, bottom = box.pixels(width, height)
    assert np.array_equal(np.asarray(cut_out(ground, box, 0)), pixels[top:bottom, left:right])
    wide, tall = right - left, bottom - top
    beyond = pixels[max(top - tall, 0) : bottom + tall, max(left - wide, 0) : right + wide]
    assert np.array_equal(np.asarray(cut_out(ground, box, 1)), beyond), "as far as the image goes"


@pytest.mark.parametrize(
    "corners", [(0.5, 0.2, 0.5, 0.4), (0.5, 0.4, 0.6, 0.4), (1.0, 0.0, 1.2, 1.0), (-0.2, 0.0, 0.0, 1.0)]
)
def test_a_region_without_area_or_outside_the_image_cannot_be_drawn(corners: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="not a box with corners in 0-1, first above and left of second: "):
        draw_regions(Image.new("RGB", (9, 9)), [region(0, *corners)])


def test_a_small_region_is_not_covered_by_its_number_or_by_a_larger_region() -> None:
    ground = Image.new("RGB", (224, 224), (128, 128, 128))
    small = region(1, 0.5, 0.5, 0.52, 0.52)
    alone = np.asarray(draw_regions(ground, [small]))
    fill = 128 + (np.array(region_colour(1)) - 128) * 0x20 / 255
    assert np.abs(alone[113:115, 113:115].astype(int) - fill).max() <= 1
    with_large = np.asarray(draw_regions(ground, [region(0, 0.1, 0.1, 0.9, 0.9), small]))
    assert (with_large[113, 110:112] == region_colour(1)).all(), "its outline lies over the larger one's fill"
