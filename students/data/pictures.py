"""A published picture decoded once, at no more pixels than are asked for."""

import io
from typing import Final

import PIL.Image
from PIL import JpegImagePlugin

from ostensive.errors import OstensiveError, one_line
from ostensive.images.pixels import to_rgb
from students.data.augmentation import Geometry, PixelCrop

_WHOLE_STEPS: Final = (1, 2, 4, 8)  # by which a JPEG decoder can make a picture smaller as it decodes


class PictureError(OstensiveError):
    """A picture of a corpus that cannot be decoded, or is not of the size that its row says."""


def decoded(jpeg: bytes, size: tuple[int, int]) -> PIL.Image.Image:
    """The whole picture as RGB; raises `PictureError`, also where it is not `size` (width, height) large."""
    return transformed(jpeg, Geometry(size, PixelCrop(0, 0, *size), size, is_flipped=False))


def transformed(jpeg: bytes, geometry: Geometry) -> PIL.Image.Image:
    """The new picture as RGB, `geometry.size` large; raises `PictureError` as `decoded` does.

    A picture that is made much smaller is decoded at half, a quarter or an eighth of its size, as far as that is no
    smaller than what is asked for.
    """
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg))
        if image.size != geometry.source:
            # Compared before a pixel is decoded: boxes would be wrong, and the file may be a bomb.
            raise PictureError(f"the picture has {_by(image.size)} pixels, and its row says {_by(geometry.source)}")
        return _transformed(image, geometry)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's, by the kind of damage
        raise PictureError(f"the picture cannot be decoded: {one_line(error)}") from error


def _transformed(image: JpegImagePlugin.JpegImageFile, geometry: Geometry) -> PIL.Image.Image:
    crop, (width, height) = geometry.crop, geometry.size
    step = max(one for one in _WHOLE_STEPS if one * width <= crop.width and one * height <= crop.height)
    if step > 1 and image.draft(None, (image.width // step, image.height // step)) is None:
        step = 1
    picture = to_rgb(image)
    if (crop.width, crop.height) != (width, height):
        # Sides that do not divide by the step are rounded up, so that the step alone tells where a pixel went.
        corners = crop.left / step, crop.top / step, crop.right / step, crop.bottom / step
        picture = picture.resize((width, height), PIL.Image.Resampling.BILINEAR, box=corners)
    elif picture.size != (width, height):
        picture = picture.crop((crop.left, crop.top, crop.right, crop.bottom))
    if geometry.is_flipped:
        picture = picture.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    return picture


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
