"""What the columns of a Parquet file decode to, told from its footer and the headers of its pages.

A footer may say anything; what a reader makes room for is what each page's own header states. And a page may hold a
value once for many rows: as a dictionary, or as the beginning of the values after it. Fields are those of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: values of Thrift structs

import pyarrow as pa

from ostensive.images.thrift import I32, I64, LIST, STRUCT, Field, Struct, ThriftReader
from ostensive.images.unpacked import UnpacksTooLargeError, max_unpacked

_MAGIC: Final = b"PAR1"
_HEADER_BYTES: Final = 1 << 16  # of a page, statistics included, which may hold two values
_SHARING: Final = frozenset({2, 8})  # PLAIN_DICTIONARY, RLE_DICTIONARY
_DELTA_BYTE_ARRAY: Final = 7
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3  # kinds of pages
_BYTE_ARRAY: Final = 6
_CODECS: Final = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_TOGETHER: Final = 32 << 20
_BYTES_A_VALUE: Final = 8  # of offsets, beside what the value itself takes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A leaf column in one row group: where its pages are, and how they are packed."""

    path: str  # the names that lead to it, with dots between
    start: int
    packed: int
    values: int
    codec: int
    kind: int


@dataclass(frozen=True, slots=True)
class RowGroup:
    """How many rows it says it has, and its chunks in the order of the leaves."""

    rows: int
    chunks: tuple[Chunk, ...]

    def chunks_of(self, column: str) -> list[Chunk]:
        """The chunks that make up a column of the table."""
        return [chunk for chunk in self.chunks if chunk.path == column or chunk.path.startswith(f"{column}.")]


@dataclass(frozen=True, slots=True)
class DecodedSize:
    """The most bytes that chunks decode to, all together, and the largest value by itself."""

    total: int
    value: int

    @property
    def rows_at_a_time(self) -> int:
        """How many rows, one at least, take no more memory than may be taken at once."""
        return max(1, _TOGETHER // max(self.value, 1))


def row_groups_of(path: str) -> list[RowGroup]:
    """The row groups of the Parquet file at `path`; raises `ValueError` for a footer that is none, and `OSError`."""
    with Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 8, 0))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or length > size - 8:
            raise ValueError(f"a footer of {length} bytes in {size}")
        file.seek(size - 8 - length)
        footer = ThriftReader(file.read(length)).struct()
    try:
        return [_row_group(group) for group in footer.get(Field(4, LIST), ())]
    except (AttributeError, TypeError) as error:  # a list says for itself of what kind its values are
        raise ValueError("a footer with values of other kinds") from error


def _row_group(group: Struct) -> RowGroup:
    chunks = tuple(_chunk(chunk.get(Field(3, STRUCT), {})) for chunk in group.get(Field(1, LIST), ()))
    return RowGroup(_whole(group, 3, I64), chunks)


def _chunk(about: Struct) -> Chunk:
    path = b".".join(about.get(Field(3, LIST), ())).decode()
    start, first = _whole(about, 9, I64), about.get(Field(11, I64), 0)
    return Chunk(
        path=path,
        start=first if 0 < first < start else start,
        packed=_whole(about, 7, I64),
        values=_whole(about, 5, I64),
        codec=_whole(about, 4, I32),
        kind=_whole(about, 1, I32),
    )


def decoded_size(file: int, chunks: Sequence[Chunk]) -> DecodedSize:
    """The sizes of some chunks of one row group, of the file with the descriptor `file`.

    Raises `UnpacksTooLargeError` for a page that is larger than `max_unpacked` of what it is packed in, `ValueError`
    where the pages are none, and `OSError`.
    """
    sizes = [_decoded_size(file, chunk) for chunk in chunks]
    return DecodedSize(sum(size.total for size in sizes), max((size.value for size in sizes), default=0))


def _decoded_size(file: int, chunk: Chunk) -> DecodedSize:
    position, left = chunk.start, chunk.values
    dictionary = None
    sharing = total = value = 0
    while left > 0 and position < chunk.start + chunk.packed:
        page = _Page.at(file, position)
        if page.unpacked > max_unpacked(page.packed):
            raise UnpacksTooLargeError(f"a page of {page.packed} bytes unpacks to {page.unpacked}")
        if page.kind == _DICTIONARY:
            dictionary = page
        elif page.kind in (_DATA, _DATA_V2):
            left -= max(page.values, 1)
            total += page.values * _BYTES_A_VALUE
            if page.encoding in _SHARING:
                sharing += page.values
            else:
                total += page.values * page.unpacked if page.encoding == _DELTA_BYTE_ARRAY else page.unpacked
                value = max(value, page.unpacked)
        position = page.start + page.packed
    if dictionary is not None:
        largest = dictionary.unpacked
        if sharing * largest > max_unpacked(chunk.packed):
            largest = _largest_value(file, dictionary, chunk)
        total, value = total + sharing * largest, max(value, largest)
    return DecodedSize(total, value)


def _largest_value(file: int, page: "_Page", chunk: Chunk) -> int:
    """The size of the largest value of a dictionary; of all of it where that cannot be told."""
    if chunk.kind != _BYTE_ARRAY:
        return page.unpacked
    packed = os.pread(file, page.packed, page.start)
    try:
        data = memoryview(packed)
        if chunk.codec:
            data = memoryview(pa.Codec(_CODECS[chunk.codec]).decompress(packed, page.unpacked))
        largest = position = 0
        for _ in range(page.values):
            length = int.from_bytes(data[position : position + 4], "little")
            largest, position = max(largest, length), position + 4 + length
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return page.unpacked
    return min(largest, page.unpacked)


@dataclass(frozen=True, slots=True)
class _Page:
    """What the header of a page says, and where its content starts."""

    start: int
    kind: int
    packed: int
    unpacked: int
    values: int
    encoding: int

    @classmethod
    def at(cls, file: int, position: int) -> "_Page":
        """The page at a place in the file; raises `ValueError` where there is none."""
        reader = ThriftReader(os.pread(file, _HEADER_BYTES, position))
        header = reader.struct()
        kind, unpacked, packed = (_whole(header, number, I32) for number in (1, 2, 3))
        values = encoding = 0
        if kind in (_DATA, _DICTIONARY, _DATA_V2):
            about: Any = header.get(Field({_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}[kind], STRUCT), {})
            values, encoding = _whole(about, 1, I32), _whole(about, 4 if kind == _DATA_V2 else 2, I32)
        return cls(position + reader.position, kind, packed, unpacked, values, encoding)


def _whole(struct: Struct, number: int, kind: int) -> int:
    value: int = struct.get(Field(number, kind), -1)
    if value < 0:
        raise ValueError(f"field {number} of a Parquet header is missing or below zero")
    return value
