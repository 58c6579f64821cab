"""Parquet and Arrow files (`datasets` folders) to source items: one for each row of the image column.

Only footers are read here, so that a row without an image is found when it is read and not before. A file that
`datasets` wrote says which of its columns hold images; of others, a column of `{bytes, path}` or of bytes is taken.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ostensive.errors import SettingsError
from ostensive.images.items import SourceItem
from ostensive.images.paths import shown_name, storable_path
from ostensive.images.refusals import DataSetUnreadableError
from ostensive.records import Location


def list_rows(path: str, name: str, column: str | None) -> Iterator[SourceItem]:
    """One item for each row of the Parquet or Arrow file at the absolute `path`, called `name`.

    Raises `DataSetUnreadableError` when the file cannot be read as such, `SettingsError` when it has no image column,
    or several and none is named.
    """
    try:
        if path.lower().endswith(".parquet"):
            with pq.ParquetFile(path) as parquet:
                schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
        else:
            table = open_arrow(path)
            schema, rows = table.schema, table.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names that are no UTF-8
        reason = " ".join(str(error).split())
        message = f"{shown_name(path)}: not a readable Parquet or Arrow file: {reason:.200}"
        raise DataSetUnreadableError(message) from error
    chosen = image_column(schema, column, path)
    status = Path(path).stat()
    stored = storable_path(path)
    for row in range(rows):
        key = storable_path(f"{name}#{row}")
        shown = shown_name(f"{name}#{row}")
        location = Location(stored, row, None, chosen)
        yield SourceItem(key, key if shown == key else shown, location, status.st_size, status.st_mtime_ns)


def open_arrow(path: str) -> pa.Table:
    """The table in an Arrow file or stream, memory-mapped: what is not looked at is not read."""
    source = pa.memory_map(path)
    try:
        return pa.ipc.open_stream(source).read_all()  # what `datasets` writes
    except pa.ArrowInvalid:
        return pa.ipc.open_file(source).read_all()


def image_column(schema: pa.Schema, column: str | None, path: str) -> str:
    """The column that holds the images; raises `SettingsError` when that is not clear."""
    shown = shown_name(path)
    if column is not None:
        if column not in schema.names:
            known = ", ".join(schema.names)
            raise SettingsError(f"{shown}: no column {column!r} (intake.column); its columns are {known}")
        if not _holds_images(schema.field(column).type):
            kind = schema.field(column).type
            raise SettingsError(f"{shown}: column {column!r} (intake.column) holds {kind}, not images")
        return column
    for candidates in (_declared_images(schema), _structs(schema), _binaries(schema)):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            names = ", ".join(candidates)
            raise SettingsError(f"{shown}: several image columns ({names}); choose one with intake.column")
    raise SettingsError(
        f"{shown}: no image column; one of images, of {{bytes, path}} or of bytes is expected, "
        f"its columns are {', '.join(schema.names)}"
    )


def _declared_images(schema: pa.Schema) -> list[str]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        declared = [name for name, feature in features.items() if feature.get("_type") == "Image"]
    except (KeyError, TypeError, AttributeError, ValueError):
        return []
    return [name for name in declared if name in schema.names and _holds_images(schema.field(name).type)]


def _structs(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_struct(field.type) and _holds_images(field.type)]


def _binaries(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if _is_bytes(field.type)]


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _is_bytes(kind.field(index).type)
    return _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
