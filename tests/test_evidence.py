"""The arithmetic of the evidence: what seeds add up to, differences, and what is said of them."""

from pathlib import Path

import pytest
from evidence.records import Expectation, Figure, difference, mean, pooled, read_figures, share, write_figures
from evidence.report import BEGIN, END, cell, expectation_line, write_page

from ostensive.intervals import wilson


def test_seeds_of_a_share_are_counted_together() -> None:
    found = pooled([share("c", "a", "right", [True, True, False, False]), share("c", "a", "right", [True] * 6)])
    assert (found.value, found.count, found.by_seed) == (0.8, 10, (0.5, 1.0))
    assert found.interval == wilson(8, 10)
    assert cell(found) == "80.0 % (49.0 to 94.3) of 10; 50.0, 100.0"


def test_seeds_of_a_mean_have_the_deviation_of_all_their_values() -> None:
    found = pooled([mean("c", "a", "things", [0.0, 2.0]), mean("c", "a", "things", [4.0, 6.0])])
    assert (found.value, found.count) == (3.0, 4)
    assert found.deviation == pytest.approx(5**0.5)
    assert found.interval.high - found.value == pytest.approx(1.959964 * 5**0.5 / 2)


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """The example of Newcombe (1998), table II (a): 56 of 70 and 48 of 80 by method 10."""
    one, other = (pooled([Figure("c", "a", "right", hits / count, count)]) for hits, count in ((56, 70), (48, 80)))
    found = difference(one, other)
    assert (round(found.value, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)
    assert found.is_told


@pytest.mark.parametrize(
    ("hits", "less", "said"),
    [(90, False, "as expected"), (90, True, "the other way"), (51, False, "not to be told from none")],
)
def test_what_is_said_of_an_expectation(hits: int, less: bool, said: str) -> None:
    found = {
        (arm, "right"): pooled([Figure("c", arm, "right", count / 100, 100)]) for arm, count in (("a", hits), ("b", 50))
    }
    line = expectation_line(Expectation("a", "b", "right", less=less), found)
    assert line.endswith(f"**{said}**")
    assert expectation_line(Expectation("a", "none", "right"), found).endswith("not measured")


def test_figures_are_kept_and_the_page_changes_between_its_marks_alone(tmp_path: Path) -> None:
    figures = [share("filtering", "300 labels", "true, 20% kept", [True, False])]
    write_figures(tmp_path / "results" / "lskd-0.json", figures, seconds=120.0)
    assert read_figures(tmp_path / "results" / "lskd-0.json") == (figures, 120.0)
    page = tmp_path / "evidence.md"
    page.write_text(f"before\n{BEGIN}\nstale line\n{END}\nafter\n")
    write_page(tmp_path / "results", tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "stale line" not in text
    assert "| 300 labels | 50.0 % (9.5 to 90.5) of 2 |" in text
    write_page(tmp_path / "results", tmp_path)
    assert page.read_text() == text
