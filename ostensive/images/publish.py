"""The bytes of an image as the corpus holds them: a JPEG that stands upright and carries no metadata.

An upright JPEG keeps its own coded bytes. One that only EXIF turns upright is decoded, turned and coded once, because
the readers of a corpus (WebDataset's decoders, torchvision) pass over EXIF and every box would point at the wrong
place. With the file's own quantisation tables that costs little: measured on scikit-image's photographs at qualities
75 to 95, 48 to 61 dB where the sides are whole blocks, 40 to 63 dB where they are not. Lossless turning
needs a second JPEG codec, and works only where the sides are whole blocks.

What will be done to an image is tried when it is taken in, on a corner of it, so that none is described and paid for
that cannot be published. All that may fail depends on the form of the file and not on its pixels; the one thing that
would, the room that Pillow reckons with for what it codes, is made sure of (`_coded`).
"""

import contextlib
import io
from dataclasses import dataclass
from typing import Any, Final  # Any: values of Pillow's options

from PIL import Image, ImageFile, JpegImagePlugin

from ostensive.images import refusals
from ostensive.images.beside import Limits, ask
from ostensive.images.colour_profile import colour_space_of, sound_profile
from ostensive.images.decode import ImageFacts, LoadedImage, decode_rgb, format_of, load, open_lazily
from ostensive.images.jpeg import (
    JpegDamagedError,
    JpegPieces,
    has_late_tables,
    metadata_segments,
    split_jpeg,
    without_metadata,
)
from ostensive.images.ordinary import is_ordinary
from ostensive.images.pixels import SIDEWAYS, orientation_of, to_rgb, turned, upright
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.settings import IntakeSettings

# Sampling factors, across and down, of luma and the two chromas to Pillow's name. Pillow writes no 4:4:0, so what is
# 4:2:2 becomes 4:4:4 on its side, which loses nothing.
_SUBSAMPLINGS: Final[dict[tuple[int, ...], str]] = {
    (1, 1, 1, 1, 1, 1): "4:4:4",
    (2, 1, 1, 1, 1, 1): "4:2:2",
    (2, 2, 1, 1, 1, 1): "4:2:0",
}
_TRIED_PX: Final = 16  # a side of the corner: more than one block, whatever the subsampling
_TRIED_QUALITY: Final = 95
_TABLES_BYTES: Final = 2_048  # more than Huffman tables of its own can add to a file

_Options = dict[str, Any]


def publishable_jpeg(data: bytes, *, jpeg_quality: int, sample_bits: int | None = None) -> bytes:
    """The image in `data`, which has passed `try_publishing`, as JPEG bytes that say nothing but the picture.

    An upright grey or colour JPEG: the original coded bytes, JFIF density, colour profile, Adobe transform, all else
    dropped, including what follows the end (motion photos, second pictures). A turned one: coded again with its own
    quantisation tables and chroma subsampling. CMYK JPEGs, damaged ones that still decode, turned ones whose tables
    cannot be told, and all other formats: RGB, coded at `jpeg_quality` (1 to 100), 4:4:4, 16-bit samples by
    `sample_bits`; an RGB colour profile is kept if it is a sound one, CMYK and Lab are in sRGB and have none. The same
    bytes give the same bytes. Raises `ImageRefusedError` for bytes that are no image, `OSError` where none of this can
    be done.
    """
    if is_ordinary(data):
        return make_jpeg(data, jpeg_quality=jpeg_quality, sample_bits=sample_bits)
    return ask("jpeg", data, None, jpeg_quality=jpeg_quality, sample_bits=sample_bits).data


def make_jpeg(data: bytes, *, jpeg_quality: int, sample_bits: int | None) -> bytes:
    """What `publishable_jpeg` gives, made in this process whatever the picture is."""
    image = open_lazily(data)
    plan = _plan(image, data)
    if plan.own_bytes is not None:
        return plan.own_bytes
    if plan.tables is not None:
        pixels = upright(image)
        pixels.info.clear()  # Pillow would write the comment
    else:
        pixels = decode_rgb(data, None, sample_bits)
    return _coded(pixels, plan, jpeg_quality)


def take_in(data: bytes, settings: IntakeSettings) -> ImageFacts:
    """Facts about the first picture in `data`, which is decoded and can be published; raises `ImageRefusedError`."""
    if not is_ordinary(data):
        limits = Limits(settings.max_seconds, settings.max_decoded_bytes)
        answer = ask("examine", data, limits, settings=settings.model_dump(mode="json"))
        return ImageFacts(**answer.facts["facts"])
    loaded = load(data, settings)
    try_publishing(loaded, data)
    return loaded.facts


def try_publishing(loaded: LoadedImage, data: bytes) -> None:
    """Does to a corner of an image what `publishable_jpeg` will do to all of it.

    Raises `ImageRefusedError` where that cannot be done. Costs well under a millisecond, whatever the image's size.
    """
    try:
        plan = _plan(loaded.image, data)
        if plan.own_bytes is not None:
            return
        width, height = loaded.image.size
        corner = loaded.image.crop((0, 0, min(width, _TRIED_PX), min(height, _TRIED_PX)))
        if plan.tables is None:
            corner = to_rgb(corner, loaded.facts.sample_bits)
        corner = turned(corner, orientation_of(loaded.image))
        corner.info.clear()
        _coded(corner, plan, _TRIED_QUALITY)
    except Exception as error:  # the boundary of one image: whatever keeps it from being published is told now
        detail = f"{loaded.facts.format} of mode {loaded.facts.mode}: {type(error).__name__}: {error}"
        raise ImageRefusedError(refusals.UNPUBLISHABLE, " ".join(detail.split())[:200]) from error


@dataclass(frozen=True, slots=True)
class _Plan:
    """How an image is published: by its own bytes, or coded anew, by its own tables or by a quality."""

    own_bytes: bytes | None = None
    tables: _Options | None = None
    profile: bytes | None = None


def _plan(image: ImageFile.ImageFile, data: bytes) -> _Plan:
    """What is to be done with an image whose header, at least, was read."""
    profile = sound_profile(image.info.get("icc_profile"))
    if format_of(data[:16]) == "JPEG":
        assert isinstance(image, JpegImagePlugin.JpegImageFile), "format_of said so"
        try:
            pieces = split_jpeg(data)
        except JpegDamagedError:
            pieces = None
        if pieces is not None and pieces.components in (1, 3):
            orientation = orientation_of(image) if metadata_segments(data, pieces) else 1
            if orientation != 1:
                return _Plan(tables=_tables(image, pieces, orientation), profile=profile)
            with contextlib.suppress(JpegDamagedError):
                own_bytes = without_metadata(data, pieces)
                if _is_same_picture(own_bytes, image):
                    return _Plan(own_bytes)
    # A grey profile would be wrong for what is RGB now.
    kept = profile if profile is not None and colour_space_of(profile) == b"RGB " else None
    return _Plan(profile=kept)


def _is_same_picture(data: bytes, image: JpegImagePlugin.JpegImageFile) -> bool:
    """Whether the header in `data` is read, and as that of `image`."""
    try:
        read = open_lazily(data)
    except ImageRefusedError:
        return False
    return read.size == image.size and read.mode == image.mode


def _tables(image: JpegImagePlugin.JpegImageFile, pieces: JpegPieces, orientation: int) -> _Options | None:
    """Pillow's options that code the turned picture as the file is; None where its tables cannot be told.

    Pillow reads a file up to its first scan: of tables behind it, it knows nothing.
    """
    layers = image.layer  # a component each: id, horizontal and vertical sampling factor, number of its table
    if has_late_tables(pieces) or image.mode not in ("L", "RGB") or any(x[3] not in image.quantization for x in layers):
        return None
    sideways = orientation in SIDEWAYS
    tables = [image.quantization[layer[3]] for layer in layers]
    sampling = tuple(factor for layer in layers for factor in (layer[2:0:-1] if sideways else layer[1:3]))
    if tables[1:2] == tables[2:3]:
        del tables[2:]
    if sideways:
        tables = [[table[8 * column + row] for row in range(8) for column in range(8)] for table in tables]
    if not _keeps_blocks(image.width, image.height, orientation):
        tables = [[(step + 1) // 2 for step in table] for table in tables]
    return {"qtables": tables, "subsampling": _SUBSAMPLINGS.get(sampling, "4:4:4")}


def _coded(pixels: Image.Image, plan: _Plan, jpeg_quality: int) -> bytes:
    """`pixels` by the file's own tables if there are any, else, or if those are none, by the quality."""
    by_quality: _Options = {"quality": jpeg_quality, "subsampling": "4:4:4"}
    if plan.tables is not None:
        try:
            return _saved(pixels, plan.tables, plan.profile)
        except (OSError, ValueError, TypeError, OverflowError):  # what Pillow raises for tables that it does not take
            pass
    return _saved(pixels, by_quality, plan.profile)


def _saved(pixels: Image.Image, options: _Options, profile: bytes | None) -> bytes:
    """JPEG bytes with Huffman tables of their own where Pillow has room for that.

    Pillow codes with such tables in one piece and guesses how large it gets, at one byte a pixel, or two from quality
    95 on (`JpegImagePlugin._save`). Noise takes more; coding it then fails, and libjpeg writes to standard error. With
    the usual tables any size is coded bit by bit; a file that is too large with them is left as it is.
    """
    usual = _save(pixels, {**options, "icc_profile": profile})
    bytes_a_pixel = 2 if options.get("quality", 95) >= 95 else 1
    if len(usual) + _TABLES_BYTES > max(ImageFile.MAXBLOCK, bytes_a_pixel * pixels.width * pixels.height):
        return usual
    try:
        return _save(pixels, {**options, "icc_profile": profile, "optimize": True})
    except OSError:  # a Pillow that guesses otherwise
        return usual


def _save(pixels: Image.Image, options: _Options) -> bytes:
    sink = io.BytesIO()
    pixels.save(sink, "JPEG", **options)
    return sink.getvalue()


def _keeps_blocks(width: int, height: int, orientation: int) -> bool:
    """Whether the 8 x 8 blocks of the stored picture are blocks of the turned one.

    They are unless an edge that cuts a block comes to lie left or above. Then all is quantised anew on another grid,
    and half the step keeps that from adding as much noise again as the first coding did.
    """
    right_edge_moves = orientation in (2, 3, 7, 8)
    bottom_edge_moves = orientation in (3, 4, 6, 7)
    return not (right_edge_moves and width % 8) and not (bottom_edge_moves and height % 8)
