"""The first directory of a TIFF file, looked at before a library reads it. TIFF 6.0, and BigTIFF.

A library reads the values of every entry into memory, one after another, and they may all be the same megabyte.
"""

import struct
from typing import Final

_TYPE_BYTES: Final = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_BESIDES: Final = 1 << 16  # small values that several entries may share


def values_exceed_file(data: bytes) -> bool:
    """Whether the values of the first directory are more bytes than the file has: some would be read over and over.

    False where there is no directory to be read: whoever reads it will say so.
    """
    order = "<" if data[:2] == b"II" else ">"
    try:
        is_big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
        head, entry, inline = ("Q", "HHQ", 8) if is_big else ("H", "HHI", 4)
        size = 20 if is_big else 12
        (position,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
        (count,) = struct.unpack_from(order + head, data, position)
        first = position + (8 if is_big else 2)
        total = 0
        for place in range(first, min(first + size * count, len(data) - size + 1), size):
            _, kind, values = struct.unpack_from(order + entry, data, place)
            value_bytes = values * _TYPE_BYTES.get(kind, 0)
            if inline < value_bytes <= len(data):  # what is larger than the file is passed over
                total += value_bytes
    except (struct.error, OverflowError):
        return False
    return total > len(data) + _BESIDES
