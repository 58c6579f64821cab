"""Computed answers against drawings whose answers are known."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from ostensive.records import Box
from verbalizers.pixels.captions import measure_region
from verbalizers.pixels.probes import ask_probes
from verbalizers.pixels.raster import make_raster
from verbalizers.pixels.scene import measure_scene


def answers(
    picture: Image.Image, boxes: Sequence[Box] = (), labels: Sequence[str] = (), seed: int = 0
) -> dict[str, str]:
    """All probes there are, by question; colours and cells that are drawn by chance come from several seeds."""
    raster = make_raster(picture, 160)
    scene = measure_scene(picture, raster, 384)
    names = labels or ["area"] * len(boxes)
    regions = [measure_region(raster, box, label) for box, label in zip(boxes, names, strict=True)]
    found: dict[str, str] = {}
    for turn in range(12):
        probes = ask_probes(scene, regions, 100, Random(seed + turn))
        assert len({probe.question for probe in probes}) == len(probes), "no question is asked twice"
        for probe in probes:
            assert found.setdefault(probe.question, probe.answer) == probe.answer, "an answer does not depend on chance"
    return found


def with_square(box: Box, colour: str, ground: str) -> Image.Image:
    picture = Image.new("RGB", (100, 100), ground)
    left, top, right, bottom = (round(100 * value) for value in (box.x1, box.y1, box.x2, box.y2))
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), fill=colour)
    return picture


@given(
    st.integers(5, 95).filter(lambda percent: abs(percent - 50) > 4),
    st.sampled_from([("red", "navy", "vivid red", "dark blue"), ("green", "white", "vivid green", "white")]),
)
def test_colours_and_their_shares(percent: int, colours: tuple[str, str, str, str]) -> None:
    found = answers(with_square(Box(0, 0, percent / 100, 1), colours[0], colours[1]))
    main, share = (colours[2], percent) if percent > 50 else (colours[3], 100 - percent)
    assert found["Which colour takes up most of the scene?"] == f"{main.capitalize()}."
    told = found[f"How much of the scene is {main.split()[-1]}?"]
    assert abs(int(told.split()[1]) - share) <= 2.5
    name = colours[2].split()[-1]
    assert found[f"Is there anything {name} to be seen?"].startswith("Yes, about ")
    denied = {question.split()[3] for question, answer in found.items() if answer == "No." and "anything" in question}
    assert denied
    assert not denied & {colours[2].split()[-1], colours[3].split()[-1]}


def test_second_colour_and_no_second_without_a_lead() -> None:
    picture = with_square(Box(0, 0, 0.3, 1), "white", "navy")
    ImageDraw.Draw(picture).rectangle((90, 0, 99, 99), fill="red")
    assert answers(picture)["Which colour comes second?"] == "White."
    equal = answers(with_square(Box(0, 0, 0.5, 1), "white", "navy"))
    assert "Which colour takes up most of the scene?" not in equal
    assert "Which colour comes second?" not in equal


def test_warmth() -> None:
    question = "Are the colours warm overall?"
    assert answers(Image.new("RGB", (20, 20), "orange"))[question] == "Yes."
    assert answers(Image.new("RGB", (20, 20), "blue"))[question] == "No, they are cool."
    assert question not in answers(Image.new("RGB", (20, 20), "gray"))


@pytest.mark.parametrize(
    ("box", "place"),
    [(Box(0, 0, 0.33, 0.33), "top left"), (Box(0.34, 0.34, 0.66, 0.66), "centre"), (Box(0.67, 0.34, 1, 0.66), "right")],
)
def test_lightest_darkest_part_and_the_colour_of_parts(box: Box, place: str) -> None:
    light = answers(with_square(box, "white", "black"))
    assert light["Which part is the lightest?"] == f"The {place}."
    assert "Which part is the darkest?" not in light, "the others are equally dark"
    assert light[f"What colour is the {place} of the scene?"] == "White."
    assert answers(with_square(box, "black", "white"))["Which part is the darkest?"] == f"The {place}."


def test_brightness_contrast_and_sides() -> None:
    found = answers(with_square(Box(0, 0, 0.5, 1), "white", "black"))
    assert found["How bright is it?"] == "Moderately bright."
    assert found["How strong is the contrast between light and dark?"] == "High."
    assert found["Is the left lighter than the right?"] == "Yes."
    assert "Is the top lighter than the bottom?" not in found
    lower = answers(with_square(Box(0, 0.5, 1, 1), "white", "black"))
    assert lower["Is the top lighter than the bottom?"] == "No, the bottom is lighter."
    assert "How bright is it?" in answers(Image.new("RGB", (9, 9), "black"))


def test_sharpness() -> None:
    picture = Image.new("RGB", (200, 200), "white")
    for x in range(0, 200, 40):
        ImageDraw.Draw(picture).rectangle((x, x, x + 25, x + 25), fill="black")
    assert answers(picture)["Are the edges sharp?"] == "Yes."
    blurred = answers(picture.filter(ImageFilter.GaussianBlur(7)))
    assert blurred["Are the edges sharp?"] == "No, they are blurred."
    assert "Are the edges sharp?" not in answers(Image.new("RGB", (99, 99), "red"))


def test_format_mirror_and_detail() -> None:
    question = "How wide is the view compared with its height?"
    assert answers(Image.new("RGB", (200, 50)))[question] == "It is much wider than it is tall."
    mirrored = answers(with_square(Box(0.3, 0.1, 0.7, 0.4), "white", "black"))
    assert mirrored["Do the left and right halves mirror each other?"] == "Yes, nearly."
    lopsided = answers(with_square(Box(0, 0, 0.3, 1), "white", "black"))
    assert lopsided["Do the left and right halves mirror each other?"] == "No."
    picture = Image.new("RGB", (90, 90), "gray")
    for x in range(62, 88, 4):
        ImageDraw.Draw(picture).line((x, 4, x, 26), fill="black")
    assert answers(picture)["Where is the most detail?"] == "At the top right."


def test_comparisons_of_regions() -> None:
    picture = Image.new("RGB", (100, 100), "gray")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((5, 40, 24, 59), fill="navy")
    draw.rectangle((40, 5, 59, 24), fill="red")
    draw.rectangle((60, 50, 99, 99), fill="white")
    boxes = [Box(0.05, 0.4, 0.25, 0.6), Box(0.4, 0.05, 0.6, 0.25), Box(0.6, 0.5, 1.0, 1.0)]
    found = answers(picture, boxes)
    assert found["What colour is the largest marked area?"] == "White."
    assert found["Where is the largest marked area?"] == "At the bottom right."
    assert found["What colour is the marked area furthest to the left?"] == "Dark blue."
    assert found["What colour is the marked area furthest to the right?"] == "White."
    assert found["What colour is the marked area furthest to the top?"] == "Vivid red."
    assert found["What colour is the marked area furthest to the bottom?"] == "White."
    assert found["Where is the lightest marked area?"] == "At the bottom right."
    assert found["Where is the darkest marked area?"] == "On the left."
    assert answers(picture, boxes[::-1]) == found, "the order of the regions does not matter"


def test_an_area_that_reaches_further_out_leaves_no_outermost_one() -> None:
    picture = with_square(Box(0.2, 0.4, 0.4, 0.6), "red", "navy")
    found = answers(picture, [Box(0.2, 0.4, 0.4, 0.6), Box(0.1, 0.1, 1.0, 0.9)])
    assert "What colour is the marked area furthest to the left?" not in found
    assert found["What colour is the marked area furthest to the right?"] == "Dark blue."


def test_regions_that_are_alike_are_not_compared() -> None:
    picture = with_square(Box(0, 0, 1, 1), "red", "red")
    found = answers(picture, [Box(0.1, 0.4, 0.3, 0.6), Box(0.12, 0.42, 0.32, 0.62)])
    assert not any("marked area" in question for question in found)
    assert not any("marked area" in question for question in answers(picture, [Box(0, 0, 1, 1)]))


def test_faces_are_counted_and_never_denied() -> None:
    picture = Image.new("RGB", (100, 100), "gray")
    boxes = [Box(0.1, 0.1, 0.3, 0.3), Box(0.6, 0.1, 0.8, 0.3), Box(0.4, 0.6, 0.6, 0.8)]
    question = "Does anything look like a face?"
    assert answers(picture, boxes[:1], ["face"])[question] == "Yes, one part looks like one."
    assert answers(picture, boxes, ["face", "area", "face"])[question] == "Yes, two parts look like one."
    assert question not in answers(picture, boxes), "the cascade misses many"


@pytest.mark.parametrize("count", [0, 1, 5, 15])
def test_at_most_as_many_as_asked_and_no_numbers_of_regions(count: int) -> None:
    picture = with_square(Box(0.1, 0.1, 0.5, 0.5), "red", "navy")
    raster = make_raster(picture, 160)
    regions = [
        measure_region(raster, Box(0.1, 0.1, 0.5, 0.5), "area"),
        measure_region(raster, Box(0.5, 0.5, 1, 1), "area"),
    ]
    probes = ask_probes(measure_scene(picture, raster, 384), regions, count, Random(3))
    assert len(probes) == count
    for probe in probes:
        assert "[" not in probe.question + probe.answer
        assert probe.question.endswith("?")
        assert probe.answer.endswith(".")
