"""Rows of JSON: one object a line, a list of objects, columns, or an object whose keys name the images.

What is read is handed on member by member, so that a fault has the line of its member and not of the whole file. A key
that stands twice is refused, where `json` takes the last.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ostensive.errors import SettingsError
from ostensive.images.rows import BadRow, Row, Table, Wanted, refuse_repeated
from ostensive.images.text_files import read_lines, read_whole
from ostensive.json_text import is_deep


class DuplicateKeyError(ValueError):
    """A key stands twice in a JSON object."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        ((repeated, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise DuplicateKeyError(f"the key {repeated!r} stands twice in one object")
    return values


# Numbers stay as they are written: they are texts here. NaN is how pandas writes what is missing.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_distinct,
    parse_int=str,
    parse_float=str,
    parse_constant=lambda name: None if name == "NaN" else float(name),
)


def parse_json(text: str) -> Any:
    """The value of a JSON text, numbers as texts; raises `ValueError`, a `DuplicateKeyError` for a key given twice."""
    if is_deep(text):  # how deep `json` reads depends on the version of Python
        raise ValueError("nested too deeply")
    return _DECODER.decode(text)


def json_lines_table(path: str, shown: str, encoding: str | None, _wanted: Wanted) -> Table:
    """The rows of a JSON Lines file; raises `SettingsError` where no line is an object, or a key stands twice."""
    return Table((), _json_lines(path, shown, encoding))


def json_table(path: str, shown: str, encoding: str | None, wanted: Wanted) -> Table:
    """The rows of a JSON file that is one value; an object is columns when one of its keys is `wanted` as a column."""
    return Table((), _json_rows(path, shown, encoding, wanted))


def _json_lines(path: str, shown: str, encoding: str | None) -> Iterator[Row | BadRow]:
    readable, fault = 0, ""
    for number, line in enumerate(read_lines(path, shown, encoding), 1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            value = parse_json(line)
        except DuplicateKeyError as error:
            raise SettingsError(f"{shown}, {place}: {error}; leave one") from error
        except ValueError as error:
            fault = fault or f"{place}: {error}"
            yield BadRow(place, f"not JSON: {error}")
            continue
        if isinstance(value, dict):
            readable += 1
            yield Row(place, value)
        else:
            fault = fault or f"{place}: {line.strip():.40}"
            yield BadRow(place, "not an object")
    if fault and not readable:
        raise SettingsError(f"{shown}: no line holds a JSON object ({fault}); JSON that is one value ends in .json")


def _json_rows(path: str, shown: str, encoding: str | None, wanted: Wanted) -> Iterator[Row | BadRow]:
    text = read_whole(path, shown, encoding)
    start = _skip(text, 0)
    if text[start : start + 1] == "[":
        for number, (_, value) in enumerate(_members(text, start, shown), 1):
            yield Row(f"item {number}", value) if isinstance(value, dict) else BadRow(f"item {number}", "not an object")
    elif text[start : start + 1] == "{":
        yield from _object_rows(list(_members(text, start, shown)), shown, wanted)
    else:
        raise SettingsError(f"{shown}: a JSON list of objects is expected, or an object; it starts with {text[:20]!r}")


def _object_rows(members: list[tuple[str, Any]], shown: str, wanted: Wanted) -> Iterator[Row | BadRow]:
    refuse_repeated(shown, [name for name, _ in members])
    if any(wanted(name) for name, _ in members):
        yield from _column_rows(dict(members), shown)
        return
    for name, value in members:
        items = value if isinstance(value, list) else [value]
        for number, item in enumerate(items, 1):
            place = f"{name!r:.80}, item {number}" if isinstance(value, list) else f"{name!r:.80}"
            yield Row(place, item, name) if isinstance(item, dict) else BadRow(place, "not an object")


def _column_rows(columns: Mapping[str, Any], shown: str) -> Iterator[Row]:
    """The rows of JSON that is held by column: lists, or objects by row as `pandas.DataFrame.to_json` writes them."""
    cells: dict[str, Mapping[str, Any]] = {}
    for name, column in columns.items():
        if isinstance(column, list):
            cells[name] = {str(number): value for number, value in enumerate(column)}
        elif isinstance(column, dict):
            cells[name] = column
        else:
            raise SettingsError(
                f"{shown}: {name!r} is {column!r:.40}; an object is read as columns, each a list or an object by row"
            )
    names = list(next(iter(cells.values())))
    for name, values in cells.items():
        if values.keys() != set(names):
            raise SettingsError(f"{shown}: the column {name!r} has other rows than the first one")
    for row in names:
        yield Row(f"row {row}", {name: values[row] for name, values in cells.items()})


def _members(text: str, start: int, shown: str) -> Iterator[tuple[str, Any]]:
    """Name and value of what stands in the object, or the list, that begins at `start`; names in a list are empty.

    Names are given as they come, repeated ones too.
    """
    is_object = text[start] == "{"
    place, line = start, 1
    counted = 0
    try:
        place = _skip(text, start + 1)
        while text[place : place + 1] != ("}" if is_object else "]"):
            line, counted = line + text.count("\n", counted, place), place
            name = ""
            if is_object:
                name, place = _DECODER.raw_decode(text, place)
                if not isinstance(name, str) or text[counted] != '"':
                    raise json.JSONDecodeError("a key in quotes is expected", text, counted)
                place = _expect(text, place, ":")
            value, place = _DECODER.raw_decode(text, place)
            yield name, value
            place = _skip(text, place)
            if text[place : place + 1] != ("}" if is_object else "]"):
                place = _expect(text, place, ",")
        if _skip(text, place + 1) != len(text):
            raise json.JSONDecodeError("more follows where the value ends", text, place + 1)
    except DuplicateKeyError as error:
        raise SettingsError(f"{shown}, in what begins at line {line}: {error}; leave one") from error
    except RecursionError as error:
        raise SettingsError(f"{shown}, in what begins at line {line}: nested too deeply") from error
    except json.JSONDecodeError as error:
        raise SettingsError(f"{shown}, line {error.lineno}: not JSON ({error.msg}, column {error.colno})") from error


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] in (" ", "\t", "\r", "\n"):
        place += 1
    return place


def _expect(text: str, place: int, mark: str) -> int:
    place = _skip(text, place)
    if text[place : place + 1] != mark:
        raise json.JSONDecodeError(f"{mark!r} is expected", text, place)
    return _skip(text, place + 1)
