"""Structs of Thrift's compact protocol, as the footers and page headers of Parquet are written in.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. The bindings of Parquet's own library
end the process where a footer contradicts itself, so what is needed of it is read here.
"""

from typing import Any, Final, NamedTuple  # Any: values of any of the protocol's types

BOOL, BYTE, I16, I32, I64, BINARY, LIST, STRUCT = 1, 3, 4, 5, 6, 8, 9, 12
_FALSE, _DOUBLE, _SET = 2, 7, 10
_MAX_DEPTH: Final = 12


class Field(NamedTuple):
    """What a field is known by: a reader passes over a number that comes with another type than it expects."""

    number: int
    kind: int


Struct = dict[Field, Any]


class ThriftError(ValueError):
    """The bytes are not those of a struct."""


class ThriftReader:
    """Reads structs one after another; `position` is where the last one ended."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def struct(self, depth: int = 0) -> Struct:
        """The next struct; raises `ThriftError` where there is none, and for a field that stands twice."""
        if depth > _MAX_DEPTH:
            raise ThriftError("a Thrift struct nests too deeply")
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            field = Field(number, BOOL if kind == _FALSE else kind)
            if field in fields:
                raise ThriftError(f"field {number} of a Thrift struct stands twice")
            fields[field] = kind == BOOL if kind in (BOOL, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (I16, I32, I64):
            return self._signed()
        if kind == BINARY:
            return self._bytes(self._unsigned())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, _SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._unsigned()
            if count > len(self._data) - self.position:
                raise ThriftError(f"a Thrift list of {count} items in {len(self._data)} bytes")
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        if kind in (BOOL, _FALSE, BYTE):
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        raise ThriftError(f"a Thrift struct has a value of the kind {kind}")

    def _byte(self) -> int:
        if self.position >= len(self._data):
            raise ThriftError("a Thrift struct is cut")
        self.position += 1
        return self._data[self.position - 1]

    def _bytes(self, count: int) -> bytes:
        if count > len(self._data) - self.position:
            raise ThriftError("a Thrift struct is cut")
        self.position += count
        return self._data[self.position - count : self.position]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ThriftError("a Thrift struct has a number that is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)
