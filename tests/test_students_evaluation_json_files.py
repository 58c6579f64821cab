"""Odd rows in the files of a benchmark cost themselves alone."""

from pathlib import Path

import pytest

from students.evaluation.items import BrokenRowError
from students.evaluation.json_files import json_lines, numbers_of, text_of, texts_of


def test_an_odd_line_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = ['{"q": "a\u2028b"}', "[" * 5_000, '{"a": ' + "9" * 5_000 + "}", "5", '{"q": "b"}']
    path.write_text("\n".join(lines), "utf-8")
    found = [row if isinstance(row, BrokenRowError) else row["q"] for row in json_lines(path)]
    assert [one for one in found if isinstance(one, str)] == ["a\u2028b", "b"]
    assert len(found) == len(lines)


def test_half_a_pair_is_no_text_and_infinity_no_number() -> None:
    with pytest.raises(BrokenRowError, match="q is no text"):
        text_of({"q": "\ud800"}, "q")
    with pytest.raises(BrokenRowError, match="q is no list of texts"):
        texts_of({"q": ["a", "\udfff"]}, "q")
    for odd in (float("nan"), float("inf"), -float("inf"), 10**400):
        with pytest.raises(BrokenRowError, match="box is no list of 2 numbers"):
            numbers_of([1, odd], 2, "box")
    assert numbers_of([1, 2.5], 2, "box") == (1.0, 2.5)
