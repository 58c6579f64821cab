import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_images import write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostensive.errors import SettingsError
from ostensive.images.annotation_columns import AnnotationColumns
from ostensive.images.formats import open_table
from ostensive.images.rows import BadRow, Row
from ostensive.images.settings import AnnotationSettings, IntakeSettings
from ostensive.images.sources import list_items

COLUMNS = AnnotationColumns(AnnotationSettings(columns={"note": "remark"}))
ROWS = [
    {"file_name": "a.jpg", "question": "What, or who?", "answer": 'a "red" one'},
    {"file_name": "b.jpg", "question": "two\nlines", "answer": "café \u2028 写真"},
]


def rows_of(path: Path, encoding: str | None = None) -> list[Row | BadRow]:
    return list(open_table(str(path), path.name, encoding, COLUMNS.wants).rows)


def values_of(path: Path, encoding: str | None = None) -> list[Any]:
    return [row.values if isinstance(row, Row) else row.detail for row in rows_of(path, encoding)]


def error_of(path: Path, encoding: str | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        rows_of(path, encoding)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def file_of(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    assert values_of(write_rows(tmp_path / f"a.{suffix}", ROWS)) == ROWS


def test_files_that_datasets_writes(tmp_path: Path) -> None:
    written = datasets.Dataset.from_list(ROWS)
    written.to_csv(tmp_path / "a.csv")
    written.to_json(tmp_path / "a.jsonl")
    written.to_json(tmp_path / "columns.json", lines=False, orient="columns")
    written.to_json(tmp_path / "list.json", lines=False, orient="records")
    written.to_parquet(tmp_path / "a.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert values_of(path) == ROWS, path.name


def test_class_labels_are_read_by_their_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {"file_name": datasets.Value("string"), "label": datasets.ClassLabel(names=["cat", "7"])}
    )
    rows = {"file_name": ["a", "b", "c"], "label": [1, 0, -1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
    assert [row["label"] for row in values_of(tmp_path / "a.parquet")] == ["7", "cat", None]
    plain = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata(None)
    pq.write_table(plain, tmp_path / "b.parquet")
    assert [row["label"] for row in values_of(tmp_path / "b.parquet")] == [1, 0, -1]


def test_columns_of_parquet_that_nobody_wants_are_not_read(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "a.parquet", [{"file_name": "a", "width": 1, "remark": "b", "answer_2": "c", "h": None}]
    )
    assert values_of(path) == [{"file_name": "a", "remark": "b", "answer_2": "c"}]
    assert open_table(str(path), "a", None, COLUMNS.wants).columns == ("file_name", "width", "remark", "answer_2", "h")


@pytest.mark.parametrize("mark", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_byte_order_marks_say_what_a_file_is_in(tmp_path: Path, suffix: str, mark: str) -> None:
    path = write_rows(tmp_path / f"a.{suffix}", ROWS)
    path.write_bytes(path.read_bytes().decode().encode(mark))
    assert values_of(path) == ROWS


def test_utf_16_that_begins_with_the_other_mark(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a.csv", "\ufefffile_name,answer\r\na.jpg,é\r\n".encode("utf-16-be"))
    assert values_of(path) == [{"file_name": "a.jpg", "answer": "é"}]


def test_another_encoding_is_refused_until_it_is_named(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a.csv", "file_name,answer\r\na.jpg,x\r\nb.jpg,caf\xe9\r\n".encode("latin-1"))
    assert error_of(path) == (
        "a.csv, line 3: byte 0xe9 at 36 is not UTF-8 (invalid continuation byte); save the file as UTF-8; if it is "
        "Latin-1 or Windows-1252, say annotations.encoding=cp1252"
    )
    assert [row["answer"] for row in values_of(path, "cp1252")] == ["x", "café"]
    assert error_of(path, "ascii").startswith(
        "a.csv, line 3: byte 0xe9 at 36 is not ASCII (ordinal not in range(128));"
    )
    assert not error_of(path, "ascii").endswith("cp1252")


def test_the_place_of_a_bad_byte_is_that_in_the_file_however_far_in(tmp_path: Path) -> None:
    start = b"file_name,answer\n" + b"a.jpg,\xc3\xa9\n" * 200_000
    path = file_of(tmp_path, "a.csv", start + b"b.jpg,\xff\n")
    assert error_of(path).startswith(
        f"a.csv, line 200002: byte 0xff at {len(start) + 6} is not UTF-8 (invalid start byte);"
    )
    cut = file_of(tmp_path, "b.csv", start + b"b.jpg,\xc3")
    assert error_of(cut).startswith(f"b.csv, line 200002: byte 0xc3 at {len(start) + 6} is not UTF-8 (unexpected end")


def test_utf_16_without_its_mark_is_told(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a.csv", "file_name,answer\na,b\n".encode("utf-16-le"))
    assert error_of(path) == (
        "a.csv: holds zero bytes, as UTF-16 without a byte order mark does; say annotations.encoding=utf-16-le, or "
        "save the file as UTF-8"
    )
    assert values_of(path, "utf-16-le") == [{"file_name": "a", "answer": "b"}]


# ---- CSV ------------------------------------------------------------------------------------------------------------


def test_rows_of_csv_that_cannot_be_read_are_handed_on_with_their_lines(tmp_path: Path) -> None:
    content = (
        "file_name, question ,answer\r\n"
        'a.jpg,"one\r\ntwo",x\r\n'
        "b.jpg,short\r\n"
        "\r\n"
        "c.jpg,too,long,row\r\n"
        'd.jpg,"he said "hi" to me",x\r\n'
        'e.jpg,5" wide,x\r\n'
        'f.jpg,"",x\n'
    )
    assert rows_of(file_of(tmp_path, "a.csv", content)) == [
        Row("lines 2 to 3", {"file_name": "a.jpg", "question": "one\r\ntwo", "answer": "x"}),
        BadRow("line 4", "2 cells, the header has 3"),
        BadRow("line 6", "4 cells, the header has 3"),
        BadRow("line 7", "',' expected after '\"'"),
        Row("line 8", {"file_name": "e.jpg", "question": '5" wide', "answer": "x"}),
        Row("line 9", {"file_name": "f.jpg", "question": "", "answer": "x"}),
    ]


def test_a_quote_that_is_never_closed_hides_rows_and_refuses_the_file(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a.csv", 'file_name,answer\na,b\nc,"d\ne,f\ng,h\n')
    assert error_of(path) == "a.csv, line 3: a quote is opened in this row and not closed; close it, or double it"
    far = file_of(tmp_path, "b.csv", 'file_name,answer\na,"b\n' + "c,d\n" * 50_000)
    assert error_of(far) == "b.csv, line 2: a quote is opened in this row and not closed; close it, or double it"


def test_a_very_long_cell_costs_its_row_and_no_other(tmp_path: Path) -> None:
    rows = [
        {"file_name": "a", "answer": "x" * 131_072},
        {"file_name": "b", "answer": "y" * 131_073},
        {"file_name": "c"},
    ]
    assert values_of(write_rows(tmp_path / "a.csv", rows)) == [
        rows[0],
        "field larger than field limit (131072)",
        {"file_name": "c", "answer": ""},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.csv, line 1: no header; the names of the columns are expected there"),
        ("\n", "a.csv, line 1: no header; the names of the columns are expected there"),
        ("a,b, a\n", "a.csv: 'a' stands there 2 times; give each another name, or leave one"),
        ('"a\nb,c\n', "a.csv, line 1: no header that can be read (unexpected end of data)"),
    ],
)
def test_headers_that_are_refused(tmp_path: Path, content: str, message: str) -> None:
    assert error_of(file_of(tmp_path, "a.csv", content)) == message


def test_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a.csv", ",file_name,,answer\n0,a.jpg,,b\n")
    assert open_table(str(path), "a", None, COLUMNS.wants).columns == ("file_name", "answer")
    assert [(row["file_name"], row["answer"]) for row in values_of(path)] == [("a.jpg", "b")]


# ---- JSON -----------------------------------------------------------------------------------------------------------


def test_numbers_keep_their_form_and_nan_is_nothing(tmp_path: Path) -> None:
    digits = "1" * 5000
    path = file_of(
        tmp_path, "a.jsonl", f'{{"a": 1.50, "b": NaN, "c": {digits}, "d": true, "e": Infinity, "f": null}}\n'
    )
    assert values_of(path) == [{"a": "1.50", "b": None, "c": digits, "d": True, "e": float("inf"), "f": None}]


def test_lines_that_are_no_objects_are_handed_on(tmp_path: Path) -> None:
    content = '{"a": 1}\r\n\n[1]\n{"a": \n' + "[" * 100_000 + '\n{"a": "x\u2028y"}'
    rows = rows_of(file_of(tmp_path, "a.jsonl", content))
    assert [row.place for row in rows] == ["line 1", "line 3", "line 4", "line 5", "line 6"]
    assert [isinstance(row, Row) for row in rows] == [True, False, False, False, True]
    details = [row.detail for row in rows if isinstance(row, BadRow)]
    assert details[0] == "not an object"
    assert details[1].startswith("not JSON: Expecting value")
    assert details[2] == "not JSON: nested too deeply"


def test_a_file_of_no_objects_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a.jsonl", "[\n1\n]\n")
    assert error_of(path).startswith("a.jsonl: no line holds a JSON object (line 1: Expecting value")
    assert error_of(path).endswith("; JSON that is one value ends in .json")
    assert rows_of(file_of(tmp_path, "b.jsonl", "")) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"a": 1}\n{"b": 1, "c": 2, "b": 3}\n', "a.jsonl, line 2: the key 'b' stands twice in one object"),
        (
            "a.json",
            '[\n{"a": 1},\n\n{"b": {"c": 1, "c": 2}}]',
            "a.json, in what begins at line 4: the key 'c' stands twice",
        ),
        (
            "a.json",
            '{"x.jpg": {},\n "x.jpg": {}}',
            "a.json: 'x.jpg' stands there 2 times; give each another name, or leave",
        ),
        ("a.json", '[{"a": 1},\n{"a" 2}]', "a.json, line 2: not JSON (Expecting ':' delimiter, column 6)"),
        ("a.json", '[{"a": 1}\n{"a": 2}]', "a.json, line 2: not JSON (',' is expected, column 1)"),
        ("a.json", '[{"a": 1}', "a.json, line 1: not JSON (',' is expected, column 10)"),
        ("a.json", '[{"a": 1}] x', "a.json, line 1: not JSON (more follows where the value ends, column 11)"),
        ("a.json", "{1: {}}", "a.json, line 1: not JSON (a key in quotes is expected, column 2)"),
        ("a.json", "[" * 100_000, "a.json, in what begins at line 1: nested too deeply"),
        ("a.json", '"text"', "a.json: a JSON list of objects is expected, or an object; it starts with '\"text\"'"),
        ("a.json", "", "a.json: a JSON list of objects is expected, or an object; it starts with ''"),
        (
            "a.json",
            '{"file_name": ["a", "b"], "answer": ["c"]}',
            "a.json: the column 'answer' has other rows than the first",
        ),
        (
            "a.json",
            '{"file_name": ["a"], "license": "x"}',
            "a.json: 'license' is 'x'; an object is read as columns, each a",
        ),
    ],
)
def test_json_that_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    assert error_of(file_of(tmp_path, name, content)).startswith(message)


def test_json_in_columns_as_pandas_writes_it(tmp_path: Path) -> None:
    columns = {
        "image_id": {"7": 262284, "9": 5},
        "question": {"7": "a", "9": "b"},
        "question_type": {"7": "x", "9": None},
    }
    rows = rows_of(file_of(tmp_path, "train.json", json.dumps(columns)))
    assert rows == [
        Row("row 7", {"image_id": "262284", "question": "a", "question_type": "x"}),
        Row("row 9", {"image_id": "5", "question": "b", "question_type": None}),
    ]


def test_an_object_whose_keys_name_the_images(tmp_path: Path) -> None:
    content = {"a.jpg": {"question": "x"}, "b.jpg": [{"question": "y"}, 3, {"question": "z"}], "c.jpg": None}
    assert rows_of(file_of(tmp_path, "a.json", json.dumps(content))) == [
        Row("'a.jpg'", {"question": "x"}, "a.jpg"),
        Row("'b.jpg', item 1", {"question": "y"}, "b.jpg"),
        BadRow("'b.jpg', item 2", "not an object"),
        Row("'b.jpg', item 3", {"question": "z"}, "b.jpg"),
        BadRow("'c.jpg'", "not an object"),
    ]
    assert rows_of(file_of(tmp_path, "b.json", "{}")) == []
    assert rows_of(file_of(tmp_path, "c.json", " [ ] ")) == []


# ---- files ----------------------------------------------------------------------------------------------------------


def test_what_is_no_file_of_rows(tmp_path: Path) -> None:
    expected = "; a CSV, TSV, JSON, JSON Lines, Parquet or Arrow file is expected"
    assert error_of(tmp_path / "no.csv") == f"no.csv: cannot be read: No such file or directory{expected}"
    (tmp_path / "folder.csv").mkdir()
    assert error_of(tmp_path / "folder.csv") == f"folder.csv: not a regular file{expected}"
    os.mkfifo(tmp_path / "pipe.csv")
    assert error_of(tmp_path / "pipe.csv") == f"pipe.csv: not a regular file{expected}"
    assert error_of(file_of(tmp_path, "a.xlsx", "")) == f"a.xlsx: .xlsx tells no format{expected}"
    assert error_of(file_of(tmp_path, "names", "")) == f"names: a name without a suffix tells no format{expected}"
    message = error_of(file_of(tmp_path, "a.parquet", b"PAR1"))
    assert message.startswith("a.parquet: not a readable Parquet or Arrow file: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a.csv", "a\n")
    path.chmod(0)
    assert error_of(path).startswith("a.csv: cannot be read: Permission denied;")


def test_parquet_that_is_damaged_within_says_after_which_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    names = [f"{number:09}.jpg" for number in range(2048)]
    pq.write_table(pa.table({"file_name": names}), path, row_group_size=1024, use_dictionary=False, compression="zstd")
    data = bytearray(path.read_bytes())
    with pq.ParquetFile(path) as parquet:
        start = parquet.metadata.row_group(1).column(0).data_page_offset
    data[start : start + 60] = bytes(60)
    path.write_bytes(data)
    assert error_of(path).startswith("a.parquet, after row 1024: cannot be read: ")


def test_columns_whose_names_are_no_unicode(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet", ROWS)
    path.write_bytes(path.read_bytes().replace(b"question", b"\xffuestion"))
    assert error_of(path).startswith(
        "a.parquet: not a readable Parquet or Arrow file: 'utf-8' codec can't decode byte 0xff"
    )
    with pytest.raises(SettingsError, match="not a readable Parquet or Arrow file"):
        list_items(path, IntakeSettings())


def test_arrow_files_are_read_too(tmp_path: Path) -> None:
    with pa.OSFile(str(tmp_path / "a.arrow"), "w") as sink:
        table = pa.Table.from_pylist(ROWS)
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    assert values_of(tmp_path / "a.arrow") == ROWS


# ---- any text at all ------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TABLES = st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=1, max_size=5)


@given(TABLES, st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_passes_through_csv(
    tmp_path: Path, cells: Sequence[Sequence[str]], line_end: str, quoting: Any
) -> None:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator=line_end, quoting=quoting)
    writer.writerows([["question", "answer"], *cells])
    rows = rows_of(file_of(tmp_path, "a.csv", sink.getvalue()))
    assert [list(row.values.values()) for row in rows if isinstance(row, Row)] == list(cells)
    assert len(rows) == len(cells)


VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), min_size=1, max_size=4)


@given(OBJECTS, st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_object_passes_through_json(tmp_path: Path, objects: list[dict[str, Any]], ascii_only: bool) -> None:
    lines = "\n".join(json.dumps(value, ensure_ascii=ascii_only) for value in objects)
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines.encode("utf-8", "replace"))
    if ascii_only:  # otherwise lone surrogates of a test are written as question marks
        assert values_of(path) == objects
        assert values_of(file_of(tmp_path, "a.json", json.dumps(objects))) == objects
    else:
        assert len(values_of(path)) == len(objects)
