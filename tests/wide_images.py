"""Files of 16-bit samples, and odd TIFF tags, that Pillow reads and does not write, put together by hand."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]  # Any: integers and floats of several widths


def wide_png(samples: Samples, *, chunks: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """A 16-bit PNG of `(height, width)` or `(height, width, channels)` samples, its rows filtered by turns."""
    grid = samples[:, :, None] if samples.ndim == 2 else samples
    height, width, channels = grid.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    raw = grid.astype(">u2").tobytes()
    stride = width * channels * 2
    lines = []
    for row in range(height):
        line = np.frombuffer(raw[row * stride : (row + 1) * stride], np.uint8)
        before = np.frombuffer(raw[(row - 1) * stride : row * stride], np.uint8) if row else np.zeros(stride, np.uint8)
        left = np.concatenate([np.zeros(2 * channels, np.uint8), line[: -2 * channels]])
        filtered = (line, line - left, line - before)[row % 3]
        lines.append(bytes([row % 3]) + filtered.tobytes())
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(b"".join(lines))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def tiff_file(pixels: bytes, size: tuple[int, int], tags: dict[int, Any], *, order: str = "<") -> bytes:
    """A TIFF file of one strip; `tags` beside those of the strip, each with its `struct` letter and its values."""
    width, height = size
    known: dict[int, tuple[str, Sequence[float]]] = {
        256: ("H", [width]), 257: ("H", [height]), 258: ("H", [16]), 259: ("H", [1]), 262: ("H", [1]),
        273: ("I", [8]), 277: ("H", [1]), 278: ("H", [height]), 279: ("I", [len(pixels)]), **tags,
    }  # fmt: skip
    kinds = {"B": 7, "H": 3, "I": 4, "d": 12, "f": 11}
    pixels += bytes(len(pixels) % 2)
    far, entries = b"", b""
    first_far = 8 + len(pixels) + 2 + 12 * len(known) + 4
    for tag, (letter, values) in sorted(known.items()):
        body = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(body) > 4:
            place = struct.pack(order + "I", first_far + len(far))
            far += body + bytes(len(body) % 2)
        else:
            place = body.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, kinds[letter], len(values)) + place
    mark = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(known)) + entries + bytes(4)
    return mark + struct.pack(order + "I", 8 + len(pixels)) + pixels + directory + far
