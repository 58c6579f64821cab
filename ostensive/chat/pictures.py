"""What a picture is sent as, whoever sends it: size, format and quality, and where boxes lie in what was sent.

Served models are sent encoded bytes within a budget of pixels; models on this machine get the pixels as they are, with
no lossy step between. Both are brought into bounds first: processors stumble over extremes (1 x 1 pixels are taken for
channels, Qwen-VL refuses sides of more than 200 to 1), and one odd image is not to cost its batch.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Literal

import PIL.Image
from pydantic import Field

from ostensive.records import Box
from ostensive.settings import Settings

MIN_SIDE_PX = 28
"""Qwen-VL's smallest side; others take less."""
MAX_SIDE_PX = 4096
"""With `MIN_SIDE_PX`, sides are at most 147 to 1. Processors scale far below this anyway."""
_PADDING = (127, 127, 127)  # mid-grey: what most processors' normalisation takes to about 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image lies in a picture that was made of it, all in whole pixels."""

    picture_px: tuple[int, int]  # width and height, strips beside the image included
    offset_px: tuple[int, int]
    image_px: tuple[int, int]


def presentable_placement(width: int, height: int) -> Placement:
    """What `presentable` does to an image of this size."""
    image_px = (width, height)
    if min(image_px) < MIN_SIDE_PX or max(image_px) > MAX_SIDE_PX:
        factor = min(MAX_SIDE_PX / max(image_px), max(1.0, MIN_SIDE_PX / max(image_px)))
        image_px = (max(1, round(width * factor)), max(1, round(height * factor)))
    canvas_px = (max(image_px[0], MIN_SIDE_PX), max(image_px[1], MIN_SIDE_PX))
    offset_px = ((canvas_px[0] - image_px[0] + 1) // 2, (canvas_px[1] - image_px[1] + 1) // 2)
    return Placement(canvas_px, offset_px, image_px)


def presentable(image: PIL.Image.Image) -> PIL.Image.Image:
    """`image` in RGB with both sides of 28 to 4,096 px; one that is within these bounds already comes back as it is.

    Long sides are scaled down and small images up, in proportion; only what is then still thinner than 28 px is put in
    the middle of a grey strip.
    """
    image = image if image.mode == "RGB" else image.convert("RGB")
    placement = presentable_placement(*image.size)
    if placement.image_px != image.size:
        image = image.resize(placement.image_px, PIL.Image.Resampling.BICUBIC)
    if placement.picture_px == image.size:
        return image
    canvas = PIL.Image.new("RGB", placement.picture_px, _PADDING)
    canvas.paste(image, placement.offset_px)
    return canvas


def shrunk_px(size_px: tuple[int, int], max_side_px: int) -> tuple[int, int]:
    """`size_px` with a longest side of at most `max_side_px`, in proportion."""
    factor = max_side_px / max(size_px)
    if factor >= 1:
        return size_px
    return max(1, round(size_px[0] * factor)), max(1, round(size_px[1] * factor))


def shrunk(image: PIL.Image.Image, max_side_px: int) -> PIL.Image.Image:
    """`image` with a longest side of at most `max_side_px`, in proportion; a smaller one comes back as it is."""
    size_px = shrunk_px(image.size, max_side_px)
    if size_px == image.size:
        return image
    return image.resize(size_px, PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """A picture as bytes of a file of the type `mime`, as it is sent."""

    data: bytes
    mime: str
    size_px: tuple[int, int] | None = None  # width and height; None where nobody has looked

    @property
    def reference(self) -> str:
        """What stands for it in a journal: SHA-256, MIME type, size and length instead of its bytes."""
        size = "" if self.size_px is None else f"{self.size_px[0]}x{self.size_px[1]};"
        return f"sha256:{hashlib.sha256(self.data).hexdigest()};{self.mime};{size}{len(self.data)} bytes"


Picture = PIL.Image.Image | EncodedImage


def picture_reference(picture: Picture) -> str:
    """What stands for a picture in a journal; pixels are known by what they are, whatever file they came from."""
    if isinstance(picture, EncodedImage):
        return picture.reference
    digest = hashlib.sha256(f"{picture.mode} {picture.width}x{picture.height} ".encode())
    digest.update(picture.tobytes())
    return f"sha256:{digest.hexdigest()};pixels;{picture.width}x{picture.height};{picture.mode}"


class SentImageSettings(Settings):
    """How images are sent to a served model: in RGB, upright, without metadata."""

    max_side_px: int = Field(default=1024, ge=64, le=4096)
    """Longest side, in pixels: what an image costs grows with it."""
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    """The type of file; `png` loses nothing and is several times as large."""
    quality: int = Field(default=90, ge=1, le=100)
    """Less makes smaller requests; what an image is counted as stays."""

    def encode(self, picture: Picture) -> EncodedImage:
        """`picture` as it is sent; bytes stay as they are. Raises what Pillow raises for one that cannot be read."""
        if isinstance(picture, EncodedImage):
            return picture
        sink = io.BytesIO()
        sent = shrunk(presentable(picture), self.max_side_px)
        sent.save(sink, self.format, quality=self.quality)
        return EncodedImage(sink.getvalue(), f"image/{self.format}", sent.size)

    def placement(self, width: int, height: int) -> Placement:
        """Where an image of this size lies in what is sent of it."""
        shown = presentable_placement(width, height)
        picture_px = shrunk_px(shown.picture_px, self.max_side_px)
        (x, y), (wide, high) = (picture_px[k] / shown.picture_px[k] for k in (0, 1)), shown.image_px
        left, top = round(shown.offset_px[0] * x), round(shown.offset_px[1] * y)
        return Placement(picture_px, (left, top), (max(1, round(wide * x)), max(1, round(high * y))))


DEFAULT_SENT_IMAGES = SentImageSettings()


def sent_corners_px(box: Box, placement: Placement) -> tuple[float, float, float, float]:
    """The corners of a box on the image, in pixels of the picture that was sent."""
    (left, top), (width, height) = placement.offset_px, placement.image_px
    return left + box.x1 * width, top + box.y1 * height, left + box.x2 * width, top + box.y2 * height


def box_of_sent(corners_px: tuple[float, float, float, float], placement: Placement) -> Box:
    """The box on the image that a model found on the sent picture; what lies beside the image is cut off.

    Raises `ValueError` where nothing is left.
    """
    (left, top), (width, height) = placement.offset_px, placement.image_px
    x1, x2 = (min(max((x - left) / width, 0.0), 1.0) for x in corners_px[::2])
    y1, y2 = (min(max((y - top) / height, 0.0), 1.0) for y in corners_px[1::2])
    return Box(x1, y1, x2, y2)
