"""Files of people's: rows of a Parquet or JSON Lines file, with the columns that are asked for checked by name.

What is read is small beside a corpus (references, ratings and items of its rows), and is held in memory as
dictionaries.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.json_text import RepeatedKeyError, parse_json
from ostensive.models.digests import files_digest


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row as plain values, and where it stands, for messages."""

    values: dict[str, Any]
    place: str


def content_hash(path: str) -> str:
    """What scores by the file depend on: its name and content; raises `SettingsError` where there is none."""
    file = Path(path)
    if not file.is_file():
        raise SettingsError(f"{path}: there is no such file; a Parquet or JSON Lines file is expected")
    return files_digest([file])


def read_rows(path: Path | str) -> Iterator[TableRow]:
    """The rows of a Parquet file (`.parquet`) or a JSON Lines file; raises `SettingsError` with the line."""
    file = Path(path)
    if file.suffix.lower() == ".parquet":
        yield from _parquet_rows(file)
        return
    try:
        # Some editors put a byte order mark first. Not splitlines: a text may hold U+2028.
        lines = file.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path}: is not UTF-8; JSON Lines or a file whose name ends in .parquet is expected"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            values = parse_json(line)
        except RepeatedKeyError as error:
            raise SettingsError(f"{place}: {error}; leave one of them") from error
        except json.JSONDecodeError as error:
            raise SettingsError(f"{place}: not JSON ({error}); one object a line is expected") from error
        except ValueError as error:
            raise SettingsError(f"{place}: {error}") from error
        if not isinstance(values, dict):
            raise SettingsError(f"{place}: one object a line is expected, not {line.strip()[:40]}")
        yield TableRow(values, place)


def _parquet_rows(file: Path) -> Iterator[TableRow]:
    import pyarrow as pa

    from ostensive.images.whole_parquet import read_whole_parquet

    try:
        rows = read_whole_parquet(file, "a Parquet file").to_pylist()
    except FileNotFoundError as error:
        raise SettingsError(f"{file}: cannot be read: No such file or directory") from error
    except (ValueError, OverflowError, pa.ArrowException) as error:  # of times beyond what Python has
        raise SettingsError(
            f"{file}: cannot be read as a Parquet file ({' '.join(str(error).split()):.200})"
        ) from error
    for number, values in enumerate(rows, 1):
        yield TableRow({key: value for key, value in values.items() if value is not None}, f"{file}, row {number}")


def text_in(row: TableRow, name: str) -> str | None:
    """The text of a column; None where the row has none. Raises `SettingsError` where it is no text."""
    value = row.values.get(name)
    if value is None or isinstance(value, str):
        return value
    raise SettingsError(f"{row.place}: {name} is {value!r:.60}; text is expected")
