"""Rows of what people keep beside images: CSV, TSV, JSON, JSON Lines, Parquet, Arrow, texts in WebDataset tars.

A file is read once, from its start, a piece at a time; only JSON that is one value is held whole. A row that cannot be
read is handed on as such, with its place. Where one fault hides which rows follow (bytes of another encoding, a quote
that is never closed, a key that stands twice) the file is refused. `pandas` reads most of these files too, but takes
the last of two equal keys or columns, pads short rows, and guesses at types and at missing values.
"""

import csv
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ostensive.errors import SettingsError
from ostensive.images.columns import open_arrow
from ostensive.images.files import suffix_of
from ostensive.images.items import TarMember
from ostensive.images.json_rows import json_lines, json_rows, parse_json
from ostensive.images.loader import read_file
from ostensive.images.paths import openable_path, shown_name
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.rows import BadRow, Row, Table, Wanted, refuse_repeated
from ostensive.images.text_files import decode, read_lines

_BATCH_ROWS: Final = 256
_MAX_MEMBER_BYTES: Final = 16 << 20
_FORMATS: Final = "a CSV, TSV, JSON, JSON Lines, Parquet or Arrow file is expected"


def open_table(path: str, shown: str, encoding: str | None, wanted: Wanted) -> Table:
    """The file at `path`, called `shown` in messages; its kind is told by its suffix.

    Raises `SettingsError`, here or while the rows are read, for what is no such file or cannot be read as one.
    """
    suffix = suffix_of(path)
    readers = {
        ".csv": lambda: _csv_table(path, shown, encoding, ","),
        ".tsv": lambda: _csv_table(path, shown, encoding, "\t"),
        ".json": lambda: Table((), json_rows(path, shown, encoding, wanted)),
        ".jsonl": lambda: Table((), json_lines(path, shown, encoding)),
        ".ndjson": lambda: Table((), json_lines(path, shown, encoding)),
        ".parquet": lambda: arrow_table(path, shown, wanted),
        ".arrow": lambda: arrow_table(path, shown, wanted),
    }
    _check_regular(path, shown)
    if suffix not in readers:
        raise SettingsError(f"{shown}: {suffix or 'a name without a suffix'} tells no format; {_FORMATS}")
    return readers[suffix]()


def _check_regular(path: str, shown: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # never waits for a pipe
    except OSError as error:
        raise SettingsError(f"{shown}: cannot be read: {error.strerror}; {_FORMATS}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SettingsError(f"{shown}: not a regular file; {_FORMATS}")
    finally:
        os.close(descriptor)


# ---- CSV -----------------------------------------------------------------------------------------------------------


class _Lines:
    """Lines for the CSV reader, those of the record at hand kept to say what was wrong with it."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.record: list[str] = []
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            self.record.append(next(self._lines))
        except StopIteration:
            self.ended = True
            raise
        return self.record[-1]


def _csv_table(path: str, shown: str, encoding: str | None, delimiter: str) -> Table:
    lines = _Lines(read_lines(path, shown, encoding))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
    except csv.Error as error:
        raise SettingsError(f"{shown}, line 1: no header that can be read ({error})") from error
    if not any(header):
        raise SettingsError(f"{shown}, line 1: no header; the names of the columns are expected there")
    refuse_repeated(shown, [name for name in header if name])
    return Table(tuple(name for name in header if name), _csv_rows(reader, lines, header, shown))


def _csv_rows(reader: Any, lines: _Lines, header: Sequence[str], shown: str) -> Iterator[Row | BadRow]:
    while True:
        first = reader.line_num + 1
        lines.record.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            text = "".join(lines.record)
            if lines.ended or (len(text) > csv.field_size_limit() and text.count('"') % 2):
                raise SettingsError(
                    f"{shown}, line {first}: a quote is opened in this row and not closed; close it, or double it"
                ) from error
            yield BadRow(_lines_from(first, reader.line_num), str(error))
            continue
        if not cells:
            continue
        place = _lines_from(first, reader.line_num)
        if len(cells) != len(header):
            yield BadRow(place, f"{len(cells)} cells, the header has {len(header)}")
        else:
            yield Row(place, dict(zip(header, cells, strict=True)))


def _lines_from(first: int, last: int) -> str:
    return f"line {first}" if last <= first else f"lines {first} to {last}"


# ---- Parquet and Arrow ---------------------------------------------------------------------------------------------


def arrow_table(path: str, shown: str, wanted: Wanted, without: str | None = None) -> Table:
    """The rows of a Parquet or Arrow file, of the columns that are `wanted`; class labels by their names.

    `without` is a column that is passed over as if it were not there.
    """
    try:
        if suffix_of(path) == ".parquet":
            with pq.ParquetFile(path) as parquet:
                schema = parquet.schema_arrow
        else:
            schema = open_arrow(path).schema
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names that are no UTF-8
        raise SettingsError(f"{shown}: not a readable Parquet or Arrow file: {_one_line(error)}") from error
    names = [name for name in schema.names if name != without]
    chosen = [name for name in names if wanted(name)]
    refuse_repeated(shown, chosen)
    return Table(tuple(names), _arrow_rows(path, shown, chosen, _class_names(schema)))


def _arrow_rows(path: str, shown: str, chosen: list[str], classes: Mapping[str, list[str]]) -> Iterator[Row | BadRow]:
    number = 0
    try:
        for batch in _batches(path, chosen):
            columns = [_cells(batch.column(name), classes.get(name)) for name in chosen]
            for cells in zip(*columns, strict=True):
                yield Row(f"row {number}", dict(zip(chosen, cells, strict=True)))
                number += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SettingsError(f"{shown}, after row {number}: cannot be read: {_one_line(error)}") from error


def _batches(path: str, chosen: list[str]) -> Iterator[pa.RecordBatch]:
    if suffix_of(path) == ".parquet":
        with pq.ParquetFile(path) as parquet:
            yield from parquet.iter_batches(_BATCH_ROWS, columns=chosen, use_threads=False)
    else:
        yield from open_arrow(path).select(chosen).to_batches(max_chunksize=_BATCH_ROWS)


def _cells(column: pa.Array, names: list[str] | None) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if names is None:
        return values
    return [names[value] if isinstance(value, int) and 0 <= value < len(names) else None for value in values]


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of the columns that `datasets` holds as numbers of classes."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        declared = {
            name: feature["names"] for name, feature in features.items() if feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}
    return {name: [str(value) for value in names] for name, names in declared.items() if isinstance(names, list)}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


# ---- members of tars -----------------------------------------------------------------------------------------------


def sample_rows(samples: Mapping[str, Sequence[TarMember]], encoding: str | None) -> Iterator[Row | BadRow]:
    """The rows of the samples of a tar, their keys the names of the samples; those without a text have none."""
    for sample, parts in samples.items():
        texts = [part for part in parts if part.column]
        place = f"sample {shown_name(sample)}"
        try:
            rows = _rows_of_sample(texts, encoding) if texts else []
        except (OSError, ValueError, ImageRefusedError) as error:
            yield BadRow(place, f"{error}"[:200])
            continue
        for values in rows:
            yield Row(place, values, sample)


def _rows_of_sample(texts: list[TarMember], encoding: str | None) -> list[dict[str, Any]]:  # Any: JSON values
    """What the texts of a sample say: one row, or as many as its JSON is a list of. Raises `ValueError`."""
    cells: dict[str, Any] = {}
    for part in texts:
        data = read_file(openable_path(part.tar.path), _MAX_MEMBER_BYTES, offset=part.offset, length=part.length)
        if part.column in cells:
            raise ValueError(f"{part.column} stands in the sample twice")
        cells[part.column] = decode(data, encoding)
    if "json" not in cells:
        return [cells]
    value = parse_json(cells.pop("json"))
    objects = value if isinstance(value, list) else [value]
    for row in objects:
        if not isinstance(row, dict):
            raise ValueError("the JSON is neither an object nor a list of objects")
        if repeated := row.keys() & cells.keys():
            raise ValueError(f"{min(repeated)} stands in the JSON and beside it")
    return [{**cells, **row} for row in objects]
