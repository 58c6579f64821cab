"""What becomes of a row by lot: numbers, shown regions, cut-outs and flips, in the records and in the pixels."""

import io
from random import Random
from typing import Final

import numpy as np
import PIL.Image
import pytest
from drawn_corpus import COLOURS, SIZE, picture_of, regions_of, sample_of
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.recipe import KIND
from ostensive.images.drawing import draw_regions
from ostensive.records import AREA_LABEL, Box, Region
from students.data.augmentation import (
    Augmentation,
    Geometry,
    PixelCrop,
    augment,
    moved_box,
    numbers_in,
    renumbered,
    visible_share,
)
from students.data.drawn import RegionAugmentation
from students.data.pictures import PictureError, decoded, transformed
from students.data.settings import PLAIN, AugmentationSettings
from students.data.sides import may_flip
from students.reading import CorpusImage, CorpusRow, JudgedRow

SIZES = st.tuples(st.integers(1, 400), st.integers(1, 400))
COORDINATES = st.floats(0, 1)
HAIR: Final = 1e-8


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x1, x2, y1, y2 = (draw(COORDINATES) for _ in range(4))
    left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if right - left < 1e-6:
        left, right = (left, left + 1e-6) if left < 0.5 else (right - 1e-6, right)
    if bottom - top < 1e-6:
        top, bottom = (top, top + 1e-6) if top < 0.5 else (bottom - 1e-6, bottom)
    return Box(left, top, right, bottom)


@st.composite
def region_lists(draw: st.DrawFn) -> list[Region]:
    numbers = draw(st.lists(st.integers(0, 60), max_size=7, unique=True))
    return [Region(number, draw(boxes()), AREA_LABEL, None, "") for number in numbers]


@st.composite
def settings_by_lot(draw: st.DrawFn) -> AugmentationSettings:
    return AugmentationSettings(
        renumber=draw(st.booleans()),
        mentioned_only=draw(st.sampled_from((0.0, 0.5, 1.0))),
        min_crop_area=draw(st.floats(0.01, 1)),
        max_stretch=draw(st.floats(1, 3)),
        flip=draw(st.sampled_from((0.0, 0.5, 1.0))),
        max_side=draw(st.none() | st.integers(16, 300)),
    )


@st.composite
def draws(draw: st.DrawFn) -> tuple[list[Region], list[int], list[str], Augmentation]:
    regions = draw(region_lists())
    mentioned = [region.number for region in regions if draw(st.booleans())]
    foreign = draw(st.lists(st.integers(0, 70).filter(lambda k: k not in {one.number for one in regions}), max_size=2))
    texts = [f"See [{number}]." for number in (*mentioned, *foreign)]
    made = augment(
        regions, mentioned, texts, size=draw(SIZES), settings=draw(settings_by_lot()), draw=Random(draw(st.integers()))
    )
    return regions, mentioned, texts, made


@given(draws())
def test_what_is_mentioned_is_shown_whole_and_under_the_number_that_texts_have(
    drawn: tuple[list[Region], list[int], list[str], Augmentation],
) -> None:
    regions, mentioned, texts, made = drawn
    shown = {region.number: region for region in made.regions}
    assert len(shown) == len(made.regions), "no number twice"
    assert set(mentioned) <= made.numbers.keys() <= {region.number for region in regions}
    assert sorted(made.numbers.values()) == sorted(shown)
    known = {region.number: region for region in regions}
    for number in mentioned:
        assert visible_share(known[number].box, made.geometry) == pytest.approx(1.0, abs=1e-6)
        assert_same_place(known[number].box, shown[made.numbers[number]].box, made.geometry)
    for text in texts:
        (before,), (after,) = numbers_in(text), numbers_in(renumbered(text, made.numbers))
        # A number that is no region's is none afterwards either.
        assert (before in made.numbers) == (after in shown)


@given(draws())
def test_others_are_seen_at_least_in_half_and_the_picture_is_a_part(
    drawn: tuple[list[Region], list[int], list[str], Augmentation],
) -> None:
    regions, mentioned, _, made = drawn
    crop, (width, height) = made.geometry.crop, made.geometry.source
    assert 0 <= crop.left < crop.right <= width
    assert 0 <= crop.top < crop.bottom <= height
    assert made.geometry.size[0] <= crop.width
    assert made.geometry.size[1] <= crop.height
    for region in regions:
        if region.number in made.numbers and region.number not in mentioned:
            assert visible_share(region.box, made.geometry) >= 0.5


def assert_same_place(before: Box, after: Box, geometry: Geometry) -> None:
    """That a box covers the same pixels of the original, by going back from the new picture."""
    x1, x2 = (1 - after.x2, 1 - after.x1) if geometry.is_flipped else (after.x1, after.x2)
    crop, (width, height) = geometry.crop, geometry.source
    back = [
        (crop.left + x1 * crop.width) / width,
        (crop.top + after.y1 * crop.height) / height,
        (crop.left + x2 * crop.width) / width,
        (crop.top + after.y2 * crop.height) / height,
    ]
    assert back == pytest.approx([before.x1, before.y1, before.x2, before.y2], abs=HAIR)


@given(boxes(), SIZES, st.data())
def test_a_flip_twice_is_none(box: Box, size: tuple[int, int], data: st.DataObject) -> None:
    flipped = Geometry(size, PixelCrop(0, 0, *size), size, is_flipped=True)
    twice = moved_box(moved_box(box, flipped), flipped)
    assert (twice.x1, twice.y1, twice.x2, twice.y2) == pytest.approx((box.x1, box.y1, box.x2, box.y2), abs=HAIR)


@given(region_lists(), st.integers(), SIZES)
def test_the_same_lot_gives_the_same(regions: list[Region], seed: int, size: tuple[int, int]) -> None:
    one, two = (
        augment(regions, [], [], size=size, settings=AugmentationSettings(), draw=Random(seed)) for _ in range(2)
    )
    assert one == two


def test_the_number_of_others_and_all_numbers_vary() -> None:
    regions = regions_of(0)
    whole = AugmentationSettings(min_crop_area=1.0, max_stretch=1.0)
    found = [augment(regions, [2], ["[2]"], size=SIZE, settings=whole, draw=Random(seed)) for seed in range(200)]
    counts = [len(one.regions) for one in found]
    assert set(counts) == {1, 2, 3, 4}
    assert 70 < counts.count(1) < 130, "half show nothing else"
    assert {one.numbers[2] for one in found} == {0, 1, 2, 3}
    assert {region.label for one in found for region in one.regions} == set(COLOURS)


def test_numbers_change_all_at_once_and_only_where_they_are_regions() -> None:
    assert renumbered("[0] and [1], not [7], [01] or [x]", {0: 1, 1: 0}) == "[1] and [0], not [7], [01] or [x]"
    made = augment(
        [Region(5, Box(0, 0, 1, 1), AREA_LABEL, None, "")], [5, 0], ["[5] and [0]"], size=(9, 9),
        settings=AugmentationSettings(), draw=Random(0),
    )  # fmt: skip
    assert made.numbers == {5: 1}, "[0] stands for nothing, and goes on doing so"


@pytest.mark.parametrize(
    "text",
    [
        "The dog on the left.", "the leftmost one", "a right-hand turn", "LEFT", "It turns counter-clockwise",
        "It faces north-east.", "eastern wall", "the bottom-right corner", "lowerleft", "a ship's starboard side",
        "ten o'clock", "The sign says STOP", "It is labelled so", "shirt number 7", "links neben ihm", "à gauche",
        "a la izquierda", "слева от окна", "桌子左边", "ซ้าย", "the watch", "lhs", "written on it", "rechterzijde",
    ],
)  # fmt: skip
def test_texts_of_sides_and_of_writing_are_not_mirrored(text: str) -> None:
    assert not may_flip(["A cat.", text])


@pytest.mark.parametrize(
    "text",
    ["A bright lamp stands upright.", "[0] is above [1].", "a cleft rock", "the nearest beast", "Why?", "a contest",
     "He feasts.", "alternatives", "", "a breast-high wall"],
)  # fmt: skip
def test_other_texts_may_be_mirrored(text: str) -> None:
    assert may_flip([text])


def test_only_texts_without_sides_are_mirrored_in_a_draw() -> None:
    always = AugmentationSettings(flip=1.0)
    flips = [
        augment(
            regions_of(0), [1], ["[1] is red.", text], size=SIZE, settings=always, draw=Random(0)
        ).geometry.is_flipped
        for text in ("It stands on the left.", "It stands upright.")
    ]
    assert flips == [False, True]


def row_of(number: int, row: int) -> CorpusRow:
    sample = sample_of(number, 4)
    assert sample.verbalization is not None
    judged = JudgedRow(sample.rows[row].candidate, sample.rows[row].judgements)
    image = CorpusImage(sample.image.image_id, sample.jpeg, SIZE, "train", sample.verbalization.regions, (judged,))
    return CorpusRow(image, judged)


def colour_at(picture: PIL.Image.Image, box: Box) -> str:
    """The name of the colour that the middle of a box has, under the light fill of what is drawn."""
    x, y = box.center
    width, height = picture.size
    there = np.asarray(picture)[min(int(y * height), height - 1), min(int(x * width), width - 1)].astype(int)
    return min(COLOURS, key=lambda name: int(np.abs(there - np.array(COLOURS[name])).sum()))


@pytest.mark.parametrize("max_side", [None, 150])
def test_what_a_text_says_of_a_region_is_seen_where_it_is_drawn(max_side: int | None) -> None:
    """In the pixels: after cut-out, flip and renumbering `[k] is red` is true of the box drawn as k."""
    make = RegionAugmentation(KIND, AugmentationSettings(flip=1.0, max_side=max_side))
    seen = set()
    for seed in range(24):
        row = row_of(seed, seed % 4)
        drawn = make(row, Random(seed))
        shown = {region.number: region for region in drawn.regions}
        for text in drawn.texts[1:]:  # answer and rationale: `[k] is colour.`
            (number,) = numbers_in(text.text)
            assert text.mentions == (number,)
            colour = text.text.split()[-1].rstrip(".")
            assert shown[number].label == colour
            assert colour_at(drawn.picture, shown[number].box) == colour
            seen.add((number, colour))
        question, answer, rationale = (text.text for text in drawn.texts)
        assert [turn.text for turn in drawn.turns] == [question, answer, "Why?", rationale]
        if max_side is not None:
            assert max(drawn.picture.size) <= max_side
    assert len(seen) > 10


def test_without_augmentation_it_is_the_picture_that_is_exported() -> None:
    row = row_of(1, 2)
    drawn = RegionAugmentation(KIND, PLAIN)(row, Random(0))
    plain = PIL.Image.open(io.BytesIO(row.image.jpeg))
    expected = draw_regions(plain, [row.image.regions[2], row.image.regions[3]])
    assert drawn.picture.tobytes() == expected.tobytes()
    assert [text.text for text in drawn.texts] == [text.text for text in KIND.shown(row.row.candidate)]


def jpeg_of(picture: PIL.Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(23, 17), (48, 36), (7, 5), (96, 72)])
@pytest.mark.parametrize("is_flipped", [False, True])
def test_a_picture_that_is_decoded_small_shows_the_same(size: tuple[int, int], is_flipped: bool) -> None:
    large = picture_of(3).resize((387, 291))
    crop = PixelCrop(11, 5, 375, 278)
    found = transformed(jpeg_of(large), Geometry(large.size, crop, size, is_flipped))
    slowly = large.crop((crop.left, crop.top, crop.right, crop.bottom)).resize(size, PIL.Image.Resampling.BOX)
    expected = slowly.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT) if is_flipped else slowly
    assert found.size == size
    assert float(np.abs(np.asarray(found).astype(float) - np.asarray(expected)).mean()) < 8


def test_pictures_that_are_not_what_their_row_says_are_one_line() -> None:
    jpeg = jpeg_of(picture_of(0))
    assert decoded(jpeg, SIZE).size == SIZE
    with pytest.raises(PictureError, match=r"^the picture has 288 x 216 pixels, and its row says 288 x 217$"):
        decoded(jpeg, (288, 217))
    for damaged in (jpeg[: len(jpeg) // 2], b"", b"GIF89a", jpeg[:20]):
        with pytest.raises(PictureError, match=r"^the picture cannot be decoded: ") as caught:
            decoded(damaged, SIZE)
        assert "\n" not in str(caught.value)
