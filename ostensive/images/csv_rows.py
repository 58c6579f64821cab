"""Rows of CSV and TSV, read a line at a time.

`pandas` reads these files too, but takes the last of two equal columns, pads short rows, and guesses at types and at
missing values. Where a quote is never closed, which hides the rows that follow, the file is refused.
"""

import csv
from collections.abc import Iterator, Sequence
from typing import Any  # Any: the reader of `csv` has no type that can be named

from ostensive.errors import SettingsError
from ostensive.images.rows import BadRow, Row, Table, Wanted, refuse_repeated
from ostensive.images.text_files import read_lines


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


def csv_table(path: str, shown: str, encoding: str | None, _wanted: Wanted) -> Table:
    """The rows of a CSV file; raises `SettingsError` where no header, or no end of a quote, can be found."""
    return _separated(path, shown, encoding, ",")


def tsv_table(path: str, shown: str, encoding: str | None, _wanted: Wanted) -> Table:
    """Likewise, with tabs between the cells."""
    return _separated(path, shown, encoding, "\t")


def _separated(path: str, shown: str, encoding: str | None, delimiter: str) -> Table:
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
