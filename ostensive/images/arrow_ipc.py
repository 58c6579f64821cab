"""Arrow files and streams from anywhere, opened so that nothing they state is believed.

Arrow's reader takes the number of rows, the lengths of buffers and what compressed buffers unpack to from the messages
of a file and touches none of it until a value is asked for. So the messages are looked at first (are the buffers within
the file, and what do they unpack to?), and columns are validated in full before a value is read.

The layout is that of Arrow's columnar format, 1.5, "Serialization and Interprocess Communication", and of its
flatbuffers `Message.fbs` and `File.fbs`.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from ostensive.images.unpacked import UnpacksTooLargeError, max_rows, max_unpacked

_MAGIC: Final = b"ARROW1"
_CONTINUATION: Final = 0xFFFFFFFF
_DICTIONARY, _RECORDS = 2, 3  # of the union `MessageHeader`


def open_arrow(path: str) -> pa.Table:
    """The table in an Arrow file or stream, memory-mapped: what is not looked at is not read.

    Raises `pa.ArrowException`, `OSError` or `ValueError` for a file whose messages lead beyond it, that unpacks to more
    than `max_unpacked`, or has more rows than `max_rows`. Values are to be read from a `validated` column.
    """
    source = pa.memory_map(path)
    size = source.size()
    data = memoryview(source.read_buffer(size)) if size else memoryview(b"")
    is_file = bytes(data[: len(_MAGIC)]) == _MAGIC
    _check(data, _in_file(data) if is_file else _in_stream(data))
    source.seek(0)
    opened = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)  # streams are what `datasets` writes
    table: pa.Table = opened.read_all()
    table.validate()
    if table.num_rows > max_rows(size):
        raise UnpacksTooLargeError(f"{table.num_rows} rows in a file of {size} bytes")
    return table


def validated(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """`column`, all of whose offsets, views and texts lie within its buffers; raises `pa.ArrowException`."""
    column.validate(full=True)
    return column


@dataclass(frozen=True, slots=True)
class _Message:
    """Where a message's header and its body begin in the file, and where the body ends."""

    header: int
    body: int
    end: int


def _check(data: memoryview, messages: Iterator[_Message]) -> None:
    """Raises `ValueError` where a buffer lies outside of its message, or all of them unpack to too much."""
    unpacked, limit = 0, max_unpacked(len(data))
    for message in messages:
        if message.end > len(data):
            raise ValueError(f"a message of {message.end - message.body} bytes, of which {len(data)} are there")
        kind, header = _field(data, message.header, 1), _table(data, message.header, 2)
        if header is None or kind is None:
            continue
        (kind_of_header,) = _numbers("<B", data, kind)
        if kind_of_header == _DICTIONARY:
            header = _table(data, header, 1)
        elif kind_of_header != _RECORDS:
            continue
        if header is not None:
            unpacked += _unpacked_bytes(data, header, message)
        if unpacked > limit:
            raise UnpacksTooLargeError(f"its buffers unpack to more than {limit} bytes")


def _unpacked_bytes(data: memoryview, batch: int, message: _Message) -> int:
    """What the compressed buffers of a batch unpack to; each says so in its first eight bytes, -1 for not at all."""
    total = 0
    is_compressed = _field(data, batch, 3) is not None
    for place in _vector(data, batch, 2, 16):
        offset, length = _numbers("<qq", data, place)
        if offset < 0 or length < 0 or offset + length > message.end - message.body:
            raise ValueError(f"a buffer of {length} bytes at {offset}, in {message.end - message.body}")
        if is_compressed and length >= 8:
            (unpacked,) = _numbers("<q", data, message.body + offset)
            total += max(unpacked, 0)
    return total


def _in_stream(data: memoryview) -> Iterator[_Message]:
    """The messages one after another, up to the end mark."""
    position = 0
    while position + 4 <= len(data):
        message = _message_at(data, position)
        if message is None:
            return
        yield message
        position = message.end


def _in_file(data: memoryview) -> Iterator[_Message]:
    """The messages that the footer names; Arrow reads no others."""
    (length,) = _numbers("<i", data, len(data) - len(_MAGIC) - 4)
    start = len(data) - len(_MAGIC) - 4 - length
    if length < 4 or start < 0:
        raise ValueError(f"a footer of {length} bytes")
    footer = start + _numbers("<I", data, start)[0]
    for field in (2, 3):
        for place in _vector(data, footer, field, 24):
            offset, metadata, body = _numbers("<qi4xq", data, place)
            if min(offset, metadata, body) < 0:
                raise ValueError(f"a message of {body} bytes at {offset}")
            message = _message_at(data, offset)
            if message is not None:
                yield _Message(message.header, offset + metadata, offset + metadata + body)
                yield message


def _message_at(data: memoryview, position: int) -> _Message | None:
    """The message that begins there; None for the end mark."""
    (length,) = _numbers("<I", data, position)
    start = position + 4
    if length == _CONTINUATION:  # files before Arrow 0.15 have none
        (length,) = _numbers("<I", data, start)
        start += 4
    if length == 0:
        return None
    header = start + _numbers("<I", data, start)[0]
    body_length = _field(data, header, 3)
    body_bytes = 0 if body_length is None else _numbers("<q", data, body_length)[0]
    if body_bytes < 0:
        raise ValueError(f"a message of {body_bytes} bytes")
    return _Message(header, start + length, start + length + body_bytes)


# ---- flatbuffers ----------------------------------------------------------------------------------------------------


def _field(data: memoryview, table: int, number: int) -> int | None:
    """Where the field of that number stands in the flatbuffers table at `table`; None where it is left out."""
    fields = table - _numbers("<i", data, table)[0]
    (length,) = _numbers("<H", data, fields)
    at = 4 + 2 * number
    if at + 2 > length:
        return None
    (offset,) = _numbers("<H", data, fields + at)
    return table + offset if offset else None


def _table(data: memoryview, table: int, number: int) -> int | None:
    """Where the table begins, or the vector, that a field leads to."""
    field = _field(data, table, number)
    return None if field is None else field + int(_numbers("<I", data, field)[0])


def _vector(data: memoryview, table: int, number: int, item_bytes: int) -> Iterator[int]:
    """Where each of the structs of a vector stands."""
    vector = _table(data, table, number)
    if vector is not None:
        (count,) = _numbers("<I", data, vector)
        if vector + 4 + count * item_bytes > len(data):
            raise ValueError(f"{count} buffers or messages in {len(data)} bytes")
        yield from range(vector + 4, vector + 4 + count * item_bytes, item_bytes)


def _numbers(form: str, data: memoryview, position: int) -> tuple[int, ...]:
    """Numbers within the file; raises `ValueError` where they would be outside of it."""
    if not 0 <= position <= len(data) - struct.calcsize(form):
        raise ValueError(f"its messages lead to byte {position} of {len(data)}")
    return struct.unpack_from(form, data, position)
