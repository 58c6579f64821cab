"""Bytes of an image file to facts about it and to upright RGB pixels, safely.

Pillow decides by content, never by the file's name, and only among formats that decode in process: none that starts
another program (EPS) or guesses without a signature (TGA). Its readers are called directly instead of through
`Image.open`, because that checks a process-wide limit and warns through process-wide filters: here the limit is the
caller's, compared with the header before a pixel is decoded, and many threads may do so at once.
"""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    QoiImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ostensive.images import refusals
from ostensive.images.beside import Limits, ask
from ostensive.images.ordinary import DECODED_FACTOR, is_ordinary
from ostensive.images.pixels import SIDEWAYS, orientation_of, to_rgb, turned
from ostensive.images.png import without_texts
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.sample_bits import (
    FULL_BITS,
    from_wide_colours,
    grey_bits,
    is_dark,
    is_wide_grey,
    told_bits,
    white_is_zero,
    wide_colour_mode,
    wide_colours,
)
from ostensive.images.settings import IntakeSettings
from ostensive.images.tiff import values_exceed_file
from ostensive.images.truncation import is_cut_short

MICROWORLD_MARK: Final = "ostensive-microworld"
"""The text chunk by which an image file of the microworld is known."""
_SEEN_BYTES: Final = 8  # of a pixel: 8-bit RGB as Pillow holds it, and a copy
_NO_MEMORY: Final = "decoder error -9"  # IMAGING_CODEC_MEMORY, as an OSError
MAX_SIDE_PX: Final = 65_500  # libjpeg's JPEG_MAX_DIMENSION: a longer side could not be published

_Reader = Callable[[io.BytesIO], ImageFile.ImageFile]
_READERS: Final[dict[str, _Reader]] = {
    "AVIF": AvifImagePlugin.AvifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,  # not Pillow's factory: of a multi-picture file the first is taken
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "QOI": QoiImagePlugin.QoiImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"qoif", "QOI"),
)
# ISO/IEC 23008-12: brands of HEVC, and those that leave open what codes the picture.
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_GENERAL_BRANDS: Final = (b"mif1", b"msf1", b"miaf")


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Width and height in pixels after EXIF rotation; Pillow's names of the format and of the mode as stored.

    `sample_bits` are those of 16-bit samples that hold the picture (see `sample_bits.told_bits`); None for all others.
    """

    width: int
    height: int
    format: str
    mode: str
    sample_bits: int | None = None


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image all of whose pixels were decoded, as stored, and facts about it."""

    image: ImageFile.ImageFile
    facts: ImageFacts


def load(data: bytes, settings: IntakeSettings) -> LoadedImage:
    """The first picture in `data`; raises `ImageRefusedError`."""
    image, image_format = _open(data)
    _refuse_size(image, settings, len(data))
    if settings.world == "microworld" and MICROWORLD_MARK not in image.info:
        raise ImageRefusedError(refusals.OTHER_WORLD, "it lacks the mark of ostensive microworld render")
    mode, wide = image.mode, wide_colour_mode(image)
    image = _loaded(image, image_format, data)
    width, height = image.size
    if orientation_of(image) in SIDEWAYS:
        width, height = height, width
    bits = _sample_bits(image, image_format, data, wide=wide, asked=settings.sample_bits)
    return LoadedImage(image, ImageFacts(width, height, image_format, mode, bits))


def examine(data: bytes, settings: IntakeSettings) -> ImageFacts:
    """Facts about the first picture in `data`, all of whose pixels were decoded; raises `ImageRefusedError`."""
    return load(data, settings).facts


def open_rgb(
    data: bytes, max_pixels: int | None, sample_bits: int | None = None, limits: Limits | None = None
) -> Image.Image:
    """The first picture in `data`, upright, RGB, 8 bits (see `pixels.to_rgb`); raises `ImageRefusedError`.

    `max_pixels` None sets no limit, nor do `limits`: for bytes that were taken in. `sample_bits` are those of their
    facts; None has them told anew. Nothing of the file's metadata is in the result.
    """
    if is_ordinary(data):
        return decode_rgb(data, max_pixels, sample_bits)
    answer = ask("rgb", data, limits, max_pixels=max_pixels, sample_bits=sample_bits)
    width, height = answer.facts["size"]
    return Image.frombytes("RGB", (width, height), answer.data)


def decode_rgb(data: bytes, max_pixels: int | None, sample_bits: int | None) -> Image.Image:
    """What `open_rgb` gives, decoded in this process whatever it is."""
    image, image_format = _open(data)
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise ImageRefusedError(refusals.PIXEL_LIMIT, f"{image.width} x {image.height} pixels, limit {max_pixels}")
    wide = wide_colour_mode(image)
    image = _loaded(image, image_format, data)
    try:
        bits = _sample_bits(image, image_format, data, wide=wide, asked=sample_bits)
        stored: Image.Image = image
        if wide is not None and bits is not None and bits < FULL_BITS:
            stored = from_wide_colours(wide_colours(image, lambda: open_lazily(data), wide), bits)
        converted = to_rgb(turned(stored, orientation_of(image)), bits)
        if white_is_zero(image):
            converted = ImageChops.invert(converted)
    except (OSError, ValueError) as error:
        raise ImageRefusedError(refusals.UNREADABLE, f"{image_format} of mode {image.mode}: {error}") from error
    # Pillow carries metadata along in `info` and writes it into the next file without being asked.
    plain = converted.copy() if isinstance(converted, ImageFile.ImageFile) else converted
    plain.info.clear()
    return plain


def open_lazily(data: bytes) -> ImageFile.ImageFile:
    """The first picture in `data` with its header read and no pixel decoded; raises `ImageRefusedError`."""
    return _open(data)[0]


def format_of(prefix: bytes) -> str | None:
    """Pillow's name of the format that a file's first 16 bytes announce; None when it is none that is taken in."""
    for signature, image_format in _SIGNATURES:
        if prefix.startswith(signature):
            return image_format
    if prefix[:4] == b"RIFF" and prefix[8:12] == b"WEBP":
        return "WEBP"
    if prefix[4:8] == b"ftyp" and prefix[8:12] in (b"avif", b"avis", *_GENERAL_BRANDS):
        return "AVIF"
    if prefix[:1] == b"P" and prefix[1:2] in b"123456f" and prefix[2:3].isspace():
        return "PPM"
    return None


def _open(data: bytes) -> tuple[ImageFile.ImageFile, str]:
    if not data:
        raise ImageRefusedError(refusals.EMPTY)
    image_format = format_of(data[:16])
    if _is_heic(data):
        raise ImageRefusedError(refusals.UNSUPPORTED, "HEIC; convert it to JPEG")
    if image_format is None:
        raise ImageRefusedError(refusals.NOT_AN_IMAGE, f"starts with {data[:16]!r}")
    if image_format == "TIFF" and values_exceed_file(data):
        raise ImageRefusedError(refusals.UNREADABLE, "TIFF: the values of its tags are more bytes than the file has")
    try:
        return _READERS[image_format](io.BytesIO(data)), image_format
    except Exception as error:  # a reader fails with whatever error the bytes lead to
        plain = _without_texts(image_format, data)
        if plain is not None:
            with contextlib.suppress(Exception):
                return _READERS[image_format](io.BytesIO(plain)), image_format
        raise _refusal(error, image_format, data) from error


def _without_texts(image_format: str, data: bytes) -> bytes | None:
    """A PNG less its texts and profile, which Pillow takes for a fault where they are large; None for all others."""
    plain = without_texts(data) if image_format == "PNG" else data
    return None if len(plain) == len(data) else plain


def _is_heic(data: bytes) -> bool:
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return data[8:12] in _HEIC_BRANDS or (data[8:12] in _GENERAL_BRANDS and b"avi" not in brands)


def _loaded(image: ImageFile.ImageFile, image_format: str, data: bytes) -> ImageFile.ImageFile:
    """`image` with its pixels decoded, opened anew where it is not them that fail."""
    try:
        image.load()
    except Exception as error:  # as in _open
        plain = _without_texts(image_format, data)
        if plain is not None:
            with contextlib.suppress(Exception):
                again = _READERS[image_format](io.BytesIO(plain))
                again.load()
                return again
        raise _refusal(error, image_format, data) from error
    return image


def _sample_bits(
    image: ImageFile.ImageFile, image_format: str, data: bytes, *, wide: str | None, asked: int | None
) -> int | None:
    """How many bits of the 16-bit samples of a loaded image hold the picture; None where all do, or there are none.

    `wide` is what its 16-bit colours were decoded from. What is `asked` for wins.
    """
    if is_wide_grey(image):
        told = grey_bits(image, image_format, data)
        return told if told is None or asked is None else asked
    if wide is None or asked is not None or not is_dark(image):
        return None if wide is None else asked
    samples = wide_colours(image, lambda: open_lazily(data), wide)
    colours = samples[:, :, : samples.shape[2] - (samples.shape[2] in (2, 4))]
    return told_bits(colours, image, image_format, data)


def _refusal(error: Exception, image_format: str, data: bytes) -> ImageRefusedError:
    detail = f"{image_format}: {' '.join(str(error).split()) or type(error).__name__}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return ImageRefusedError(refusals.PIXEL_LIMIT, detail)
    if isinstance(error, MemoryError) or str(error) == _NO_MEMORY:
        return ImageRefusedError(refusals.BYTE_LIMIT, f"{image_format}: decoding it takes more memory than it may")
    if is_cut_short(image_format, data):
        return ImageRefusedError(refusals.TRUNCATED, f"{detail} ({len(data)} bytes)")
    return ImageRefusedError(refusals.UNREADABLE, detail)


def _refuse_size(image: Image.Image, settings: IntakeSettings, file_bytes: int) -> None:
    width, height = image.size
    shown = f"{width} x {height} pixels"
    if width * height > settings.max_pixels:
        raise ImageRefusedError(refusals.PIXEL_LIMIT, f"{shown}, limit {settings.max_pixels}")
    if max(width, height) > MAX_SIDE_PX:
        raise ImageRefusedError(refusals.SIDE_LIMIT, f"{shown}, limit {MAX_SIDE_PX} a side")
    limit = settings.max_decoded_bytes + DECODED_FACTOR * file_bytes
    if width * height * _SEEN_BYTES > limit:
        detail = f"{shown}, which take {width * height * _SEEN_BYTES} bytes, limit {limit} for {file_bytes} of file"
        raise ImageRefusedError(refusals.BYTE_LIMIT, detail)
    if min(width, height) < settings.min_side:
        raise ImageRefusedError(refusals.TOO_SMALL, f"{shown}, at least {settings.min_side} a side")
