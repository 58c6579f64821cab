"""The numbers of regions: where they go, and that each is written on the colour of its own box."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont

from ostensive.images.drawing import DrawingStyle, contrasting, draw_regions, region_colour
from ostensive.images.tag_places import PixelBox, TagSize, place_tags
from ostensive.records import Box, Region

Pixels = NDArray[np.uint8]

SIDE_PX = 224
GROUND = (128, 128, 128)
QUARTERS = ((0.1, 0.1, 0.35, 0.35), (0.65, 0.1, 0.9, 0.35), (0.1, 0.65, 0.35, 0.9), (0.65, 0.65, 0.9, 0.9))


def region(number: int, corners: tuple[float, ...]) -> Region:
    return Region(number, Box(*corners), "area", None, "")


def places(part: Pixels, whole: Pixels) -> list[tuple[int, int]]:
    """Left and top of every place in `whole` that looks exactly like `part`."""
    height, width = part.shape[:2]
    starts = (whole[: len(whole) - height + 1, : whole.shape[1] - width + 1] == part[0, 0]).all(-1)
    return [
        (int(left), int(top))
        for top, left in np.argwhere(starts)
        if np.array_equal(whole[top : top + height, left : left + width], part)
    ]


def tag(number: int) -> Pixels:
    """The number as it is drawn where nothing else is."""
    alone = [region(number, (0.4, 0.4, 0.6, 0.6))]
    ground = Image.new("RGB", (SIDE_PX, SIDE_PX), GROUND)
    written = draw_regions(ground, alone)
    added = ImageChops.difference(written, draw_regions(ground, alone, style=DrawingStyle(numbers=False)))
    return np.asarray(written.crop(added.getbbox()))


@given(st.lists(st.integers(0, 119), min_size=4, max_size=4, unique=True))
def test_number_and_colour_of_a_region_never_disagree(numbers: list[int]) -> None:
    regions = [region(number, corners) for number, corners in zip(numbers, QUARTERS, strict=True)]
    drawn = np.asarray(draw_regions(Image.new("RGB", (SIDE_PX, SIDE_PX), GROUND), regions))
    for found in regions:
        expected = tag(found.number)
        ((left, top),) = places(expected, drawn)
        assert tuple(int(level) for level in expected[1, 1]) == region_colour(found.number)
        own = PixelBox(*found.box.pixels(SIDE_PX, SIDE_PX))
        right, bottom = left + expected.shape[1], top + expected.shape[0]
        assert own.left <= right, "it stands at its own box"
        assert left <= own.right
        assert own.top <= bottom
        assert top <= own.bottom
        line = drawn[(own.top + own.bottom) // 2 :, own.left - 1]
        assert (line == region_colour(found.number)).all(-1).any(), "whose outline has the colour of the number"


@pytest.mark.parametrize("number", [0, 1, 7, 12, 20, 45, 107])
def test_the_digits_are_those_of_the_number(number: int) -> None:
    colour = region_colour(number)
    paper = Image.new("RGB", (80, 40), colour)
    written = paper.copy()
    font = ImageFont.load_default(DrawingStyle().min_number_px)
    ImageDraw.Draw(written).text((9, 9), str(number), font=font, fill=contrasting(colour))
    digits = np.asarray(written.crop(ImageChops.difference(paper, written).getbbox()))
    assert len(digits) >= 10, "legible at 224 px"
    assert len(places(digits, tag(number))) == 1


def on_grid(corners: tuple[int, int, int, int]) -> PixelBox:
    left, top, width, height = corners
    return PixelBox(left, top, left + width, top + height)


SIZES = st.builds(TagSize, st.sampled_from([12, 20, 28]), st.just(16))
BOXES = st.builds(on_grid, st.tuples(st.integers(0, 160), st.integers(0, 160), st.integers(1, 60), st.integers(1, 60)))
TAGGED = st.lists(st.tuples(BOXES, SIZES), min_size=1, max_size=6, unique_by=lambda tagged: tagged[0])


@given(TAGGED, st.randoms(use_true_random=False))
def test_tags_hide_no_region_and_meet_no_other(tagged: list[tuple[PixelBox, TagSize]], rng: Random) -> None:
    boxes, sizes = [box for box, _ in tagged], [size for _, size in tagged]
    placed = place_tags(boxes, sizes, SIDE_PX, SIDE_PX)
    for place, size in zip(placed, sizes, strict=True):
        assert 0 <= place.left < place.right <= SIDE_PX
        assert 0 <= place.top < place.bottom <= SIDE_PX
        assert (place.right - place.left, place.bottom - place.top) == (size.width_px, size.height_px)
        assert all(2 * place.shared(box) < box.area for box in boxes), "there is room elsewhere"
        assert sum(place.shared(other) > 0 for other in placed) == 1, "itself alone"
    order = list(range(len(tagged)))
    rng.shuffle(order)
    again = place_tags([boxes[index] for index in order], [sizes[index] for index in order], SIDE_PX, SIDE_PX)
    assert again == [placed[index] for index in order]


@given(BOXES, SIZES)
def test_a_tag_alone_touches_its_box(box: PixelBox, size: TagSize) -> None:
    (place,) = place_tags([box], [size], SIDE_PX, SIDE_PX)
    assert place.left <= box.right
    assert place.right >= box.left
    assert place.top <= box.bottom
    assert place.bottom >= box.top


def test_where_regions_fill_the_image_there_are_tags_all_the_same() -> None:
    whole, size = PixelBox(0, 0, 30, 20), TagSize(30, 20)
    assert place_tags([whole, whole], [size, size], 30, 20) == [whole, whole]
