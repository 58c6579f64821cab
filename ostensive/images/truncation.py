"""Whether the bytes of an image end before its format says they do.

Pillow reports a cut file and a corrupt one with the same exception, and its messages change. The formats' own
structure tells them apart. It is asked only after decoding has failed, so a file that lacks
nothing but a trailer is not refused.
"""

import struct
from collections.abc import Callable
from typing import Final

from ostensive.images.jpeg import JpegDamagedError, split_jpeg


def is_cut_short(image_format: str, data: bytes) -> bool:
    """Whether `data`, which Pillow could not decode as `image_format` (Pillow's name), lacks its end."""
    check = _CHECKS.get(image_format)
    if check is None:
        return False
    try:
        return check(data)
    except (struct.error, IndexError):
        return True  # the structure itself ends in the middle of a field


def _jpeg(data: bytes) -> bool:
    try:
        return not split_jpeg(data).ended
    except JpegDamagedError as error:
        return error.at_end


def _png(data: bytes) -> bool:
    position = 8
    while data[position + 4 : position + 8] != b"IEND":
        (length,) = struct.unpack_from(">I", data, position)
        position += 12 + length
    return False


def _gif(data: bytes) -> bool:
    return data.rstrip(b"\0")[-1:] != b";"


def _riff(data: bytes) -> bool:
    (length,) = struct.unpack_from("<I", data, 4)
    return len(data) < 8 + int(length)


def _bmp(data: bytes) -> bool:
    (length,) = struct.unpack_from("<I", data, 2)
    return len(data) < int(length)


def _boxes(data: bytes) -> bool:
    """ISO base media boxes (AVIF, JP2): 32-bit length and type; length 1 is followed by 64 bits, 0 means to the end."""
    if data.startswith(b"\xff\x4f"):
        return _codestream(data)
    position = 0
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, position + 8)
        if length == 0:
            return kind == b"jp2c" and _codestream(data)
        if length < 8:
            return False
        position += length
    return position > len(data)


def _codestream(data: bytes) -> bool:
    return not data.endswith(b"\xff\xd9")  # JPEG 2000 end of codestream, ISO/IEC 15444-1, A.4.4


def _tiff(data: bytes) -> bool:
    """Whether the directory or any strip or tile of the first page lies beyond the end."""
    order = "<" if data.startswith(b"II") else ">"
    if data[2 if order == "<" else 3] != 42:
        return False  # BigTIFF and worse are not worth a second parser
    (position,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, position)
    places = {}
    for entry in range(entries):
        at = position + 2 + 12 * entry
        (tag,) = struct.unpack_from(order + "H", data, at)
        if tag in (273, 279, 324, 325):  # offsets and byte counts of strips, of tiles
            places[tag] = at  # of several the last, as Pillow has it; a table is read once
    found = {tag: _tiff_numbers(data, at, order) for tag, at in places.items()}
    for offsets, counts in ((273, 279), (324, 325)):
        pairs = zip(found.get(offsets, ()), found.get(counts, ()), strict=False)
        if any(offset + count > len(data) for offset, count in pairs):
            return True
    return False


def _tiff_numbers(data: bytes, entry: int, order: str) -> tuple[int, ...]:
    """The numbers of a directory entry; none where they are of another type than offsets are."""
    kind, count = struct.unpack_from(order + "HI", data, entry + 2)
    if kind not in (3, 4):
        return ()
    width, position = (2 if kind == 3 else 4), entry + 8
    if width * count > 4:
        (position,) = struct.unpack_from(order + "I", data, position)
    if position + width * count > len(data):
        raise IndexError("the table lies beyond the end")
    return struct.unpack_from(f"{order}{count}{'H' if kind == 3 else 'I'}", data, position)


def _ppm(data: bytes) -> bool:
    """Raw bitmaps only: their header says how many bytes follow."""
    fields: list[bytes] = []
    position = 0
    wanted = 3 if data[:2] == b"P4" else 4
    while len(fields) < wanted:
        while data[position : position + 1].isspace() or data[position] == ord("#"):
            position = data.index(b"\n", position) + 1 if data[position] == ord("#") else position + 1
        start = position
        while not data[position : position + 1].isspace():
            if position >= len(data):
                return True
            position += 1
        fields.append(data[start:position])
    try:
        width, height = int(fields[1]), int(fields[2])
        sample_bytes = 2 if wanted == 4 and int(fields[3]) > 255 else 1
    except ValueError:
        return False
    rows = {b"P4": (width + 7) // 8, b"P5": width * sample_bytes, b"P6": 3 * width * sample_bytes}
    return fields[0] in rows and len(data) - position - 1 < height * rows[fields[0]]


_CHECKS: Final[dict[str, Callable[[bytes], bool]]] = {
    "AVIF": _boxes,
    "BMP": _bmp,
    "GIF": _gif,
    "JPEG": _jpeg,
    "JPEG2000": _boxes,
    "PNG": _png,
    "PPM": _ppm,
    "TIFF": _tiff,
    "WEBP": _riff,
}
