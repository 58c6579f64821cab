"""Records to Arrow and back: the schema of a frozen dataclass follows from its type hints.

Supported hints: str, int, float, bool, `X | None`, `tuple[X, ...]`, other such dataclasses, and one type argument
(`Judged[Qar]`). Writing each schema by hand beside its record was given up: the two drift apart.
"""

import dataclasses
import hashlib
import typing
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import pyarrow as pa

from ostensive.plain import hints_of, plainer, without_none

T = TypeVar("T")

_SCALARS: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


@lru_cache(maxsize=256)
def schema_of(record: Any) -> pa.Schema:  # Any: a dataclass or a parametrised one such as Judged[Qar]
    """The Arrow schema of a record class; raises `TypeError` for a hint that has no Arrow type."""
    return pa.schema([pa.field(name, data_type, nullable=nullable) for name, data_type, nullable in _fields(record)])


def struct_of(record: Any) -> pa.StructType:  # Any: as for schema_of
    """The Arrow struct type of a record class."""
    return pa.struct(list(schema_of(record)))


def to_table(records: Sequence[Any], record: Any) -> pa.Table:  # Any: records of the class `record`
    """A table with one row for each record."""
    make = plainer(record)
    assert make is not None, f"{record!r} is not a record class"
    return pa.Table.from_pylist([make(value) for value in records], schema=schema_of(record))


def from_table(table: pa.Table, record: Callable[..., T]) -> list[T]:
    """The records that a table holds; columns that the class does not have are passed over."""
    columns = [table.column(name).to_pylist() for name in schema_of(record).names]
    build = _builder(record)
    names = schema_of(record).names
    return [build(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def digest(table: pa.Table) -> str:
    """SHA-256 of the table's schema and values, hexadecimal; independent of how it is chunked."""
    sink = hashlib.sha256()
    whole = table.replace_schema_metadata(None).combine_chunks()
    with pa.ipc.new_stream(pa.PythonFile(_HashFile(sink), mode="w"), whole.schema) as writer:
        writer.write_table(whole)
    return sink.hexdigest()


class _HashFile:
    """The least of a file that Arrow needs to write to: every byte goes to a hash."""

    closed = False

    def __init__(self, sink: Any) -> None:  # Any: hashlib names no public type
        self._sink = sink

    def write(self, data: Any) -> int:  # Any: bytes or an Arrow buffer
        self._sink.update(data)
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _fields(record: Any) -> list[tuple[str, pa.DataType, bool]]:
    fields = []
    for name, hint in hints_of(record).items():
        inner, nullable = without_none(hint)
        fields.append((name, _type_of(inner), nullable))
    return fields


def _type_of(hint: Any) -> pa.DataType:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if typing.get_origin(hint) is tuple:
        return pa.list_(_type_of(typing.get_args(hint)[0]))
    if dataclasses.is_dataclass(typing.get_origin(hint) or hint):
        return struct_of(hint)
    raise TypeError(f"no Arrow type for the hint {hint!r}")


@lru_cache(maxsize=256)
def _builder(record: Any) -> Any:  # Any: a function from what Arrow gives to what the hint says
    hint, _ = without_none(record)
    if hint in _SCALARS:
        return None
    if typing.get_origin(hint) is tuple:
        item = _builder(typing.get_args(hint)[0])
        return tuple if item is None else lambda values: tuple(map(item, values))
    origin = typing.get_origin(hint) or hint
    parts = {name: _builder(part) for name, part in hints_of(hint).items()}

    def build(values: dict[str, Any]) -> Any:
        arguments = {}
        for name, make in parts.items():
            value = values[name]
            arguments[name] = value if make is None or value is None else make(value)
        return origin(**arguments)

    return build
