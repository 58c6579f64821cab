"""JPEG files of flat blocks, a scan for each component, which Pillow reads and does not write."""

import struct

import numpy as np
import numpy.typing as npt


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def orientation_segment(orientation: int) -> bytes:
    """An APP1 segment that says nothing but how the picture stands."""
    directory = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    return segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + directory)


def mosaic_jpeg(
    cells: npt.NDArray[np.uint8],
    *,
    orientation: int = 1,
    late: bool = False,
    steps: tuple[int, ...] = (8, 8),
    changed: int | None = None,
) -> bytes:
    """`cells` (rows, columns, 3) in YCbCr, 16 to 240, as blocks of 8 x 8 pixels.

    The quantisation tables are flat, `steps` each; with `late` all but the first stand behind the first scan, where the
    standard allows them: a table has to be there when the scan that needs it begins. With `changed` the one table of
    all components is given anew there, with that step, for the two chromas.
    """
    tables = [segment(0xDB, bytes([number]) + bytes([step] * 64)) for number, step in enumerate(steps)]
    used = (0, 1 % len(steps), 2 % len(steps) or 1 % len(steps))
    steps_used = tuple(steps[table] if changed is None or not place else changed for place, table in enumerate(used))
    rows, columns = cells.shape[:2]
    components = b"".join(bytes((number + 1, 0x11, table)) for number, table in enumerate(used))
    frame = struct.pack(">BHHB", 8, rows * 8, columns * 8, 3) + components
    dc = segment(0xC4, b"\x00" + bytes([0, 0, 0, 0, 12] + [0] * 11) + bytes(range(12)))  # twelve codes of five bits
    ac = segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\x00")  # one code of one bit: end of block

    def scan(component: int) -> bytes:
        bits, before = "", 0
        for value in cells[:, :, component].ravel().astype(int):
            now = round((int(value) - 128) * 8 / steps_used[component])  # of a flat block: eight times its level
            step, before = now - before, now
            size = abs(step).bit_length()
            bits += f"{size:05b}"
            bits += f"{step if step > 0 else step + (1 << size) - 1:0{size}b}" if size else ""
            bits += "0"
        bits += "1" * (-len(bits) % 8)
        coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
        return segment(0xDA, bytes((1, component + 1, 0x00, 0, 63, 0))) + coded

    head = b"\xff\xd8" + orientation_segment(orientation) + tables[0]
    others = b"".join(tables[1:])
    early, later = (b"", others) if late else (others, b"")
    if changed is not None:
        later += segment(0xDB, b"\x00" + bytes([changed] * 64))
    scans = scan(0) + later + scan(1) + scan(2)
    return head + early + segment(0xC0, frame) + dc + ac + scans + b"\xff\xd9"
