"""A PNG file as the chunks it is made of. PNG (Third Edition), 5.3."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_SIGNATURE_BYTES: Final = 8
_BESIDES: Final = 12  # length, name and checksum of a chunk
_TEXTS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: all of it is `data[start:end]`; the last of a cut file may end beyond that."""

    kind: bytes
    start: int
    end: int


def chunks_of(data: bytes) -> Iterator[Chunk]:
    """The chunks of a PNG file up to its end, or to where it is cut."""
    position = _SIGNATURE_BYTES
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        chunk = Chunk(kind, position, position + _BESIDES + length)
        yield chunk
        if kind == b"IEND":
            return
        position = chunk.end


def chunk_before_pixels(data: bytes, wanted: bytes) -> bytes:
    """The content of the first chunk of that kind before the pixels; nothing where there is none."""
    for chunk in chunks_of(data):
        if chunk.kind == wanted:
            return data[chunk.start + 8 : chunk.end - 4]
        if chunk.kind == b"IDAT":
            break
    return b""


def without_texts(data: bytes) -> bytes:
    """The same picture less what Pillow may refuse it for: texts and a colour profile, which it limits in size."""
    kept = [data[chunk.start : chunk.end] for chunk in chunks_of(data) if chunk.kind not in _TEXTS]
    return data[:_SIGNATURE_BYTES] + b"".join(kept)
