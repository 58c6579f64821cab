"""Files of people's, row by row."""

import json
from pathlib import Path

import pytest

from critics.row_files import read_rows
from ostensive.errors import SettingsError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_are_lines_whatever_an_editor_adds(encoding: str, end: str, tmp_path: Path) -> None:
    rows = [{"row_id": "a", "note": "first\u2028second"}, {"row_id": "b", "note": "\U0001f600 \ufeff"}]
    path = tmp_path / "rows.jsonl"
    text = end.join(json.dumps(row, ensure_ascii=place == 1) for place, row in enumerate(rows)) + end
    path.write_bytes(text.encode(encoding))
    assert [(row.values, row.place) for row in read_rows(path)] == [
        (rows[0], f"{path}, line 1"),
        (rows[1], f"{path}, line 2"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": ' + "[" * 100_000, "nested more than 100 deep"),
        ('{"a": "\\ud800"}', "holds half of a surrogate pair (\\ud...), which is no character"),
        ('{"a": {"b": ["\\uDFFF"]}}', "holds half of a surrogate pair (\\ud...), which is no character"),
        ('{"\\udc00": 1}', "holds half of a surrogate pair (\\ud...), which is no character"),
        ("[1]", "one object a line is expected, not [1]"),
    ],
)
def test_a_line_that_is_no_row_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"a": "\\ud83d\\ude00"}}\n{line}\n', "utf-8")
    with pytest.raises(SettingsError) as caught:
        list(read_rows(path))
    assert str(caught.value) == f"{path}, line 2: {message}"
