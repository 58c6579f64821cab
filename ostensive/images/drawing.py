"""Regions drawn on an image: outline, light fill and number, the same for verbalizers, critics and students.

The tie between a picture and `[k]` in a text is the colour and the digits, and both follow from k alone: `[3]` looks
the same on every image, whatever else is drawn. Only two things are taken from LSKD's published drawing (its
repository, not its paper): an outline of 2 pixels and a fill of alpha 0x20. Of its five
fills two are repeats and all further ones are one grey, and it writes no digits.

The palette was searched for: 20 colours, each with some chroma, whose least CIEDE2000 distance is 16.0 to the normal
eye, and 10.4, 10.5 and 11.2 under protanopia, deuteranopia and tritanopia (Machado et al. 2009, severity 1.0). The
order puts far colours first: the first eight keep 14.9 under all of them, and more to the normal eye.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from ostensive.images.tag_places import PixelBox, TagSize, place_tags
from ostensive.records import Region


class RGB(NamedTuple):
    """A colour in sRGB, 0-255 each; a tuple because Pillow wants one."""

    red: int
    green: int
    blue: int


PALETTE = (
    RGB(255, 188, 255),
    RGB(44, 68, 0),
    RGB(188, 255, 0),
    RGB(0, 0, 255),
    RGB(188, 116, 92),
    RGB(0, 116, 116),
    RGB(20, 116, 255),
    RGB(116, 20, 68),
    RGB(188, 164, 0),
    RGB(116, 116, 0),
    RGB(212, 20, 116),
    RGB(255, 234, 164),
    RGB(44, 44, 116),
    RGB(234, 140, 164),
    RGB(164, 116, 164),
    RGB(20, 164, 234),
    RGB(164, 188, 116),
    RGB(116, 255, 234),
    RGB(140, 68, 164),
    RGB(164, 0, 44),
)
# Lengths drawn and left out in turn, in widths of the outline: solid, dashed, dotted, dash-dot, long dashes.
PATTERNS: tuple[tuple[int, ...], ...] = ((), (4, 3), (1, 2), (5, 2, 1, 2), (10, 4))
BLACK, WHITE = RGB(0, 0, 0), RGB(255, 255, 255)
_MIN_LEGIBLE_PX = 8  # of a number's font; an image with no room for it gets no number


@dataclass(frozen=True, slots=True)
class DrawingStyle:
    """How regions are drawn. Widths and sizes grow with the shorter side of the image, from a least number of pixels.

    The least outline and the fill are those of LSKD's repository; the rest are our own.
    """

    min_outline_px: int = 2
    outline_share: float = 0.006  # of the shorter side
    fill_alpha: int = 0x20  # 0-255
    numbers: bool = True
    min_number_px: int = 15  # of the font: digits 11 pixels high
    number_share: float = 0.045  # of the shorter side


DEFAULT_STYLE = DrawingStyle()


def region_colour(number: int) -> RGB:
    """The colour of region `[number]`, wherever it is drawn; raises `ValueError` below 0.

    Beyond the palette colours come again, with another pattern of outline: see `region_pattern`.
    """
    if number < 0:
        raise ValueError(f"regions are numbered from 0, not {number}")
    return PALETTE[number % len(PALETTE)]


def region_pattern(number: int) -> tuple[int, ...]:
    """The outline of region `[number]`: lengths drawn and left out, in outline widths; () for a solid one.

    The first 20 are solid, the next 20 dashed, and so on; colour and pattern together differ for the first 100.
    """
    return PATTERNS[number // len(PALETTE) % len(PATTERNS)]


@cache
def contrasting(colour: RGB) -> RGB:
    """Black or white, whichever stands out more from `colour` (contrast ratio of WCAG 2.1)."""
    return max((BLACK, WHITE), key=lambda other: contrast_ratio(colour, other))


def contrast_ratio(one: RGB, two: RGB) -> float:
    """1 (alike) to 21 (black on white), as WCAG 2.1 defines it."""
    darker, lighter = sorted((_luminance(one), _luminance(two)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: RGB) -> float:
    levels = [channel / 255 for channel in colour]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def draw_regions(
    image: PIL.Image.Image, regions: Sequence[Region], *, style: DrawingStyle = DEFAULT_STYLE
) -> PIL.Image.Image:
    """A new RGB image with `regions` on it; `image` is not changed, and the order of `regions` does not matter.

    Outlines lie around their boxes and numbers beside them, so that no region, however small, is covered. An image
    whose shorter side is below 16 pixels has no room for digits and gets none. Raises `ValueError` where two regions
    have one number.
    """
    numbers = [region.number for region in regions]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"each region has a number of its own, but these were given: {sorted(numbers)}")
    canvas = image.convert("RGB") if image.mode != "RGB" else image.copy()
    boxes = {region.number: PixelBox(*region.box.pixels(*canvas.size)) for region in regions}
    # Small ones last: they would vanish under the fill and the outline of a large one.
    order = sorted(boxes, key=lambda number: (-boxes[number].area, number))
    for number in order:
        _fill(canvas, boxes[number], region_colour(number), style.fill_alpha)
    pen = PIL.ImageDraw.Draw(canvas)
    thickness = max(style.min_outline_px, round(style.outline_share * min(canvas.size)))
    for number in order:
        _outline(pen, boxes[number], number, thickness, PixelBox(0, 0, *canvas.size))
    if style.numbers:
        _write_numbers(pen, boxes, _number_px(style, min(canvas.size)), canvas.size)
    return canvas


def _fill(canvas: PIL.Image.Image, box: PixelBox, colour: RGB, alpha: int) -> None:
    below = canvas.crop(box.corners)
    canvas.paste(PIL.Image.blend(below, PIL.Image.new("RGB", below.size, colour), alpha / 255), box.corners)


def _outline(pen: PIL.ImageDraw.ImageDraw, box: PixelBox, number: int, thickness: int, image: PixelBox) -> None:
    """The line in the region's colour with a thin contrasting one around it, seen on a ground of either colour."""
    colour, pattern = region_colour(number), [length * thickness for length in region_pattern(number)]
    for width, ink in ((thickness + 1, contrasting(colour)), (thickness, colour)):
        for part in _frame(box, width, pattern, image):
            if part.area:
                pen.rectangle((part.left, part.top, part.right - 1, part.bottom - 1), fill=ink)


def _frame(box: PixelBox, thickness: int, pattern: Sequence[int], image: PixelBox) -> Iterator[PixelBox]:
    """The parts of a frame around `box`; where the image ends there, the frame is moved in, unless the box is small."""
    roomy_x = box.right - box.left > 4 * thickness
    roomy_y = box.bottom - box.top > 4 * thickness
    left = max(box.left - thickness, 0) if roomy_x else box.left - thickness
    top = max(box.top - thickness, 0) if roomy_y else box.top - thickness
    right = min(box.right + thickness, image.right) if roomy_x else box.right + thickness
    bottom = min(box.bottom + thickness, image.bottom) if roomy_y else box.bottom + thickness
    for start, end in _dashes(left, right, pattern):
        yield PixelBox(start, top, end, top + thickness)
        yield PixelBox(start, bottom - thickness, end, bottom)
    for start, end in _dashes(top, bottom, pattern):
        yield PixelBox(left, start, left + thickness, end)
        yield PixelBox(right - thickness, start, right, end)


def _dashes(start: int, end: int, pattern: Sequence[int]) -> Iterator[tuple[int, int]]:
    if not pattern:
        yield start, end
        return
    turn = 0
    while start < end:
        length = pattern[turn % len(pattern)]
        if turn % 2 == 0:
            yield start, min(start + length, end)
        start, turn = start + length, turn + 1


def _number_px(style: DrawingStyle, shorter_side_px: int) -> int:
    wanted = max(style.min_number_px, round(style.number_share * shorter_side_px))
    return min(wanted, shorter_side_px // 2)


@cache
def _font(size_px: int) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    """Pillow's own font: the fonts of a system differ from machine to machine."""
    return PIL.ImageFont.load_default(size_px)


@cache
def _digits_span(size_px: int) -> tuple[float, float]:
    """The upper and lower edge of all digits."""
    _, top, _, bottom = _font(size_px).getbbox("0123456789")
    return top, bottom


def _write_numbers(
    pen: PIL.ImageDraw.ImageDraw, boxes: dict[int, PixelBox], font_px: int, image_size: tuple[int, int]
) -> None:
    if font_px < _MIN_LEGIBLE_PX:
        return
    font, margin = _font(font_px), max(2, font_px // 7)
    digits_top, digits_bottom = _digits_span(font_px)
    height = round(digits_bottom - digits_top) + 2 * margin
    sizes = [TagSize(round(font.getlength(str(number))) + 2 * margin, height) for number in boxes]
    width_px, height_px = image_size
    if any(size.width_px > width_px or size.height_px > height_px for size in sizes):
        return
    for number, tag in zip(boxes, place_tags(list(boxes.values()), sizes, width_px, height_px), strict=True):
        colour = region_colour(number)
        ink = contrasting(colour)
        pen.rectangle((tag.left, tag.top, tag.right - 1, tag.bottom - 1), fill=colour, outline=ink)
        pen.text((tag.left + margin, tag.top + margin - digits_top), str(number), font=font, fill=ink)
