"""Images in a shape that every model's processor takes.

Processors stumble over extremes: 1 x 1 pixels are taken for channels, Qwen-VL refuses sides of more than 200 to 1,
others scale a thin strip to a height of zero. Bringing images into bounds here, once, keeps one odd image from costing
its batch.
"""

from dataclasses import dataclass

import PIL.Image

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
