"""What the readers of tables hand on: rows as they were read, those that could not be, and where each stands."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # Any: what JSON and Arrow give

from ostensive.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read. `key` is what it stood under in a JSON object of objects; `images` are the keys of the
    images that it lies beside, where it lies in a file of images."""

    place: str  # within the file
    values: Mapping[str, Any]
    key: str | None = None
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    place: str
    detail: str


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file. `columns` is empty for JSON, where each row has its own."""

    columns: tuple[str, ...]
    rows: Iterator[Row | BadRow]


Wanted = Callable[[str], bool]  # whether a column of this name may be looked at


def refuse_repeated(shown: str, names: Sequence[str]) -> None:
    """Raises `SettingsError` where two columns have one name."""
    for name, count in Counter(names).items():
        if count > 1:
            raise SettingsError(f"{shown}: {name!r} stands there {count} times; give each another name, or leave one")
