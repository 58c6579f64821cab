"""Colour words against the CSS colours of the same name, and shares against what was drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor, ImageDraw

from verbalizers.pixels import colour
from verbalizers.pixels.colour import BASE_COLOURS, COLOUR_NAMES, colour_shares, name_pixels, srgb_to_lab, term_of


def shares_of(picture: Image.Image) -> tuple[colour.ColourShare, ...]:
    rgb = np.asarray(picture)
    return colour_shares(name_pixels(rgb), srgb_to_lab(rgb))


def term_of_css(name: str) -> str:
    (share,) = shares_of(Image.new("RGB", (4, 4), ImageColor.getrgb(name)))
    return share.term


@pytest.mark.parametrize(
    ("css", "name"),
    [
        ("black", "black"),
        ("white", "white"),
        ("snow", "white"),
        ("gray", "grey"),
        ("dimgray", "grey"),
        ("silver", "grey"),
        ("red", "red"),
        ("crimson", "red"),
        ("maroon", "red"),
        ("orange", "orange"),
        ("darkorange", "orange"),
        ("coral", "orange"),
        ("yellow", "yellow"),
        ("gold", "yellow"),
        ("green", "green"),
        ("lime", "green"),
        ("olivedrab", "green"),
        ("palegreen", "green"),
        ("teal", "teal"),
        ("darkcyan", "teal"),
        ("cyan", "cyan"),
        ("blue", "blue"),
        ("navy", "blue"),
        ("skyblue", "blue"),
        ("royalblue", "blue"),
        ("purple", "purple"),
        ("indigo", "purple"),
        ("mediumpurple", "purple"),
        ("pink", "pink"),
        ("hotpink", "pink"),
        ("saddlebrown", "brown"),
        ("sienna", "brown"),
        ("beige", "beige"),
        ("tan", "beige"),
        ("wheat", "beige"),
    ],
)
def test_css_colours_have_the_name_everybody_gives_them(css: str, name: str) -> None:
    assert term_of_css(css).split()[-1] == name


@pytest.mark.parametrize(
    ("css", "term"),
    [
        ("navy", "dark blue"),
        ("darkblue", "dark blue"),
        ("blue", "vivid blue"),
        ("steelblue", "blue"),
        ("lightskyblue", "light blue"),
        ("lightsteelblue", "pale blue"),
        ("darkgreen", "dark green"),
        ("lime", "vivid green"),
        ("lightgreen", "light green"),
        ("maroon", "dark red"),
        ("red", "vivid red"),
        ("lightgray", "light grey"),
        ("darkslategray", "dark teal"),
        ("indigo", "dark purple"),
        ("plum", "light purple"),
        ("black", "black"),
        ("white", "white"),
    ],
)
def test_modifiers_of_drawn_colours(css: str, term: str) -> None:
    assert term_of_css(css) == term


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_modifiers_agree_with_lightness_and_chroma(rgb: tuple[int, int, int]) -> None:
    pixel = np.array(rgb, dtype=np.uint8).reshape(1, 1, 3)
    lab = srgb_to_lab(pixel)
    (share,) = colour_shares(name_pixels(pixel), lab)
    lightness, chroma = float(lab[0, 0, 0]), float(np.hypot(lab[0, 0, 1], lab[0, 0, 2]))
    modifier = share.term.removesuffix(share.name).strip()
    assert modifier in ("", "dark", "light", "pale", "vivid")
    if modifier == "dark":
        assert lightness < 70
    if modifier in ("light", "pale"):
        assert lightness > 50
    if modifier == "vivid":
        assert chroma >= 60
    if share.name in ("black", "white", "grey"):
        assert chroma < 30
    if share.name == "black":
        assert lightness < 25
    if share.name == "white":
        assert lightness > 85


@pytest.mark.parametrize(
    ("levels", "name"), [(range(31), "black"), (range(48, 216), "grey"), (range(238, 256), "white")]
)
def test_greys_are_black_grey_or_white_by_lightness(levels: range, name: str) -> None:
    for level in levels:
        (share,) = shares_of(Image.new("RGB", (2, 2), (level, level, level)))
        assert share.name == name, level


@pytest.mark.parametrize("width", [1, 25, 50, 99])
def test_shares_are_those_drawn(width: int) -> None:
    picture = Image.new("RGB", (100, 60), "navy")
    ImageDraw.Draw(picture).rectangle((0, 0, width - 1, 59), fill="yellow")
    shares = {item.name: item.share for item in shares_of(picture)}
    assert shares == pytest.approx({"yellow": width / 100, "blue": 1 - width / 100})


def test_largest_share_comes_first_and_equal_ones_in_table_order() -> None:
    picture = Image.new("RGB", (90, 10), "red")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 29, 9), fill="white")
    draw.rectangle((30, 0, 59, 9), fill="black")
    assert [item.name for item in shares_of(picture)] == ["black", "white", "red"]
    draw.rectangle((0, 0, 31, 9), fill="red")
    assert next(item.name for item in shares_of(picture)) == "red"


def test_a_shade_of_each_word_is_taken_for_that_word() -> None:
    for base in BASE_COLOURS:
        for anchor in base.anchors:
            (share,) = shares_of(Image.new("RGB", (1, 1), f"#{anchor}"))
            assert share.name == base.name, anchor


def test_warm_and_cool_shares() -> None:
    picture = Image.new("RGB", (100, 10), "orange")
    ImageDraw.Draw(picture).rectangle((0, 0, 29, 9), fill="blue")
    ImageDraw.Draw(picture).rectangle((30, 0, 39, 9), fill="gray")
    assert colour.warm_and_cool(shares_of(picture)) == pytest.approx((0.6, 0.3))


def test_neutral_words_are_never_vivid_or_pale() -> None:
    for name in ("black", "white", "grey"):
        assert name in COLOUR_NAMES
        for lab in ((5, 90, 0), (50, 90, 0), (99, 0, 0)):
            assert term_of(name, lab).removesuffix(name).strip() in ("", "dark", "light")
