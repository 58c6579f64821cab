"""Decoded pixels to upright 8-bit RGB: rotation, alpha, CMYK, Lab, palettes, 16-bit and floating point.

Every conversion is fixed and depends on the one image only, so that the same file gives the same pixels everywhere.
Colour profiles of RGB images are not applied: what a reader of the corpus sees with Pillow or torchvision, which
ignore them, is what the verbalizers saw. CMYK and Lab have no meaning without a conversion; theirs uses the embedded
profile, if it is a sound one.
"""

import io
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

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


def upright(image: Image.Image) -> Image.Image:
    """`image`, loaded, turned as its EXIF orientation says."""
    image.load()  # Pillow turns a TIFF itself while loading, and then takes the tag away
    turn = _TURNS.get(orientation_of(image))
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """`image` as 8-bit RGB: alpha on white; 16-bit by its full range; other numbers as `eight_bit` says."""
    image.load()
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(eight_bit(np.asarray(image))).convert("RGB")
    if image.mode in ("CMYK", "LAB"):
        return _through_profile(image)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, colours).convert("RGB")
    return image.convert("RGB")


def eight_bit(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:  # Any: integers and floats of several widths
    """`(height, width)` numbers as uint8.

    Integers within 0 to 65535 by the full 16-bit range (65535 becomes 255), because Pillow widens 16-bit images to 32
    bits without saying so; floats within 0 to 1 by that range; all others from their least to their greatest
    finite value. NaN and minus infinity become 0, infinity 255; an image of one value outside these ranges is black.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if np.issubdtype(values.dtype, np.integer) and low >= 0 and high <= 0xFFFF:
        return ((values.astype(np.uint32) * 255 + 0x7FFF) // 0xFFFF).astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating) and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    span = high - low
    if span == 0:
        return np.zeros(values.shape, np.uint8)
    limited = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    return np.rint((limited - low) * (255 / span)).clip(0, 255).astype(np.uint8)


def _through_profile(image: Image.Image) -> Image.Image:
    """A CMYK or Lab image in sRGB, by its embedded profile; CMYK without a sound one by the complement of its inks."""
    try:
        if image.mode == "LAB":
            profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            embedded = image.info.get("icc_profile")
            if not embedded or embedded[16:20] != b"CMYK":
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
