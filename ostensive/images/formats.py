"""The table of input formats: what lists and reads a file that holds many images, and what reads a file of annotations.

A new format is its module, its test, and a line here. Folders, single images and lists of paths are in
`ostensive.images.sources`.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ostensive.errors import SettingsError
from ostensive.images.arrow_files import arrow_table, list_rows
from ostensive.images.csv_rows import csv_table, tsv_table
from ostensive.images.files import suffix_of
from ostensive.images.items import ImageReader, Sidecars, SourceItem
from ostensive.images.json_rows import json_lines_table, json_table
from ostensive.images.row_reader import RowReader
from ostensive.images.rows import Table, Wanted
from ostensive.images.settings import IntakeSettings
from ostensive.images.tars import MemberReader, list_tar


@dataclass(frozen=True, slots=True)
class ImageFileFormat:
    """A kind of file that holds many images.

    `items` gives an item for each, from the file's absolute path and what it is called, and puts the texts beside them
    to the sidecars. `reader` is made with the most bytes that an image may have.
    """

    items: Callable[[str, str, IntakeSettings, Sidecars | None], Iterator[SourceItem]]
    reader: Callable[[int], ImageReader]


IMAGE_FILES: Final[Mapping[str, ImageFileFormat]] = {
    ".tar": ImageFileFormat(list_tar, MemberReader),
    ".parquet": ImageFileFormat(list_rows, RowReader),
    ".arrow": ImageFileFormat(list_rows, RowReader),
}

ANNOTATION_FILES: Final[Mapping[str, Callable[[str, str, str | None, Wanted], Table]]] = {
    ".csv": csv_table,
    ".tsv": tsv_table,
    ".json": json_table,
    ".jsonl": json_lines_table,
    ".ndjson": json_lines_table,
    ".parquet": arrow_table,
    ".arrow": arrow_table,
}
_EXPECTED: Final = "a CSV, TSV, JSON, JSON Lines, Parquet or Arrow file is expected"


def open_table(path: str, shown: str, encoding: str | None, wanted: Wanted) -> Table:
    """The file of annotations at `path`, called `shown` in messages; its format is told by its suffix.

    A file is read once, from its start, a piece at a time; only JSON that is one value is held whole. A row that cannot
    be read is handed on as such, with its place. Raises `SettingsError`, here or while the rows are read, for what is
    no such file, or has a fault that hides which rows follow (bytes of another encoding, a key that stands twice).
    """
    suffix = suffix_of(path)
    _check_regular(path, shown)
    if suffix not in ANNOTATION_FILES:
        raise SettingsError(f"{shown}: {suffix or 'a name without a suffix'} tells no format; {_EXPECTED}")
    return ANNOTATION_FILES[suffix](path, shown, encoding, wanted)


def _check_regular(path: str, shown: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # never waits for a pipe
    except OSError as error:
        raise SettingsError(f"{shown}: cannot be read: {error.strerror}; {_EXPECTED}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SettingsError(f"{shown}: not a regular file; {_EXPECTED}")
    finally:
        os.close(descriptor)
