"""Cells of Arrow arrays as Python has them, of which it is known beforehand how large they get.

One text may stand in many rows of an array that holds it once, and a list of nulls takes no room at all.
"""

from collections.abc import Sequence
from typing import Any, Final  # Any: cells; pyarrow has no types

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_CELL_BYTES: Final = 16 << 20
_VALUE_BYTES: Final = 32  # of a number, or of an empty text, roughly


class CellTooLargeError(ValueError):
    """A cell of texts holds more than `MAX_CELL_BYTES`."""


def plain_cells(columns: Sequence[pa.Array]) -> list[list[Any]] | None:
    """The columns of a batch as lists of values; None where they may be too much together."""
    if sum(map(python_bytes, columns)) > MAX_CELL_BYTES:
        return None
    return [column.to_pylist() for column in columns]


def plain_row(columns: Sequence[pa.Array], row: int) -> list[Any]:
    """The cells of one row; raises `CellTooLargeError`."""
    cells = [column.slice(row, 1) for column in columns]
    for cell in cells:
        size = python_bytes(cell)
        if size > MAX_CELL_BYTES:
            raise CellTooLargeError(f"a cell of up to {size} bytes, limit {MAX_CELL_BYTES}")
    return [cell.to_pylist()[0] for cell in cells]


def python_bytes(array: pa.Array) -> int:
    """At least the bytes that the values of a validated array take as Python has them; for rare types, many more."""
    kind, rows = array.type, len(array)
    own = rows * _VALUE_BYTES
    if isinstance(array, pa.ExtensionArray):
        return python_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        values = array.dictionary
        if (
            _is_text(values.type)
            and not pa.types.is_binary_view(values.type)
            and not pa.types.is_string_view(values.type)
        ):
            return own + _sum(pc.binary_length(values).take(array.indices))
        return own + rows * python_bytes(values)
    if _is_view(kind):
        lengths = np.frombuffer(array.buffers()[1], np.int32)[4 * array.offset :: 4][:rows]
        return own + int(lengths.astype(np.int64).sum())
    if _is_text(kind):
        return own + _sum(pc.binary_length(array))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return own + python_bytes(array.flatten())
    if pa.types.is_struct(kind):
        return own + sum(map(python_bytes, array.flatten()))
    if pa.types.is_run_end_encoded(kind):
        return own + rows * python_bytes(array.values)
    if pa.types.is_nested(kind):  # maps, unions, views of lists, which may each have all there is
        parts = [array.field(place) for place in range(kind.num_fields)] if pa.types.is_union(kind) else [array.values]
        return own + rows * sum(map(python_bytes, parts))
    return own + rows * (kind.byte_width if pa.types.is_fixed_size_binary(kind) else 0)


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string, _is_view)
    return any(test(kind) for test in tests)


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary_view(kind) or pa.types.is_string_view(kind))


def _sum(lengths: pa.Array) -> int:
    return int(pc.sum(lengths).as_py() or 0)
