"""Whether what stands where an ICC profile belongs is one. ICC.1:2022, 7.2 and 7.3.

A profile is the one piece of metadata that is published. So it is looked at: text of somebody's, a number, or bytes
behind the end of a profile are not passed on, and a profile that no reader takes does not get into a corpus.
"""

import struct
from typing import Final

_HEADER_BYTES: Final = 128
_TAG_BYTES: Final = 12  # signature, offset, size
_MAX_TAGS: Final = 1_000  # the standard knows about a hundred
MAX_PROFILE_BYTES: Final = 255 * 65_519  # what the numbered segments of a JPEG can hold (ICC.1:2022, annex B.4)


def sound_profile(value: object) -> bytes | None:
    """`value` up to the end that its header states, where it is a profile whose tags all lie within; None otherwise."""
    if not isinstance(value, bytes) or len(value) < _HEADER_BYTES + 4 or value[36:40] != b"acsp":
        return None
    (size,) = struct.unpack_from(">I", value)
    if not _HEADER_BYTES + 4 <= size <= min(len(value), MAX_PROFILE_BYTES):
        return None
    (count,) = struct.unpack_from(">I", value, _HEADER_BYTES)
    first = _HEADER_BYTES + 4 + _TAG_BYTES * count
    if not 0 < count <= _MAX_TAGS or first > size:
        return None
    for number in range(count):
        _, offset, length = struct.unpack_from(">4sII", value, _HEADER_BYTES + 4 + _TAG_BYTES * number)
        if offset < first or offset + length > size:
            return None
    return value[:size]


def colour_space_of(profile: bytes) -> bytes:
    """The four letters of the colours that a sound profile is of: `RGB `, `GRAY`, `CMYK`, `Lab `."""
    return profile[16:20]
