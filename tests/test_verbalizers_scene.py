"""Figures of whole scenes against drawings, and the words for the colours of a patch."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ostensive.records import Box
from verbalizers.pixels.colour import ColourShare
from verbalizers.pixels.raster import make_raster, shrink
from verbalizers.pixels.scene import Scene, colour_phrase, extremes, measure_scene


def scene_of(picture: Image.Image) -> Scene:
    return measure_scene(picture, make_raster(picture, 160), 384)


def share(term: str, value: float) -> ColourShare:
    return ColourShare(term, term.rsplit(maxsplit=1)[-1], value)


@pytest.mark.parametrize(
    ("size", "shrunk"),
    [
        ((100, 80), (100, 80)),
        ((160, 160), (160, 160)),
        ((640, 640), (160, 160)),
        ((4000, 100), (1012, 25)),
        ((1, 1), (1, 1)),
    ],
)
def test_shrinking_goes_by_pixel_count(size: tuple[int, int], shrunk: tuple[int, int]) -> None:
    assert shrink(Image.new("RGB", size), 160).size == shrunk


def test_shrinking_keeps_shares() -> None:
    picture = Image.new("RGB", (1000, 1000), "white")
    ImageDraw.Draw(picture).rectangle((0, 0, 299, 999), fill="red")
    shares = {item.name: item.share for item in scene_of(picture).whole.colours}
    assert shares["red"] == pytest.approx(0.3, abs=0.01)


def test_a_part_of_a_raster_is_the_box_to_the_nearest_pixel() -> None:
    raster = make_raster(Image.new("RGB", (100, 100)), 160)
    # 0.57 * 100 is a little less than 57 in floating point.
    assert raster.part(Box(0.57, 0.0, 0.6, 0.29)) == (slice(0, 29), slice(57, 60))
    assert raster.part(Box(0.999, 0.999, 1.0, 1.0)) == (slice(99, 100), slice(99, 100))


def test_cells_rows_and_columns_are_those_drawn() -> None:
    names = ["black", "white", "gray", "red", "yellow", "green", "blue", "purple", "pink"]
    picture = Image.new("RGB", (90, 90))
    for cell, name in enumerate(names):
        x, y = 30 * (cell % 3), 30 * (cell // 3)
        ImageDraw.Draw(picture).rectangle((x, y, x + 29, y + 29), fill=name)
    scene = scene_of(picture)
    told = [cell.colours[0].name for cell in scene.cells]
    assert told == ["black", "white", "grey", "red", "yellow", "green", "blue", "purple", "pink"]
    assert {item.name for item in scene.rows[0].colours} == {"black", "white", "grey"}
    assert {item.name for item in scene.columns[2].colours} == {"grey", "green", "pink"}
    assert "yellow" not in {item.name for item in scene.border.colours}
    assert [item.share for item in scene.border.colours] == pytest.approx([1 / 8] * 8)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 7), (16, 16), (4000, 100)])
def test_odd_sizes_have_figures(size: tuple[int, int]) -> None:
    scene = scene_of(Image.new("RGB", size, "navy"))
    assert (scene.width, scene.height) == size
    assert len(scene.cells) == 9
    assert all(cell.colours[0].term == "dark blue" for cell in scene.cells)
    assert scene.detail_shares is None
    assert scene.contrast == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("shares", "phrase"),
    [
        ([share("dark blue", 1.0)], "dark blue"),
        ([share("blue", 0.85), share("red", 0.15)], "blue"),
        ([share("blue", 0.6), share("red", 0.4)], "mostly blue"),
        ([share("blue", 0.5), share("red", 0.5)], "blue and red"),
        ([share("blue", 0.4), share("red", 0.3), share("green", 0.3)], "a mix of blue, red and green"),
        ([share("blue", 0.45), share("red", 0.35), share("green", 0.2)], "blue and red"),
        ([share(name, 0.09) for name in ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")], "many colours"),
    ],
)
def test_colour_phrases(shares: list[ColourShare], phrase: str) -> None:
    assert colour_phrase(shares) == phrase


def test_extremes_need_a_margin() -> None:
    picture = Image.new("RGB", (90, 30), (128, 128, 128))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 29, 29), fill=(60, 60, 60))
    draw.rectangle((60, 0, 89, 29), fill=(138, 138, 138))
    columns = scene_of(picture).columns
    assert extremes(columns, ("left", "middle", "right"), 8.0) == (None, "left")
    assert extremes(columns, ("left", "middle", "right"), 1.0) == ("right", "left")


def test_detail_shares_add_up() -> None:
    scene = scene_of(Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 90, 3), dtype=np.uint8)))
    assert scene.detail_shares is not None
    assert sum(scene.detail_shares) == pytest.approx(1)
