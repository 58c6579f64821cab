"""Benchmark files as JSON, and their fields with the type that they should have.

A file that is no JSON at all is an error of whoever named it; a row that is not as it should be is counted.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.json_text import is_unicode, parse_json
from students.evaluation.items import BrokenRowError

NOT_JSON: Final = "not JSON"
NOT_AN_OBJECT: Final = "not an object"
_LARGEST: Final = 1e300  # less than infinity, and no `nan`

Row = Mapping[str, Any]


def read_json(path: Path) -> Any:
    """The value of a JSON file; raises `SettingsError` naming the file for what is none."""
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        place = f", line {line}" if line else ""
        raise SettingsError(f"{path}{place}: is not JSON; the benchmark's own file is expected") from error


def json_lines(path: Path) -> Iterator[Row | BrokenRowError]:
    """The objects of a JSON Lines file, or why a line is none; raises `SettingsError` where it cannot be read."""
    # Not splitlines: a text may hold U+2028.
    for line in _text(path).split("\n"):
        if not line.strip():
            continue
        try:
            value = parse_json(line, strict=False)
        except ValueError:
            yield BrokenRowError(NOT_JSON)
            continue
        yield value if isinstance(value, dict) else BrokenRowError(NOT_AN_OBJECT)


def json_list(path: Path) -> Iterator[Row | BrokenRowError]:
    """The objects of a JSON file that is a list, or why one is none; raises `SettingsError` where it is no list."""
    values = read_json(path)
    if not isinstance(values, list):
        raise SettingsError(f"{path}: is no JSON list; the benchmark's own file is expected")
    for value in values:
        yield value if isinstance(value, dict) else BrokenRowError(NOT_AN_OBJECT)


def text_of(row: Row, key: str) -> str:
    """A text that is not empty, stripped; raises `BrokenRowError`."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip() or not is_unicode(value):
        raise BrokenRowError(f"{key} is missing" if value is None else f"{key} is no text")
    return value.strip()


def id_of(row: Row, key: str) -> str:
    """A text, or a whole number as one; raises `BrokenRowError`."""
    value = row.get(key)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text_of(row, key)


def texts_of(row: Row, key: str, *, least: int = 0) -> tuple[str, ...]:
    """A list of at least so many texts, stripped, none of them empty; raises `BrokenRowError`."""
    value = row.get(key)
    if value is None and not least:
        return ()
    if not isinstance(value, list) or not all(
        isinstance(one, str) and one.strip() and is_unicode(one) for one in value
    ):
        raise BrokenRowError(f"{key} is missing" if value is None else f"{key} is no list of texts")
    if len(value) < least:
        raise BrokenRowError(f"{key} has fewer than {least} texts")
    return tuple(one.strip() for one in value)


def index_of(row: Row, key: str, count: int, *, missing: str) -> int:
    """A place among `count` things, from 0; raises `BrokenRowError`, with the phrase `missing` where there is none."""
    value = row.get(key)
    if value is None:
        raise BrokenRowError(missing)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
        raise BrokenRowError(f"{key} is no place among the choices")
    return value


def numbers_of(values: Any, count: int, what: str) -> tuple[float, ...]:
    """A list of at least `count` numbers, of which the first `count` are taken; raises `BrokenRowError`."""
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) < count:
        raise BrokenRowError(f"{what} is no list of {count} numbers")
    if not all(
        isinstance(one, int | float) and not isinstance(one, bool) and abs(one) <= _LARGEST for one in values[:count]
    ):
        raise BrokenRowError(f"{what} is no list of {count} numbers")
    return tuple(float(one) for one in values[:count])


def only_file(source: Path, names: Sequence[str], what: str) -> Path:
    """`source` if it is a file, else the first of `names` in it; raises `SettingsError` where there is none."""
    if source.is_file():
        return source
    if not source.exists():
        raise SettingsError(f"--task {source}: there is no such file or folder; {what} is expected")
    found = next((source / name for name in names if (source / name).is_file()), None)
    if found is None:
        raise SettingsError(f"--task {source}: has none of {', '.join(names)}; {what} is expected")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8; the benchmark's own file is expected") from error
