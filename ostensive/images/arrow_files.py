"""Parquet and Arrow files (`datasets` folders): a source item for each row, its image again, and the texts beside it.

Only footers are read to list a file: a row without an image is found when it is read. What `datasets` wrote says which
of its columns hold images; of others, one of `{bytes, path}`, of bytes, or of lists of one, as TRL has it, is taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final  # Any: JSON values, cells

import pyarrow as pa
import pyarrow.parquet as pq

from ostensive.errors import SettingsError, one_line
from ostensive.images.arrow_cells import CellTooLargeError, plain_cells, plain_row
from ostensive.images.arrow_ipc import open_arrow, validated
from ostensive.images.files import suffix_of
from ostensive.images.items import FoundFile, Sidecars, SidecarTable, SourceItem
from ostensive.images.parquet_pages import decoded_size, row_groups_of
from ostensive.images.paths import shown_name, storable_path
from ostensive.images.refusals import DataSetUnusableError, NoImageColumnError
from ostensive.images.rows import BadRow, Row, Table, Wanted, refuse_repeated
from ostensive.images.settings import IntakeSettings
from ostensive.images.unpacked import UnpacksTooLargeError, max_rows
from ostensive.json_text import parse_json
from ostensive.records import Location

_BATCH_ROWS: Final = 256
# ValueError: names that are no UTF-8, lengths that lie. LookupError: columns that a footer names otherwise elsewhere.
_UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, LookupError)


def list_rows(path: str, name: str, settings: IntakeSettings, sidecars: Sidecars | None) -> Iterator[SourceItem]:
    """One item for each row of the Parquet or Arrow file at the absolute `path`, called `name`.

    Raises `DataSetUnusableError` when the file cannot be read as such, `NoImageColumnError` when it holds no images,
    `SettingsError` when it has several columns of them and none is named.
    """
    try:
        schema, rows = _schema_and_rows(path)
    except _UNREADABLE as error:
        raise _unusable(path, error) from error
    try:
        chosen = image_column(schema, settings.column, path)
    except UnicodeDecodeError as error:
        raise _unusable(path, error) from error
    if suffix_of(path) != ".parquet":
        _check_column(path, chosen)
    status = Path(path).stat()
    stored = storable_path(path)
    if sidecars is not None and rows:
        sidecars.tables.append(_columns_beside(path, FoundFile(stored, storable_path(name)), chosen, sidecars.wants))
    for row in range(rows):
        key = storable_path(f"{name}#{row}")
        yield SourceItem(key, key, Location(stored, row, None, chosen), status.st_size, status.st_mtime_ns)


def _check_column(path: str, column: str) -> None:
    """Raises `DataSetUnusableError` where the offsets of an Arrow column lead elsewhere than to its own bytes."""
    try:
        validated(open_arrow(path).column(column))
    except _UNREADABLE as error:
        raise _unusable(path, error) from error


def _unusable(path: str, error: Exception) -> DataSetUnusableError:
    return DataSetUnusableError(shown_name(path), f"not a readable Parquet or Arrow file: {one_line(error)}")


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
    if suffix_of(path) != ".parquet":
        table = open_arrow(path)
        return table.schema, table.num_rows
    with pq.ParquetFile(path) as parquet:
        schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    size = Path(path).stat().st_size
    if rows > max_rows(size):
        raise UnpacksTooLargeError(f"{rows} rows in a file of {size} bytes")
    return schema, rows


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


# ---- rows of texts --------------------------------------------------------------------------------------------------


def arrow_table(path: str, shown: str, _encoding: str | None, wanted: Wanted, without: str | None = None) -> Table:
    """The rows of a Parquet or Arrow file, of the columns that are `wanted`; class labels by their names.

    `without` is a column that is passed over as if it were not there.
    """
    try:
        schema, _ = _schema_and_rows(path)
        names = [name for name in schema.names if name != without]
    except _UNREADABLE as error:
        raise SettingsError(f"{shown}: not a readable Parquet or Arrow file: {one_line(error)}") from error
    chosen = [name for name in names if wanted(name)]
    refuse_repeated(shown, chosen)
    return Table(tuple(names), _arrow_rows(path, shown, chosen, _class_names(schema)))


def _arrow_rows(path: str, shown: str, chosen: list[str], classes: Mapping[str, list[str]]) -> Iterator[Row | BadRow]:
    number = 0
    try:
        for batch in _batches(path, chosen):
            for cells in _rows_of(batch, chosen):
                place = f"row {number}"
                number += 1
                if isinstance(cells, CellTooLargeError):
                    yield BadRow(place, str(cells))
                    continue
                named = {name: _class_name(cell, classes.get(name)) for name, cell in zip(chosen, cells, strict=True)}
                yield Row(place, named)
    except _UNREADABLE as error:
        raise SettingsError(f"{shown}, after row {number}: cannot be read: {one_line(error)}") from error


def _rows_of(batch: pa.RecordBatch, chosen: list[str]) -> Iterator[Sequence[Any] | CellTooLargeError]:
    """The cells of each row; what is wrong where one of them is too large."""
    columns = [batch.column(name) for name in chosen]
    together = plain_cells(columns)
    if together is not None:
        yield from zip(*together, strict=True)
        return
    for row in range(batch.num_rows):
        try:
            yield plain_row(columns, row)
        except CellTooLargeError as error:
            yield error


def _batches(path: str, chosen: list[str]) -> Iterator[pa.RecordBatch]:
    if suffix_of(path) != ".parquet":
        table = open_arrow(path).select(chosen)
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            batch.validate(full=True)
            yield batch
        return
    groups = row_groups_of(path)
    with pq.ParquetFile(path) as parquet, Path(path).open("rb") as file:
        for number, group in enumerate(groups):
            size = decoded_size(file.fileno(), [chunk for name in chosen for chunk in group.chunks_of(name)])
            rows = min(_BATCH_ROWS, size.rows_at_a_time)
            yield from parquet.iter_batches(rows, row_groups=[number], columns=chosen, use_threads=False)


def _class_name(cell: Any, names: list[str] | None) -> Any:
    if names is None:
        return cell
    return names[cell] if isinstance(cell, int) and 0 <= cell < len(names) else None


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of the columns that `datasets` holds as numbers of classes."""
    declared = {name: f.get("names") for name, f in _features(schema).items() if f.get("_type") == "ClassLabel"}
    return {name: [str(value) for value in names] for name, names in declared.items() if isinstance(names, list)}
