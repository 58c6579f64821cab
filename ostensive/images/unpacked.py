"""How much a file may unpack to, from how large it is: what it states of itself is no bound.

Pictures are compressed already: packed once more in Parquet or Arrow they lose little. What gets far larger than its
file is a mistake, or meant to fill memory.
"""

from typing import Final

_UNPACKED_BYTES: Final = 96 << 20
_UNPACKED_FACTOR: Final = 20  # an uncompressed picture of one colour packs better; it is given as a file of its own
_ROWS: Final = 100_000  # numbered names take a bit each
_BYTES_A_ROW: Final = 4


def max_unpacked(packed_bytes: int) -> int:
    """The most bytes that so many bytes of a file may unpack to."""
    return _UNPACKED_BYTES + _UNPACKED_FACTOR * packed_bytes


def max_rows(file_bytes: int) -> int:
    """The most rows that a file of so many bytes may have."""
    return _ROWS + file_bytes // _BYTES_A_ROW


class UnpacksTooLargeError(ValueError):
    """A file, or a part of it, unpacks to more than it may."""
