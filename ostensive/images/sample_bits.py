"""How many bits of 16-bit samples hold the picture, and those pictures in 8 bits.

X-ray detectors, microscopes and depth cameras give 10, 12 or 14 bits and are stored in 16: by the full range their
brightest white would come out black. What a file says of its bits goes first; else the pixels of this one image tell.
"""

import re
import sys
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, TiffImagePlugin

from ostensive.images.png import chunk_before_pixels

FULL_BITS: Final = 16
_USUAL_BITS: Final = (8, 10, 12, 14, FULL_BITS)  # what detectors and files have
_TIFF_BITS, _TIFF_MAXIMA = 258, (281, 341)  # BitsPerSample; MaxSampleValue, SMaxSampleValue: TIFF 6.0
_TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # PhotometricInterpretation: TIFF 6.0
_PGM_MAXIMUM: Final = re.compile(rb"P\d(?:\s|#[^\r\n]*[\r\n])+(?:\d+(?:\s|#[^\r\n]*[\r\n])+){2}(\d+)")
_CODESTREAM: Final = b"\xff\x4f\xff\x51"  # start, and the marker of the image's size: ISO/IEC 15444-1, A.5.1
_PRECISION_AT: Final = 42  # of the first channel, from the start of the codestream
# Pillow keeps the upper byte of 16-bit colours. Read with the bytes of each sample exchanged it keeps the lower one.
_EXCHANGED: Final = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_HEADER_BYTES: Final = 4_096  # of a PGM, its comments included
_STRIP_SAMPLES: Final = 1 << 20
_DARKEST_FULL: Final = 1 << 6  # an upper byte from here on is of 15 or 16 bits

Samples = npt.NDArray[Any]  # Any: integers of several widths, `(height, width)` or `(height, width, channels)`


def is_wide_grey(image: Image.Image) -> bool:
    """Whether the loaded image has one channel of numbers wider than a byte; Pillow widens some of 16 bits to 32."""
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def bits_holding(value: int) -> int:
    """The least usual number of bits (8, 10, 12, 14, 16) of a range that reaches `value`, 0 to 65535."""
    return next(bits for bits in _USUAL_BITS if value < 1 << bits)


def grey_bits(image: ImageFile.ImageFile, image_format: str, data: bytes) -> int | None:
    """`told_bits` of a loaded image of one channel of wide numbers."""
    if image.mode in ("I;16", "I", "F"):  # those of which Pillow tells without a copy
        least, greatest = image.getextrema()
        if isinstance(least, int | float) and isinstance(greatest, int | float) and isfinite(least + greatest):
            high = _as_sample(least, greatest, is_float=image.mode == "F")
            return None if high is None else _bits(high, image, image_format, data, lambda: np.asarray(image))
    return told_bits(np.asarray(image), image, image_format, data)


def told_bits(samples: Samples, image: ImageFile.ImageFile, image_format: str, data: bytes) -> int | None:
    """How many of 16 bits hold the picture; None for integers outside 0 to 65535, and for floats outside 0 to 1.

    Floats within 0 to 1 count as 16-bit samples that were divided by 65535. What the file says (TIFF tags, the sBIT
    chunk of PNG, the header of PGM and JPEG 2000) counts unless the samples exceed it; then the usual number of bits
    that holds the brightest sample.
    """
    high = _as_sample(*extremes(samples), is_float=np.issubdtype(samples.dtype, np.floating))
    return None if high is None else _bits(high, image, image_format, data, lambda: samples)


def _bits(high: int, image: ImageFile.ImageFile, image_format: str, data: bytes, samples: Callable[[], Samples]) -> int:
    """Of which `high` is the brightest sample."""
    if image_format in ("JPEG2000", "PPM") and _is_scaled_by_decoder(image_format, data):
        return FULL_BITS
    stated = None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        stated = _bits_in_tags(image)
    elif image_format == "PNG":
        stated = _bits_in_chunk(samples, data)
    return stated if stated is not None and high < 1 << stated else bits_holding(high)


def _is_scaled_by_decoder(image_format: str, data: bytes) -> bool:
    """Whether a header says another range than that of 16 bits: Pillow scales by it. Those 16 say nothing more."""
    if image_format == "PPM":
        found = _PGM_MAXIMUM.match(data[:_HEADER_BYTES])
        return found is None or int(found[1]) != 0xFFFF
    at = data.find(_CODESTREAM) + _PRECISION_AT
    return data[at : at + 1] != bytes([FULL_BITS - 1])


def white_is_zero(image: Image.Image) -> bool:
    """Whether a loaded image of one channel of wide numbers is a negative; of 8 bits Pillow has turned it round."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or not is_wide_grey(image):
        return False
    return bool(image.tag_v2.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _as_sample(least: float, greatest: float, *, is_float: bool) -> int | None:
    """The greatest of samples as a 16-bit one; None where they are outside the range of such."""
    if is_float:
        return round(greatest * 0xFFFF) if least >= 0 and greatest <= 1 else None
    return int(greatest) if least >= 0 and greatest <= 0xFFFF else None


def _bits_in_tags(image: TiffImagePlugin.TiffImageFile) -> int | None:
    tags = image.tag_v2
    try:
        bits = _number(tags.get(_TIFF_BITS))
        maxima = [_number(tags.get(tag)) for tag in _TIFF_MAXIMA]
    except Exception:  # noqa: BLE001 - Pillow reads tags with whatever error the bytes lead to; such tags say nothing
        return None
    if bits is not None and 8 <= bits < FULL_BITS:
        return int(bits)
    unit = 0xFFFF if image.mode == "F" else 1  # floats are within 0 to 1 here
    known = [value * unit for value in maxima if value is not None and 0 < value * unit <= 0xFFFF]
    return bits_holding(int(max(known))) if known else None


def _number(value: object) -> float | None:
    """The greatest of the numbers that a tag holds; None where it holds something else."""
    numbers = value if isinstance(value, tuple) else (value,)
    real = [float(number) for number in numbers if isinstance(number, int | float) and number == number]  # noqa: PLR0124 - NaN alone differs from itself
    return max(real) if real and len(real) == len(numbers) else None


def _bits_in_chunk(samples: Callable[[], Samples], data: bytes) -> int | None:
    """What sBIT says: so many significant bits, the upper ones by the standard, the lower ones as many writers do.

    PNG, 11.3.2.7: samples are scaled to the full range, their lower bits zero or a repetition of the upper ones.
    Samples that are neither were never scaled.
    """
    chunk = chunk_before_pixels(data, b"sBIT")
    colours = chunk[:-1] if len(chunk) in (2, 4) else chunk  # without alpha
    bits = max(colours, default=0)
    if not 8 <= bits < FULL_BITS:
        return FULL_BITS if bits == FULL_BITS else None
    for strip in _strips(samples()):
        upper = strip.astype(np.uint32) >> (FULL_BITS - bits)
        scaled = upper << (FULL_BITS - bits)
        repeated = scaled | (upper >> (2 * bits - FULL_BITS))
        if not ((strip == scaled) | (strip == repeated)).all():
            return bits
    return FULL_BITS


def eight_bit(values: Samples, bits: int | None = None) -> npt.NDArray[np.uint8]:
    """Numbers as uint8.

    Integers within 0 to 65535 by the range of `bits`: its greatest number and all above become 255; None takes the
    usual number of bits that holds the greatest value. Floats within 0 to 1 likewise, as if they were multiplied by
    65535; all others from their least to their greatest finite value. NaN and minus infinity become 0, infinity 255; an
    image of one value outside these ranges is black.
    """
    low, high = extremes(values)
    greatest = _as_sample(low, high, is_float=np.issubdtype(values.dtype, np.floating))
    if greatest is not None:
        top = (1 << (bits or bits_holding(greatest))) - 1
        if np.issubdtype(values.dtype, np.integer):
            levels = np.minimum(np.arange(0x10000, dtype=np.uint32), top)
            return _by_strips(((levels * 255 + top // 2) // top).astype(np.uint8).take, values)
        low, high = 0.0, top / 0xFFFF
    span = high - low
    if span == 0:
        return np.zeros(values.shape, np.uint8)

    def stretched(strip: Samples) -> Samples:
        limited = np.nan_to_num(strip.astype(np.float64), nan=low, posinf=high, neginf=low)
        return np.rint((limited - low) * (255 / span)).clip(0, 255).astype(np.uint8)

    return _by_strips(stretched, values)


def extremes(values: Samples) -> tuple[float, float]:
    """The least and the greatest finite number; zeros where there is none."""
    low, high = np.inf, -np.inf
    for strip in _strips(values):
        finite = strip[np.isfinite(strip)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def _by_strips(convert: Callable[[Samples], Samples], values: Samples) -> npt.NDArray[np.uint8]:
    """`convert` on a few rows at a time, whose wider copies are small beside the image."""
    result = np.empty(values.shape, np.uint8)
    at = 0
    for strip in _strips(values):
        result[at : at + len(strip)] = convert(strip)
        at += len(strip)
    return result


def _strips(values: Samples) -> Iterator[Samples]:
    rows = max(1, _STRIP_SAMPLES * len(values) // max(values.size, 1))
    for first in range(0, len(values), rows):
        yield values[first : first + rows]


# ---- colours --------------------------------------------------------------------------------------------------------


def wide_colour_mode(image: ImageFile.ImageFile) -> str | None:
    """What an image that is not loaded yet decodes its 16-bit colours from (`RGB;16B`); None where it has none.

    Premultiplied and CMYK colours are not looked at, nor channels that lie one behind the other.
    """
    raw = {_raw_mode(tile) for tile in image.tile}
    only = raw.pop() if len(raw) == 1 else ""
    kind, _, width = only.partition(";16")
    return only if kind in ("RGB", "RGBX", "RGBA", "LA") and width in _EXCHANGED else None


def is_dark(image: Image.Image) -> bool:
    """Whether no upper byte of a loaded image's colours is so large that it must be of 15 or 16 bits."""
    extrema = image.getextrema()
    colours = extrema[:3] if image.mode in ("RGB", "RGBA") else extrema
    return all(isinstance(pair, tuple) and pair[1] < _DARKEST_FULL for pair in colours)


def wide_colours(image: Image.Image, again: Callable[[], ImageFile.ImageFile], raw_mode: str) -> Samples:
    """The samples of 16-bit colours, `(height, width, channels) uint16`, alpha last where there are 2 or 4.

    `image` is loaded; `again` opens it anew, unloaded.
    """
    second = again()
    grey = raw_mode.startswith("LA")
    # Grey with alpha has four bytes a pixel: taken for four channels they all come at once.
    other = "RGBA" if grey else raw_mode[:-1] + _EXCHANGED[raw_mode[-1]]
    second.tile = [tile._replace(args=_with_raw_mode(tile.args, other)) for tile in second.tile]
    second.load()
    lower = np.asarray(second).astype(np.uint16)
    if grey:
        return lower[:, :, 0::2] << 8 | lower[:, :, 1::2]
    return np.asarray(image).astype(np.uint16) << 8 | lower


def from_wide_colours(samples: Samples, bits: int) -> Image.Image:
    """8-bit RGB or RGBA of 16-bit samples by the range of `bits`; alpha has the full range."""
    channels = samples.shape[2]
    pixels = eight_bit(samples, bits)
    if channels in (2, 4):
        pixels[:, :, -1] = eight_bit(samples[:, :, -1], FULL_BITS)
    if channels == 2:
        pixels = pixels[:, :, [0, 0, 0, 1]]
    return Image.fromarray(np.ascontiguousarray(pixels))


def _raw_mode(tile: Any) -> str:  # Any: Pillow's tiles, whose arguments are of each codec's own form
    first = tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args
    return first if isinstance(first, str) else ""


def _with_raw_mode(args: Any, raw_mode: str) -> Any:  # Any: as above
    return (raw_mode, *args[1:]) if isinstance(args, tuple) else raw_mode
