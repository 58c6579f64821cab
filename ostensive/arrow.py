"""Records to Arrow and back, and to plain values: all of it follows from the type hints of a frozen dataclass.

Supported hints: str, int, float, bool, `X | None`, `tuple[X, ...]`, other such dataclasses, and one type argument
(`Judged[Caption]`). The functions that turn records are made once for each class: its hints say beforehand which fields
hold something to be turned, which is several times as fast as looking at every value (`dataclasses.asdict`).
"""

import dataclasses
import hashlib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar  # Any: type hints have no common type, nor have plain values; pyarrow has no types

import pyarrow as pa
import pyarrow.parquet as pq

T = TypeVar("T")

_SCALARS: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


@lru_cache(maxsize=256)
def schema_of(record: Any) -> pa.Schema:
    """The Arrow schema of a record class, parametrised or not; raises `TypeError` for a hint that has no Arrow type."""
    return pa.schema([pa.field(name, data_type, nullable=nullable) for name, data_type, nullable in _fields(record)])


def struct_of(record: Any) -> pa.StructType:
    """The Arrow struct type of a record class."""
    return pa.struct(list(schema_of(record)))


def to_table(records: Sequence[Any], record: Any) -> pa.Table:
    """A table with one row for each record."""
    make = plain_maker(record)
    return pa.Table.from_pylist([make(value) for value in records], schema=schema_of(record))


@lru_cache(maxsize=256)
def plain_maker(record: Any) -> Callable[[Any], dict[str, Any]]:
    """A function from records of this class to dictionaries, lists and scalars; raises `TypeError` for what is none."""
    if not dataclasses.is_dataclass(typing.get_origin(record) or record):
        raise TypeError(f"a record class is expected, not {record!r}")
    hints = _hints_of(record)
    names = tuple(hints)
    makers = [(name, _to_plain(hint)) for name, hint in hints.items()]
    nested = [(name, make) for name, make in makers if make is not None]
    values_of = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)

    def make_dict(value: Any) -> dict[str, Any]:
        made = dict(zip(names, values_of(value), strict=True))
        for name, make in nested:
            if made[name] is not None:
                made[name] = make(made[name])
        return made

    return make_dict


def from_table(table: pa.Table, record: Callable[..., T]) -> list[T]:
    """The records that a table holds; columns that the class does not have are passed over."""
    columns = [table.column(name).to_pylist() for name in schema_of(record).names]
    build = _builder(record)
    names = schema_of(record).names
    return [build(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def from_plain(values: Sequence[Mapping[str, Any]], record: Callable[..., T]) -> list[T]:
    """The records that plain values are the fields of, as JSON has them; keys of no field are passed over.

    A field that is not there has its default, or is None where it may be. Raises `TypeError` or `ValueError` for a
    value of another type and for a field that is missing.
    """
    check, build, defaults = _checker(record), _builder(record), _defaults(record)
    found = []
    for value in values:
        check(value)
        whole = {name: default if value.get(name) is None else value[name] for name, default in defaults.items()}
        missing = next((name for name, part in whole.items() if part is dataclasses.MISSING), None)
        if missing is not None:
            raise ValueError(f"{missing} is missing")
        try:
            found.append(build(whole))
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is missing") from error
    return found


@lru_cache(maxsize=256)
def _checker(hint: Any) -> Callable[[Any], None]:
    """A function that raises `TypeError` for a plain value of another type than `hint`; what is missing it passes over.

    `pyarrow.array` would do it too, but imports pandas to look for its own types: seconds, in every worker of a loader.
    """
    inner, _ = _without_none(hint)
    if inner in _SCALARS:
        kinds = (float, int) if inner is float else (inner,)

        def check_scalar(value: Any) -> None:
            if type(value) not in kinds:
                raise TypeError(f"{type(value).__name__} where {inner.__name__} is expected")

        return check_scalar
    if typing.get_origin(inner) is tuple:
        of_item = _checker(typing.get_args(inner)[0])

        def check_list(value: Any) -> None:
            if not isinstance(value, list | tuple):
                raise TypeError(f"{type(value).__name__} where a list is expected")
            for item in value:
                of_item(item)

        return check_list
    parts = {name: _checker(part) for name, part in _hints_of(inner).items()}

    def check_fields(value: Any) -> None:
        if not isinstance(value, Mapping):
            raise TypeError(f"{type(value).__name__} where fields are expected")
        for name, check in parts.items():
            part = value.get(name)
            if part is not None:
                check(part)

    return check_fields


@lru_cache(maxsize=256)
def _defaults(record: Any) -> dict[str, Any]:
    """What stands for each field that is not there; `MISSING` where nothing may."""
    defaults = {field.name: field.default for field in dataclasses.fields(typing.get_origin(record) or record)}
    nullable = {name for name, _, may_be_none in _fields(record) if may_be_none}
    return {
        name: None if default is dataclasses.MISSING and name in nullable else default
        for name, default in defaults.items()
    }


def write_parquet(table: pa.Table, path: Path) -> None:
    """Writes a table to a file, which is closed whatever happens.

    Arrow leaves a file that it opened itself open after an error, so that what was written of it takes up room on a
    full disk until the garbage is collected.
    """
    with path.open("wb", buffering=0) as file:
        pq.write_table(table, file, compression="zstd")


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

    def __init__(self, sink: Any) -> None:
        self._sink = sink

    def write(self, data: Any) -> int:
        self._sink.update(data)
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _fields(record: Any) -> list[tuple[str, pa.DataType, bool]]:
    fields = []
    for name, hint in _hints_of(record).items():
        inner, nullable = _without_none(hint)
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
def _builder(record: Any) -> Any:
    hint, _ = _without_none(record)
    if hint in _SCALARS:
        return None
    if typing.get_origin(hint) is tuple:
        item = _builder(typing.get_args(hint)[0])
        return tuple if item is None else lambda values: tuple(map(item, values))
    origin = typing.get_origin(hint) or hint
    parts = {name: _builder(part) for name, part in _hints_of(hint).items()}

    def build(values: dict[str, Any]) -> Any:
        arguments = {}
        for name, make in parts.items():
            value = values[name]
            arguments[name] = value if make is None or value is None else make(value)
        return origin(**arguments)

    return build


def _hints_of(record: Any) -> dict[str, Any]:
    """The hint of each field of a dataclass, in order, with type arguments (`Judged[Caption]`) put in."""
    origin = typing.get_origin(record) or record
    hints = typing.get_type_hints(origin)
    parameters = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(record), strict=False))
    return {field.name: parameters.get(hints[field.name], hints[field.name]) for field in dataclasses.fields(origin)}


def _without_none(hint: Any) -> tuple[Any, bool]:
    """`X` and True for the hint `X | None`; any other hint and False."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        inner = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(inner) == 1:
            return inner[0], True
    return hint, False


def _to_plain(hint: Any) -> Callable[[Any], Any] | None:
    """A function from a value of the type `hint` to its plain form; None where it is plain already."""
    inner, _ = _without_none(hint)
    if inner in _SCALARS:
        return None
    if typing.get_origin(inner) is tuple:
        of_item = _to_plain(typing.get_args(inner)[0])
        return list if of_item is None else lambda values: [of_item(value) for value in values]
    if dataclasses.is_dataclass(typing.get_origin(inner) or inner):
        return plain_maker(inner)
    raise TypeError(f"no plain form for the hint {hint!r}")
