"""Which pictures are decoded in this process: JPEG and PNG as cameras and programs write them.

Their readers are quick, take memory by the number of pixels and end in time. Everything else, and a JPEG or PNG whose
header asks for more than such a file needs, is decoded in a process beside (`ostensive.images.beside`), which may be
stopped.
"""

import struct
from typing import Final

from ostensive.images.png import chunks_of

_RGB_BYTES: Final = 4  # of a pixel, as Pillow holds it
_DECODED_BYTES: Final = 120_000_000
DECODED_FACTOR: Final = 64
"""Bytes of memory that decoding may take for each byte of a file: one of a photograph is one to ten pixels."""
_MAX_SCANS: Final = 64  # progressive files have about ten; each is a pass over all of the picture
_MAX_SEGMENTS: Final = 500
_MAX_CHUNKS: Final = 20_000
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


def is_ordinary(data: bytes) -> bool:
    """Whether the picture in `data` is a JPEG or PNG of 8 bits that asks for little more than its size calls for."""
    if data[:3] == b"\xff\xd8\xff":
        return _is_ordinary_jpeg(data)
    return data[:8] == b"\x89PNG\r\n\x1a\n" and _is_ordinary_png(data)


def _is_small(width: int, height: int, file_bytes: int) -> bool:
    return width * height * _RGB_BYTES <= _DECODED_BYTES + DECODED_FACTOR * file_bytes


def _is_ordinary_jpeg(data: bytes) -> bool:
    """One EXIF segment at most, since Pillow reads several as one of any size; a frame, and few scans."""
    position, exif, alone = 2, 0, 0
    for _ in range(_MAX_SEGMENTS):
        while data[position : position + 2] == b"\xff\xff":
            position += 1
        if position + 5 > len(data) or data[position] != 0xFF:
            return False
        marker = data[position + 1]
        if marker in _ALONE:
            position += 2
            continue
        if marker == 0xDA:
            # Decoders read no further than a first scan with all of it. No coded byte FF is followed by anything but 0.
            return data[position + 4] == alone or data.count(b"\xff\xda", position) <= _MAX_SCANS
        if marker in _FRAMES and position + 10 <= len(data):
            height, width = struct.unpack_from(">HH", data, position + 5)
            alone = 0 if marker == 0xC2 else data[position + 9]
            held = 3 if marker == 0xC2 else 1  # a progressive picture is held as coefficients too, two bytes each
            if data[position + 4] != 8 or not _is_small(held * width, height, len(data)):
                return False
        elif marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            exif += 1
            if exif > 1:
                return False
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _is_ordinary_png(data: bytes) -> bool:
    """8 bits a sample at most, and no EXIF larger than a JPEG could hold."""
    if len(data) < 33:
        return False
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    if bits > 8 or not _is_small(width, height, len(data)):
        return False
    for number, chunk in enumerate(chunks_of(data)):
        is_large = chunk.end - chunk.start > 1 << 16
        if number > _MAX_CHUNKS or (chunk.kind == b"eXIf" and is_large):
            return False
    return True
