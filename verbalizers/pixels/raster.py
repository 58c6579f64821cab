"""A decoded image as arrays small enough to reckon with: colours, colour names, edges and fine detail per pixel.

Images are shrunk by pixel count and not by their longer side, so that a panorama keeps enough rows to speak of.
"""

import math
from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from ostensive.records import Box
from verbalizers.pixels.colour import Lab, Names, name_pixels, srgb_to_lab

FINE_WINDOW_PX = 5  # what differs from the mean of this window is fine detail


@dataclass(frozen=True, slots=True)
class Raster:
    """An image shrunk for reckoning; every array is `(height, width)`, `lab` and `rgb` with a last axis of 3."""

    rgb: NDArray[np.uint8]
    lab: Lab
    names: Names  # indexes into `colour.BASE_COLOURS`
    slope_x: NDArray[np.float32]  # change of L* for each pixel to the right
    slope_y: NDArray[np.float32]  # and downwards
    edges: NDArray[np.float32]  # length of that slope
    fine: NDArray[np.float32]  # squared difference of L* from the mean of its window

    @property
    def height(self) -> int:
        return int(self.names.shape[0])

    @property
    def width(self) -> int:
        return int(self.names.shape[1])

    def part(self, box: Box) -> tuple[slice, slice]:
        """Rows and columns of `box`, to the nearest pixel; at least one of each."""
        left, top = min(round(box.x1 * self.width), self.width - 1), min(round(box.y1 * self.height), self.height - 1)
        right, bottom = max(round(box.x2 * self.width), left + 1), max(round(box.y2 * self.height), top + 1)
        return slice(top, bottom), slice(left, right)


def shrink(picture: PIL.Image.Image, side_px: int) -> PIL.Image.Image:
    """`picture`, or where it has more than `side_px` squared pixels, a copy of about as many; never fewer than one."""
    scale = side_px / math.sqrt(picture.width * picture.height)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    # Averaging over boxes keeps shares of colours; `reducing_gap` makes it fast for large images.
    return picture.resize(size, PIL.Image.Resampling.BOX, reducing_gap=3.0)


def make_raster(picture: PIL.Image.Image, side_px: int) -> Raster:
    """The arrays of an RGB picture, shrunk to about `side_px` squared pixels."""
    from scipy.ndimage import uniform_filter

    rgb = np.asarray(shrink(picture, side_px), dtype=np.uint8)
    lab = srgb_to_lab(rgb)
    lightness = lab[..., 0]
    slope_x, slope_y = _slope(lightness, 1), _slope(lightness, 0)
    local: NDArray[np.float32] = uniform_filter(lightness, FINE_WINDOW_PX, mode="nearest")
    return Raster(
        rgb=rgb,
        lab=lab,
        names=name_pixels(rgb),
        slope_x=slope_x,
        slope_y=slope_y,
        edges=np.hypot(slope_x, slope_y),
        fine=np.square(lightness - local),
    )


def _slope(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    if values.shape[axis] < 2:
        return np.zeros_like(values)
    return np.asarray(np.gradient(values, axis=axis), dtype=np.float32)
