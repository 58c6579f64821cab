"""Decoded pixels to upright 8-bit RGB: rotation, alpha, CMYK, Lab, palettes, 16-bit and floating point.

Every conversion is fixed and depends on the one image only, so that the same file gives the same pixels everywhere.
Colour profiles of RGB images are not applied: what a reader of the corpus sees with Pillow or torchvision, which
ignore them, is what the verbalizers saw. CMYK and Lab have no meaning without a conversion; theirs uses the embedded
profile, if it is a sound one.
"""

import io
from typing import Final

import numpy as np
from PIL import Image, ImageCms

from ostensive.images.colour_profile import colour_space_of, sound_profile
from ostensive.images.sample_bits import eight_bit, is_wide_grey

_ORIENTATION_TAG: Final = 0x0112
# EXIF 2.32, tag Orientation: what has to be done to the stored pixels to see them upright.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS: Final = frozenset({5, 6, 7, 8})  # orientations that swap width and height


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - Pillow parses EXIF with whatever error the bytes lead to; such EXIF says nothing
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """`image` as it stands upright where its orientation is this one."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def upright(image: Image.Image) -> Image.Image:
    """`image`, loaded, turned as its EXIF orientation says."""
    image.load()  # Pillow turns a TIFF itself while loading, and then takes the tag away
    return turned(image, orientation_of(image))


def to_rgb(image: Image.Image, sample_bits: int | None = None) -> Image.Image:
    """`image` as 8-bit RGB: alpha on white; wide numbers as `sample_bits.eight_bit` says, by so many bits."""
    image.load()
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if is_wide_grey(image):
        return Image.fromarray(eight_bit(np.asarray(image), sample_bits)).convert("RGB")
    if image.mode in ("CMYK", "LAB"):
        return _through_profile(image)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, colours).convert("RGB")
    return image.convert("RGB")


def _through_profile(image: Image.Image) -> Image.Image:
    """A CMYK or Lab image in sRGB, by its embedded profile; CMYK without a sound one by the complement of its inks."""
    try:
        if image.mode == "LAB":
            profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            embedded = sound_profile(image.info.get("icc_profile"))
            if embedded is None or colour_space_of(embedded) != b"CMYK":
                return image.convert("RGB")
            profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, profile, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        if image.mode == "LAB":
            raise OSError(f"Lab pixels cannot be converted to RGB: {error}") from error
        return image.convert("RGB")
    assert converted is not None, "profileToProfile makes a new image unless inPlace is given"
    return converted
