"""The bytes of an image as the corpus holds them: a JPEG that stands upright and carries no metadata.

An upright JPEG keeps its own coded bytes. One that only EXIF turns upright is decoded, turned and coded once, because
the readers of a corpus (WebDataset's decoders, torchvision) pass over EXIF and every box would point at the wrong
place. With the file's own quantisation tables that costs little: measured on scikit-image's photographs at qualities
75 to 95, 48 to 61 dB where the sides are whole blocks, 40 to 63 dB where they are not. Lossless turning
needs a second JPEG codec, and works only where the sides are whole blocks.
"""

import io
from typing import Final

from PIL import JpegImagePlugin

from ostensive.images.decode import format_of, open_lazily, open_rgb
from ostensive.images.jpeg import JpegDamagedError, metadata_segments, split_jpeg, without_metadata
from ostensive.images.pixels import SIDEWAYS, orientation_of, upright

# Sampling factors, across and down, of luma and the two chromas to Pillow's name. Pillow writes no 4:4:0, so what is
# 4:2:2 becomes 4:4:4 on its side, which loses nothing.
_SUBSAMPLINGS: Final[dict[tuple[int, ...], str]] = {
    (1, 1, 1, 1, 1, 1): "4:4:4",
    (2, 1, 1, 1, 1, 1): "4:2:2",
    (2, 2, 1, 1, 1, 1): "4:2:0",
}


def publishable_jpeg(data: bytes, *, jpeg_quality: int) -> bytes:
    """The image in `data`, which `examine` has passed, as JPEG bytes that say nothing but the picture.

    An upright grey or colour JPEG: the original coded bytes, JFIF density, colour profile, Adobe transform, all else
    dropped, including what follows the end (motion photos, second pictures). A turned one: coded again with its own
    quantisation tables and chroma subsampling. CMYK JPEGs, damaged ones that still decode, and all other formats: RGB,
    coded at `jpeg_quality` (1 to 100), 4:4:4; an RGB colour profile is kept, CMYK and Lab are in sRGB and have none.
    The same bytes give the same bytes. Raises `ImageRefusedError` for bytes that are no image.
    """
    if format_of(data[:16]) != "JPEG":
        return _encoded(data, jpeg_quality)
    try:
        pieces = split_jpeg(data)
    except JpegDamagedError:
        return _encoded(data, jpeg_quality)
    if pieces.components not in (1, 3):
        return _encoded(data, jpeg_quality)
    if metadata_segments(data, pieces):
        image = open_lazily(data)
        orientation = orientation_of(image)
        if orientation != 1:
            assert isinstance(image, JpegImagePlugin.JpegImageFile), "format_of said so"
            return _turned(image, orientation)
    return without_metadata(data, pieces)


def _encoded(data: bytes, jpeg_quality: int) -> bytes:
    profile = open_lazily(data).info.get("icc_profile") or b""
    image = open_rgb(data, None)
    sink = io.BytesIO()
    # Bytes 16 to 20 of a profile name its colour space: a grey one would be wrong for what is RGB now.
    kept = profile if profile[16:20] == b"RGB " else None
    image.save(sink, "JPEG", quality=jpeg_quality, subsampling="4:4:4", optimize=True, icc_profile=kept)
    return sink.getvalue()


def _turned(image: JpegImagePlugin.JpegImageFile, orientation: int) -> bytes:
    profile = image.info.get("icc_profile") or None
    sideways = orientation in SIDEWAYS
    layers = image.layer  # a component each: id, horizontal and vertical sampling factor, number of its table
    tables = [image.quantization[layer[3]] for layer in layers]
    sampling = tuple(factor for layer in layers for factor in (layer[2:0:-1] if sideways else layer[1:3]))
    if tables[1:2] == tables[2:3]:
        del tables[2:]
    if sideways:
        tables = [[table[8 * column + row] for row in range(8) for column in range(8)] for table in tables]
    if not _keeps_blocks(image.width, image.height, orientation):
        tables = [[(step + 1) // 2 for step in table] for table in tables]
    pixels = upright(image)
    pixels.info.clear()  # Pillow would write the comment
    sink = io.BytesIO()
    subsampling = _SUBSAMPLINGS.get(sampling, "4:4:4")
    pixels.save(sink, "JPEG", qtables=tables, subsampling=subsampling, optimize=True, icc_profile=profile)
    return sink.getvalue()


def _keeps_blocks(width: int, height: int, orientation: int) -> bool:
    """Whether the 8 x 8 blocks of the stored picture are blocks of the turned one.

    They are unless an edge that cuts a block comes to lie left or above. Then all is quantised anew on another grid,
    and half the step keeps that from adding as much noise again as the first coding did.
    """
    right_edge_moves = orientation in (2, 3, 7, 8)
    bottom_edge_moves = orientation in (3, 4, 6, 7)
    return not (right_edge_moves and width % 8) and not (bottom_edge_moves and height % 8)
