"""Images in a shape that every model's processor takes.

Processors stumble over extremes: 1 x 1 pixels are taken for channels, Qwen-VL refuses sides of more than 200 to 1,
others scale a thin strip to a height of zero. Bringing images into bounds here, once, keeps one odd image from costing
its batch; a check in each processor's words was given up, for there are as many bounds as processors.
"""

import PIL.Image

MIN_SIDE_PX = 28
"""Qwen-VL's smallest side; others take less."""
MAX_SIDE_PX = 4096
"""With `MIN_SIDE_PX`, sides are at most 147 to 1. Processors scale far below this anyway."""
_PADDING = (127, 127, 127)  # mid-grey: what most processors' normalisation takes to about 0


def presentable(image: PIL.Image.Image) -> PIL.Image.Image:
    """`image` in RGB with both sides of 28 to 4,096 px; one that is within these bounds already comes back as it is.

    Long sides are scaled down and small images up, in proportion; only what is then still thinner than 28 px is put in
    the middle of a grey strip.
    """
    image = image if image.mode == "RGB" else image.convert("RGB")
    long_px, short_px = max(image.size), min(image.size)
    if short_px >= MIN_SIDE_PX and long_px <= MAX_SIDE_PX:
        return image
    factor = min(MAX_SIDE_PX / long_px, max(1.0, MIN_SIDE_PX / long_px))
    scaled_px = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    if scaled_px != image.size:
        image = image.resize(scaled_px, PIL.Image.Resampling.BICUBIC)
    if min(image.size) >= MIN_SIDE_PX:
        return image
    canvas_px = (max(image.width, MIN_SIDE_PX), max(image.height, MIN_SIDE_PX))
    canvas = PIL.Image.new("RGB", canvas_px, _PADDING)
    canvas.paste(image, ((canvas_px[0] - image.width + 1) // 2, (canvas_px[1] - image.height + 1) // 2))
    return canvas


def shrunk(image: PIL.Image.Image, max_side_px: int) -> PIL.Image.Image:
    """`image` with a longest side of at most `max_side_px`, in proportion; a smaller one comes back as it is."""
    factor = max_side_px / max(image.size)
    if factor >= 1:
        return image
    size_px = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size_px, PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)
