"""Proposals against drawings whose parts are known, and the face cascade on real photographs."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import sklearn.datasets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from ostensive.records import Box
from verbalizers.choice import Proposal, choose
from verbalizers.pixels.proposals import PixelRegionSettings, find_faces, load_cascade, propose
from verbalizers.pixels.raster import make_raster, shrink
from verbalizers.pixels.segments import find_segments

SETTINGS = PixelRegionSettings()


def proposals_of(picture: Image.Image) -> list[Proposal]:
    return propose(make_raster(picture, 160), None, SETTINGS)


def faces_of(picture: Image.Image) -> list[Box]:
    return find_faces(load_cascade(), np.asarray(shrink(picture.convert("RGB"), 160).convert("L")))


def photograph(name: str) -> Image.Image:
    if name.endswith(".jpg") and name != "rocket.jpg":
        return Image.fromarray(sklearn.datasets.load_sample_image(name))
    return Image.open(Path(skimage.data.__file__).parent / name).convert("RGB")


def best_overlap(found: list[Proposal], box: Box) -> float:
    return max((proposal.box.overlap(box) for proposal in found), default=0.0)


@pytest.mark.parametrize(
    ("ground", "colour", "kind"), [("white", "red", "red"), ("navy", "yellow", "yellow"), ("green", "black", "black")]
)
@pytest.mark.parametrize("shape", ["rectangle", "ellipse"])
def test_a_drawn_thing_is_proposed(ground: str, colour: str, kind: str, shape: str) -> None:
    picture = Image.new("RGB", (300, 200), ground)
    getattr(ImageDraw.Draw(picture), shape)((60, 50, 149, 129), fill=colour)
    found = proposals_of(picture)
    box = Box(60 / 300, 50 / 200, 150 / 300, 130 / 200)
    assert best_overlap(found, box) > 0.85
    assert max(found, key=lambda proposal: proposal.box.overlap(box)).kind == kind


@given(
    st.tuples(st.integers(0, 12), st.integers(0, 9), st.integers(3, 12), st.integers(3, 9)),
    st.sampled_from([("white", "blue"), ("black", "orange"), ("darkgreen", "pink"), ("gray", "yellow")]),
)
def test_any_drawn_rectangle_is_chosen(cells: tuple[int, int, int, int], colours: tuple[str, str]) -> None:
    left, top, width, height = (10 * value for value in cells)
    right, bottom = min(left + width, 160), min(top + height, 120)
    picture = Image.new("RGB", (160, 120), colours[0])
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), fill=colours[1])
    chosen = choose(proposals_of(picture), SETTINGS.choice)
    assert best_overlap(list(chosen), Box(left / 160, top / 120, right / 160, bottom / 120)) > 0.75


def test_several_things_are_all_chosen() -> None:
    picture = Image.new("RGB", (240, 240), "beige")
    draw, boxes = ImageDraw.Draw(picture), []
    for index, colour in enumerate(["red", "blue", "green", "black", "purple"]):
        x, y = 20 + 100 * (index % 2), 10 + 75 * (index // 2)
        draw.rectangle((x, y, x + 49, y + 49), fill=colour)
        boxes.append(Box(x / 240, y / 240, (x + 50) / 240, (y + 50) / 240))
    chosen = choose(proposals_of(picture), SETTINGS.choice)
    assert all(best_overlap(list(chosen), box) > 0.75 for box in boxes)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (96, 96), (640, 16), (500, 300)])
def test_one_colour_has_no_proposals(size: tuple[int, int]) -> None:
    assert proposals_of(Image.new("RGB", size, "teal")) == []


def test_pure_noise_has_no_proposals() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert proposals_of(Image.fromarray(noise)) == []


@pytest.mark.parametrize("size", [(17, 16), (4000, 100), (100, 4000), (1000, 3), (3, 1000)])
def test_odd_formats_give_boxes_in_bounds(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).rectangle((size[0] // 4, 0, size[0] // 2, size[1]), fill="black")
    for segment in find_segments(make_raster(picture, 160), 150):
        assert 0 < segment.fill <= 1
        assert segment.contrast >= 0


def test_limits_are_kept() -> None:
    settings = PixelRegionSettings(min_area=0.05, max_area=0.3, min_fill=0.6, min_contrast=10)
    for proposal in propose(make_raster(photograph("coffee.png"), 160), None, settings):
        assert 0.05 <= proposal.box.area <= 0.3
        assert 0 <= proposal.prominence <= 1


def test_what_fills_little_of_its_box_is_not_proposed() -> None:
    picture = Image.new("RGB", (120, 120), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 20, 34, 99), fill="navy")
    draw.rectangle((20, 85, 99, 99), fill="navy")
    box, raster = Box(20 / 120, 20 / 120, 100 / 120, 100 / 120), make_raster(picture, 160)
    # The two bars fill about a third of the box around them.
    for min_fill, proposed in ((0.2, True), (0.6, False)):
        found = propose(raster, None, PixelRegionSettings(min_fill=min_fill, segments=20))
        assert (best_overlap(found, box) > 0.85) is proposed


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_astronaut_has_one_face_where_it_is(mirrored: bool) -> None:
    picture = photograph("astronaut.png")
    (found,) = faces_of(ImageOps.mirror(picture) if mirrored else picture)
    face = Box(170 / 512, 60 / 512, 280 / 512, 190 / 512)
    assert found.overlap(Box(1 - face.x2, face.y1, 1 - face.x1, face.y2) if mirrored else face) > 0.4


@pytest.mark.parametrize(
    "name",
    [
        "chelsea.png",
        "coffee.png",
        "rocket.jpg",
        "china.jpg",
        "flower.jpg",
        "brick.png",
        "grass.png",
        "gravel.png",
        "camera.png",
        "coins.png",
        "motorcycle_left.png",
        "moon.png",
    ],
)
def test_photographs_without_a_frontal_face_have_none(name: str) -> None:
    assert faces_of(photograph(name)) == []


def test_most_small_portraits_are_found_and_other_patches_are_not() -> None:
    # The first hundred of the set are faces, the others are not.
    patches = np.load(Path(skimage.data.__file__).parent / "lfw_subset.npy")
    cascade, found = load_cascade(), []
    for index in (*range(0, 20), *range(100, 120)):
        patch = Image.fromarray((patches[index] * 255).astype(np.uint8)).resize((70, 70), Image.Resampling.BICUBIC)
        ground = Image.new("L", (160, 160), 128)
        ground.paste(patch, (45, 45))
        found.append(bool(find_faces(cascade, np.asarray(ground))))
    assert sum(found[:20]) >= 12
    assert sum(found[20:]) == 0


@pytest.mark.parametrize("size", [(10, 10), (23, 200), (24, 24)])
def test_images_smaller_than_the_window_have_no_faces(size: tuple[int, int]) -> None:
    assert faces_of(Image.effect_noise(size, 60)) == []


def test_faces_are_proposed_as_faces() -> None:
    raster = make_raster(photograph("astronaut.png"), 160)
    labels = [proposal.label for proposal in propose(raster, load_cascade(), SETTINGS)]
    assert labels.count("face") == 1
    assert "face" not in [proposal.label for proposal in propose(raster, None, SETTINGS)]
