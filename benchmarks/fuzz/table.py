"""The readers there are: what each reads, by which sound inputs, and where it is found."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader under test.

    `seeds` gives sound inputs, the same each time. `read` gives one input to the reader, with an empty folder to put it
    in, and takes every refusal that the reader promises; whatever else it raises is a fault.
    """

    seeds: Callable[[], list[bytes]]
    read: Callable[[bytes, Path], None]


READERS: Final[Mapping[str, str]] = {
    "arrow": "fuzz.data_sets",
    "parquet": "fuzz.data_sets",
    "tar": "fuzz.data_sets",
    "jpeg": "fuzz.pictures",
    "png": "fuzz.pictures",
    "tiff": "fuzz.pictures",
    "webp": "fuzz.pictures",
    "gif": "fuzz.pictures",
    "other-pictures": "fuzz.pictures",
    "replies": "fuzz.texts",
    "answers": "fuzz.texts",
    "labels": "fuzz.texts",
    "items": "fuzz.texts",
    "items-parquet": "fuzz.texts",
    "label-studio": "fuzz.texts",
    "concepts": "fuzz.texts",
    "recipes": "fuzz.texts",
    "annotations-csv": "fuzz.annotation_tables",
    "annotations-tsv": "fuzz.annotation_tables",
    "annotations-jsonl": "fuzz.annotation_tables",
    "annotations-json": "fuzz.annotation_tables",
    "annotations-parquet": "fuzz.annotation_tables",
}
"""The name of a reader to the module whose own `READERS` holds it."""


def reader_named(name: str) -> Reader:
    """The reader of that name; imports its module alone."""
    readers: Mapping[str, Reader] = importlib.import_module(READERS[name]).READERS
    return readers[name]
