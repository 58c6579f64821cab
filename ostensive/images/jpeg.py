"""A JPEG file as the pieces it is made of, and the same file less what does not make the picture.

The entropy-coded bytes are never decoded, so nothing is lost and a large photograph takes a fraction of a millisecond
for each megabyte. Tools that edit EXIF tags keep what they do not know (maker notes, motion photos, second
pictures after the end). Here only what is known to be needed is kept. ISO/IEC 10918-1, Annex B.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ostensive.images.colour_profile import sound_profile

_SOI, _EOI, _SOS, _DQT, _DNL, _TEM, _COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0x01, 0xFE
_DHT, _DAC, _DRI = 0xC4, 0xCC, 0xDD
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOFn; the three others are DHT, JPG, DAC
_KNOWN: Final = _FRAMES | {0xC4, 0xCC, *range(0xDA, 0xF0), _COM}  # decoders refuse all other markers with a length
# In entropy-coded bytes FF is followed by 00 (a stuffed FF), a restart marker or, as fill, another FF.
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JFIF_BYTES: Final = 14  # identifier, version, units, two densities, thumbnail size: JFIF 1.02
_ADOBE_BYTES: Final = 12  # identifier, version, two flag words, transform: Adobe Technical Note 5116
_ICC: Final = b"ICC_PROFILE\0"  # then the number of the segment, from 1, and how many there are: ICC.1:2022, B.4
_MAX_ICC_PART: Final = 65_519
_MAX_TABLES: Final = 8  # four numbers, of two classes


class JpegDamagedError(ValueError):
    """The bytes are not in the form of a JPEG file; `at_end` tells that they stop where more was announced."""

    def __init__(self, message: str, *, at_end: bool = False) -> None:
        super().__init__(message)
        self.at_end = at_end


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker with all that belongs to it: `data[start:end]`, from FF (and fill bytes before it) on.

    `payload` is where the content after the length begins, equal to `end` for a marker alone. The scan data that
    follows SOS belongs to it.
    """

    marker: int
    start: int
    payload: int
    end: int


@dataclass(frozen=True, slots=True)
class JpegPieces:
    """The segments between start and end of image; `ended` tells whether the end was there."""

    segments: tuple[Segment, ...]
    ended: bool
    components: int  # 1 grey, 3 colour, 4 CMYK; 0 when there is no frame


def split_jpeg(data: bytes) -> JpegPieces:
    """The pieces of a JPEG file up to its end of image; raises `JpegDamagedError`.

    Bytes between segments that belong to none, and all after the end of image, are in no piece.
    """
    if data[:2] != b"\xff\xd8":
        raise JpegDamagedError("a JPEG file starts with FF D8")
    segments: list[Segment] = []
    components = 0
    scanned = False
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        marker, after = data[found.end() - 1], found.end()
        start = _before_fill(data, found.start(), floor=position)
        if marker == _EOI:
            return JpegPieces(tuple(segments), True, components)
        if marker == _SOI:
            raise JpegDamagedError("a second start of image before the end of the first")
        if marker == _TEM:
            position = after
            continue
        if marker not in _KNOWN:
            raise JpegDamagedError(f"marker {marker:02X} has no place in a JPEG file")
        if scanned and start > position:
            # A decoder that looks for its next restart marker may read these, so they cannot be left out unseen.
            raise JpegDamagedError("bytes between the scans belong to no segment")
        end = after + int.from_bytes(data[after : after + 2], "big")
        if end < after + 2 or end > len(data):
            at_end = end > len(data) or after + 2 > len(data)
            raise JpegDamagedError(f"segment {marker:02X} has an impossible length", at_end=at_end)
        if marker in _FRAMES and not components and end >= after + 8:
            components = data[after + 7]
        if marker == _SOS:
            scanned = True
            scan_end = _MARKER.search(data, end)
            end = len(data) if scan_end is None else scan_end.start()
        segments.append(Segment(marker, start, after + 2, end))
        position = end
    return JpegPieces(tuple(segments), False, components)


def _before_fill(data: bytes, start: int, *, floor: int) -> int:
    while start > floor and data[start - 1] == 0xFF:
        start -= 1
    return start


def metadata_segments(data: bytes, pieces: JpegPieces) -> bytes:
    """All APP1 segments (EXIF and XMP), which alone can say that the picture does not stand upright."""
    return b"".join(data[piece.start : piece.end] for piece in pieces.segments if piece.marker == _APP1)


def has_late_tables(pieces: JpegPieces) -> bool:
    """Whether a quantisation table stands behind the first scan: its number may then mean two tables, or none yet."""
    markers = [piece.marker for piece in pieces.segments]
    return _SOS in markers and _DQT in markers[markers.index(_SOS) :]


def without_metadata(data: bytes, pieces: JpegPieces) -> bytes:
    """The file with the tables, frames and scans as they are and, of all else, JFIF, ICC profile and Adobe transform.

    JFIF loses its thumbnail; the Adobe segment all after its transform, DNL all after its number of lines. A profile
    stays only if it is one, up to its end. What decodes is exactly the same picture. Raises `JpegDamagedError` where
    tables, frames or scan headers hold more than such do, since a decoder would read over it.
    """
    parts = [b"\xff\xd8"]
    profile = _profile_segments(data, pieces)
    for piece in pieces.segments:
        body = data[piece.payload : piece.end]
        if piece.marker == _APP0:
            parts.append(_jfif(body))
        elif piece.marker == _APP14:
            parts.append(_adobe(body))
        elif piece.marker == _DNL:
            parts.append(b"\xff\xdc\x00\x04" + body[:2] if len(body) >= 2 else b"")
        elif _is_profile(piece.marker, body):
            parts.append(profile)
            profile = b""  # all of it stands where its first segment stood
        elif _codes_the_picture(piece.marker):
            _check_form(piece, data)
            parts.append(data[piece.start : piece.end])
    parts.append(b"\xff\xd9")
    return b"".join(parts)


def _profile_segments(data: bytes, pieces: JpegPieces) -> bytes:
    """The segments of the colour profile; nothing where it is not whole, or is none."""
    bodies = [data[piece.payload : piece.end] for piece in pieces.segments if piece.marker == _APP2]
    bodies = [body for body in bodies if _is_profile(_APP2, body) and len(body) > len(_ICC) + 2]
    numbered = {body[len(_ICC)]: body for body in bodies}
    count = len(bodies)
    if sorted(numbered) != list(range(1, count + 1)) or any(body[len(_ICC) + 1] != count for body in bodies):
        return b""
    profile = sound_profile(b"".join(numbered[number][len(_ICC) + 2 :] for number in sorted(numbered)))
    if profile is None:
        return b""
    cuts = [profile[start : start + _MAX_ICC_PART] for start in range(0, len(profile), _MAX_ICC_PART)]
    headers = [_ICC + bytes([number, len(cuts)]) for number in range(1, len(cuts) + 1)]
    segments = zip(headers, cuts, strict=True)
    return b"".join(b"\xff\xe2" + (len(head) + len(cut) + 2).to_bytes(2, "big") + head + cut for head, cut in segments)


def _is_profile(marker: int, body: bytes) -> bool:
    return marker == _APP2 and body.startswith(_ICC)


def _codes_the_picture(marker: int) -> bool:
    return not _APP0 <= marker <= _APP15 and marker != _COM


def _check_form(piece: Segment, data: bytes) -> None:
    """Raises `JpegDamagedError` unless all of a segment's content is what its marker says. B.2.2 to B.2.4."""
    length = int.from_bytes(data[piece.payload - 2 : piece.payload], "big") - 2
    body = data[piece.payload : piece.payload + length]
    if piece.marker == _SOS:
        fits = length > 0 and length == 4 + 2 * body[0]
    elif piece.marker in _FRAMES:
        fits = length > 5 and length == 6 + 3 * body[5]
    elif piece.marker == _DQT:
        fits = _holds_tables(body, lambda at: 65 + 64 * (body[at] >> 4) if body[at] >> 4 < 2 else 0)
    elif piece.marker == _DHT:
        fits = _holds_tables(body, lambda at: 17 + sum(body[at + 1 : at + 17]))
    elif piece.marker == _DAC:
        fits = length in range(2, 66, 2)
    else:
        fits = piece.marker == _DRI and length == 2
    if not fits:
        raise JpegDamagedError(f"segment {piece.marker:02X} holds more or less than it says")


def _holds_tables(body: bytes, size_at: Callable[[int], int]) -> bool:
    """Whether a segment is a few tables one after another, and nothing else; at most as many as there are numbers."""
    at = count = 0
    while at < len(body) and count < _MAX_TABLES:
        size = size_at(at)
        if not size:
            return False
        at, count = at + size, count + 1
    return at == len(body)


def _jfif(body: bytes) -> bytes:
    if not body.startswith(b"JFIF\0") or len(body) < _JFIF_BYTES:
        return b""  # JFXX holds a thumbnail; a shorter JFIF is not taken for one by decoders
    return b"\xff\xe0\x00\x10" + body[: _JFIF_BYTES - 2] + b"\x00\x00"


def _adobe(body: bytes) -> bytes:
    if not body.startswith(b"Adobe") or len(body) < _ADOBE_BYTES:
        return b""
    return b"\xff\xee\x00\x0e" + body[:_ADOBE_BYTES]
