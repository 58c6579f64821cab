"""Plots as SVG: what they show, and that nothing that a model or a user wrote is more than text in them."""

import xml.etree.ElementTree as ET
from itertools import pairwise
from unicodedata import east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.distributions import Frequencies, Histogram
from cards.plots import WIDTH, bars_svg, histogram_svg, plot_names

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title><script>alert(1)</script>&\"'\x00\u202e\ud800" + "x" * 500


def bars(svg: str) -> list[ET.Element]:
    return [one for one in ET.fromstring(svg).iter(f"{SVG}rect") if one.get("class") in ("bar", "rest")]


def titles(svg: str) -> list[str]:
    return [one.findtext(f"{SVG}title") or "" for one in bars(svg)]


def test_a_histogram_has_a_bar_for_each_bin_that_holds_something() -> None:
    svg = histogram_svg(Histogram("words", "words", (0.0, 5.0, 10.0, 15.0), (2, 0, 6)))
    assert titles(svg) == ["0 to 5 words: 2 (25.0%)", "10 to 15 words: 6 (75.0%)"]
    low, high = (float(one.get("height", 0)) for one in bars(svg))
    assert high == pytest.approx(3 * low, rel=0.02)
    assert ET.fromstring(svg).findtext(f"{SVG}title") == "words"
    assert "8 values from 0 to 15 in 3 bins; the fullest, 10 to 15 words, holds 75.0%." in svg


def test_bins_of_whole_numbers_are_named_by_them_and_uneven_ones_are_told() -> None:
    svg = histogram_svg(Histogram("rows", "rows", (0.0, 1.0, 2.0, 3.0), (1, 0, 3)))
    assert titles(svg) == ["0 rows: 1 (25.0%)", "2 rows: 3 (75.0%)"]
    assert "bins differ in width" not in svg
    assert "bins differ in width" in histogram_svg(Histogram("rows", "rows", (0.0, 1.0, 9.0), (1, 3)))


def test_bars_are_of_values_and_of_all_others() -> None:
    svg = bars_svg(Frequencies("first word", {"what": 30, "who": 15}, others=5))
    assert titles(svg) == ["what: 30 (60.0%)", "who: 15 (30.0%)", "(all others): 5 (10.0%)"]
    longest, half, _ = (float(one.get("width", 0)) for one in bars(svg))
    assert longest == pytest.approx(2 * half)
    many = bars_svg(Frequencies("w", {str(number): 50 - number for number in range(30)}))
    assert len(bars(many)) == 21
    assert titles(many)[-1] == f"(all others): {sum(50 - n for n in range(20, 30))} (23.9%)"


@pytest.mark.parametrize("width", [WIDTH, 460])
def test_all_that_is_drawn_is_within_the_plot(width: int) -> None:
    edges = tuple(place / 20 for place in range(21))
    spread = Histogram("acceptance probability by a critic with a long name", "probability", edges, (10_000,) * 20)
    words = Frequencies("frequent words of the rationale", {"w" * 60: 1_000_000, "\u6771" * 30: 900_000, "a": 1})
    for svg in (histogram_svg(spread, width), bars_svg(words, width)):
        root = ET.fromstring(svg)
        assert root.get("viewBox", "").split()[2] == root.get("width") == str(width)
        for bar in bars(svg):
            assert float(bar.get("x", -1)) + float(bar.get("width", 0)) <= width
        for text in root.iter(f"{SVG}text"):
            long = sum(2 if east_asian_width(char) in "WF" else 1 for char in text.text or "") * 6.2
            share = {"end": 1.0, "middle": 0.5}.get(text.get("text-anchor", ""), 0.0)
            left = float(text.get("x", -1)) - share * long
            assert 0 <= left <= left + long <= width, text.text


def test_ticks_do_not_run_into_each_other_however_narrow_the_plot_is() -> None:
    edges = tuple(float(1000 * place) for place in range(25))
    for width in (WIDTH, 460):
        root = ET.fromstring(histogram_svg(Histogram("words", "words", edges, (1,) * 24), width))
        ticks = [one for one in root.iter(f"{SVG}text") if (one.text or "").replace(",", "").isdigit()]
        below = [one for one in ticks if one.get("text-anchor") == "middle"]
        assert len(below) >= 4
        for left, right in pairwise(below):
            room = float(right.get("x", 0)) - float(left.get("x", 0))
            assert room >= 7 * (len(left.text or "") + len(right.text or "")) / 2


def test_of_nothing_there_is_a_plot_that_says_so() -> None:
    for svg in (histogram_svg(Histogram("n", "", (0.0, 1.0), (0,))), bars_svg(Frequencies("n", {}))):
        assert "Nothing was counted." in svg
        assert bars(svg) == []


@given(st.text())
def test_any_name_and_label_is_text(text: str) -> None:
    for svg in (bars_svg(Frequencies(text, {text: 1})), histogram_svg(Histogram(text, text, (0.0, 1.0), (3,)))):
        assert {one.tag for one in ET.fromstring(svg).iter()} <= {
            f"{SVG}{name}" for name in ("svg", "title", "desc", "style", "rect", "text", "path")
        }


def test_hostile_text_stays_text_and_is_cut() -> None:
    svg = bars_svg(Frequencies("n", {HOSTILE: 1}))
    assert "<script" not in svg
    assert "\u202e" not in svg
    label = next(one for one in ET.fromstring(svg).iter(f"{SVG}text") if (one.text or "").startswith("</title>"))
    assert len(label.text or "") <= 24


def test_names_of_files_are_plain_and_differ() -> None:
    assert plot_names(["Wörter of the answer", "a/../b", "a b", "", "何", "a b"]) == (
        "worter-of-the-answer.svg",
        "a-b.svg",
        "a-b-2.svg",
        "plot.svg",
        "plot-2.svg",
        "a-b-3.svg",
    )
