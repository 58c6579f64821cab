"""Parquet and Arrow files (`datasets` folders): a source item for each row, its image again, and the texts beside it.

Only footers are read to list a file: a row without an image is found when it is read. What `datasets` wrote says which
of its columns hold images; of others, one of `{bytes, path}`, of bytes, or of lists of one, as TRL has it, is taken.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar  # Any: JSON values, cells

import pyarrow as pa
import pyarrow.parquet as pq

from ostensive.errors import SettingsError, one_line
from ostensive.images import refusals
from ostensive.images.files import read_file, suffix_of
from ostensive.images.items import FoundFile, Sidecars, SidecarTable, SourceItem
from ostensive.images.paths import is_inside, shown_name, storable_path, unicode_name
from ostensive.images.refusals import DataSetUnusableError, ImageRefusedError, NoImageColumnError
from ostensive.images.rows import BadRow, Row, Table, Wanted, refuse_repeated
from ostensive.images.settings import IntakeSettings
from ostensive.json_text import parse_json
from ostensive.records import Location

_ROW_GROUPS_KEPT: Final = 3  # stages read at different places; a row group may be hundreds of megabytes
_FILES_KEPT: Final = 16
_BATCH_ROWS: Final = 256

ValueT = TypeVar("ValueT")


def list_rows(path: str, name: str, settings: IntakeSettings, sidecars: Sidecars | None) -> Iterator[SourceItem]:
    """One item for each row of the Parquet or Arrow file at the absolute `path`, called `name`.

    Raises `DataSetUnusableError` when the file cannot be read as such, `NoImageColumnError` when it holds no images,
    `SettingsError` when it has several columns of them and none is named.
    """
    try:
        schema, rows = _schema_and_rows(path)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names that are no UTF-8
        detail = f"not a readable Parquet or Arrow file: {one_line(error)}"
        raise DataSetUnusableError(shown_name(path), detail) from error
    chosen = image_column(schema, settings.column, path)
    status = Path(path).stat()
    stored = storable_path(path)
    if sidecars is not None and rows:
        sidecars.tables.append(_columns_beside(path, FoundFile(stored, storable_path(name)), chosen, sidecars.wants))
    for row in range(rows):
        key = storable_path(f"{name}#{row}")
        yield SourceItem(key, key, Location(stored, row, None, chosen), status.st_size, status.st_mtime_ns)


def _columns_beside(path: str, file: FoundFile, image_column: str, wanted: Wanted) -> SidecarTable:
    """The other columns; each row belongs to the image in it."""

    def open_table(keys: Mapping[int, str], encoding: str | None) -> Table:
        table = arrow_table(path, shown_name(file.name), encoding, wanted, image_column)
        return Table(table.columns, (_with_image(row, keys.get(number)) for number, row in enumerate(table.rows)))

    return SidecarTable(file, open_table)


def _with_image(row: Row | BadRow, key: str | None) -> Row | BadRow:
    if isinstance(row, BadRow):
        return row
    return Row(row.place, row.values, images=() if key is None else (key,))  # none: the file has grown meanwhile


def _schema_and_rows(path: str) -> tuple[pa.Schema, int]:
    if suffix_of(path) == ".parquet":
        with pq.ParquetFile(path) as parquet:
            return parquet.schema_arrow, parquet.metadata.num_rows
    table = open_arrow(path)
    return table.schema, table.num_rows


def open_arrow(path: str) -> pa.Table:
    """The table in an Arrow file or stream, memory-mapped: what is not looked at is not read."""
    source = pa.memory_map(path)
    try:
        return pa.ipc.open_stream(source).read_all()  # what `datasets` writes
    except pa.ArrowInvalid:
        return pa.ipc.open_file(source).read_all()


def image_column(schema: pa.Schema, column: str | None, path: str) -> str:
    """The column that holds the images; raises `NoImageColumnError`, and `SettingsError` when it is not clear which."""
    shown, known = shown_name(path), shown_name(", ".join(schema.names))
    if column is not None:
        if column not in schema.names:
            raise NoImageColumnError(shown, f"no column {column!r} (intake.column); its columns are {known}")
        if not _holds_images(schema.field(column).type):
            kind = schema.field(column).type
            raise NoImageColumnError(shown, f"column {column!r} (intake.column) holds {kind}, not images")
        return column
    for candidates in (_declared_images(schema), _structs(schema), _binaries(schema), _lists(schema)):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            names = ", ".join(candidates)
            raise SettingsError(f"{shown}: several image columns ({names}); choose one with intake.column")
    raise NoImageColumnError(
        shown, f"no image column; one of images, of {{bytes, path}} or of bytes is expected, its columns are {known}"
    )


def _declared_images(schema: pa.Schema) -> list[str]:
    declared = [name for name, feature in _features(schema).items() if feature.get("_type") == "Image"]
    return [name for name in declared if name in schema.names and _holds_images(schema.field(name).type)]


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """What `datasets` noted of the columns that it wrote, by their names; nothing where it did not."""
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"], strict=False)["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def _structs(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_struct(field.type) and _holds_images(field.type)]


def _binaries(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if _is_bytes(field.type)]


def _lists(schema: pa.Schema) -> list[str]:
    kinds = {
        field.name: field.type for field in schema if pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
    }
    return [name for name, kind in kinds.items() if pa.types.is_struct(kind.value_type) and _holds_images(kind)]


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _is_bytes(kind.field(index).type)
    return _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


# ---- reading an image again -----------------------------------------------------------------------------------------


class RowReader:
    """Reads images in rows, with the row groups and tables kept that were read last; for any number of threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parquets: _Recent[pq.ParquetFile] = _Recent(_FILES_KEPT)
        self._groups: _Recent[pa.ChunkedArray] = _Recent(_ROW_GROUPS_KEPT)
        self._tables: _Recent[pa.Table] = _Recent(_FILES_KEPT)

    def read(self, path: str, location: Location) -> bytes:
        """The bytes in the row at `location` of the file at `path`; raises `ImageRefusedError` and `OSError`."""
        try:
            return self._read_row(path, location)
        except (pa.ArrowException, KeyError) as error:
            raise ImageRefusedError(refusals.UNREADABLE, one_line(error)) from error

    def _read_row(self, path: str, location: Location) -> bytes:
        row, column = location.offset, location.column
        assert row is not None, "a row has a number"
        assert column is not None, "its image is in a column"
        status = Path(path).stat()
        # A file that was replaced is another file, though it has the same path.
        version = (path, str(status.st_size), str(status.st_mtime_ns), column)
        if suffix_of(path) == ".parquet":
            cells, index = self._parquet_cells(path, version, row)
        else:
            table = self._tables.get(version, lambda: open_arrow(path))
            cells, index = table.column(column), row
        if index >= len(cells):
            raise ImageRefusedError(refusals.MISSING, f"the file has no row {row} any more")
        return self._cell_bytes(cells[index].as_py(), path)

    def _parquet_cells(self, path: str, version: tuple[str, ...], row: int) -> tuple[pa.ChunkedArray, int]:
        """The column within the row group that holds `row`, and the row's place in it."""
        parquet = self._parquets.get(version, lambda: pq.ParquetFile(path))
        group, start = _group_of(parquet.metadata, row)

        def read_group() -> pa.ChunkedArray:
            # A second handle: one ParquetFile must not be read by two threads.
            with pq.ParquetFile(path, metadata=parquet.metadata) as file:
                return file.read_row_group(group, columns=[version[-1]], use_threads=False).column(0)

        return self._groups.get((*version, str(group)), read_group), row - start

    def _cell_bytes(self, cell: object, path: str) -> bytes:
        if isinstance(cell, list):
            if len(cell) > 1:
                raise ImageRefusedError(refusals.SEVERAL_IN_ROW, f"the list has {len(cell)}")
            cell = cell[0] if cell else None
        if isinstance(cell, dict):
            data, name = cell.get("bytes"), cell.get("path")
            if data is None and isinstance(name, str) and name:
                return self._named_file(name, path)
            cell = data
        if not isinstance(cell, bytes):
            raise ImageRefusedError(refusals.EMPTY_ROW)
        return cell

    def _named_file(self, name: str, path: str) -> bytes:
        """A row may name a file instead of holding its bytes. Files elsewhere on the machine are not its to publish."""
        folder = str(Path(path).parent)
        target = os.path.join(folder, name)  # noqa: PTH118 - a URL in `name` must stay as it is
        if not is_inside(target, os.path.realpath(folder)):
            raise ImageRefusedError(refusals.LEADS_OUT, f"the row names {unicode_name(name)}")
        return read_file(target, self._max_bytes)


def _group_of(metadata: pq.FileMetaData, row: int) -> tuple[int, int]:
    """The number of the row group that holds `row`, and its first row."""
    start = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < start + rows:
            return group, start
        start += rows
    raise ImageRefusedError(refusals.MISSING, f"the file has no row {row} any more")


class _Recent(Generic[ValueT]):
    """The values used last, each made once even when several threads ask for it together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[tuple[str, ...], ValueT] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...], make: Callable[[], ValueT]) -> ValueT:
        # Held while the value is made: threads that read neighbouring rows want the same one.
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
                while len(self._values) > self._limit:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
            return self._values[key]


# ---- rows of texts --------------------------------------------------------------------------------------------------


def arrow_table(path: str, shown: str, _encoding: str | None, wanted: Wanted, without: str | None = None) -> Table:
    """The rows of a Parquet or Arrow file, of the columns that are `wanted`; class labels by their names.

    `without` is a column that is passed over as if it were not there.
    """
    try:
        schema, _ = _schema_and_rows(path)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names that are no UTF-8
        raise SettingsError(f"{shown}: not a readable Parquet or Arrow file: {one_line(error)}") from error
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
        raise SettingsError(f"{shown}, after row {number}: cannot be read: {one_line(error)}") from error


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
    declared = {name: f.get("names") for name, f in _features(schema).items() if f.get("_type") == "ClassLabel"}
    return {name: [str(value) for value in names] for name, names in declared.items() if isinstance(names, list)}
