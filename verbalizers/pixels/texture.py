"""What the surface of a part of an image is like: even, shaded, lined, finely or coarsely patterned.

Only what a few sums over a box can tell is said; names of materials ("woven", "fur") pixels do not know.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostensive.records import Box
from verbalizers.pixels.raster import FINE_WINDOW_PX, Raster

EVEN_BELOW = 3.0  # standard deviation of L* that hardly shows
SHADED_FROM = 0.85  # share of the variance that a plane explains
LINED_FROM, MIN_LINED_EDGES = 0.55, 3.0  # how alike the directions of the slopes are; and their mean
FINE_FROM, COARSE_BELOW = 0.35, 0.15  # share of the variance that lies within windows of five pixels
MIN_COARSE_SPREAD = 14.0
MIN_PATTERN_PX = 3 * FINE_WINDOW_PX  # in a smaller box there is no telling fine from coarse


@dataclass(frozen=True, slots=True)
class Texture:
    """Figures of a part of an image, of lightness L*."""

    spread: float  # standard deviation
    fine_share: float | None  # share of the variance within small windows; None where the box is hardly larger
    ramp_x: float  # share of the variance that a slope to the right explains, negative where it darkens
    ramp_y: float  # the same downwards
    mean_edge: float  # mean slope per pixel
    alike: float  # 0 slopes in all directions, 1 all in one
    line_angle: float  # degrees 0-180 of the lines across which the slopes run: 0 horizontal, 90 vertical


def measure_texture(raster: Raster, box: Box) -> Texture:
    """The texture within `box`."""
    rows, columns = raster.part(box)
    lightness = raster.lab[rows, columns, 0]
    variance = float(lightness.var(dtype=np.float64))
    across, down = _ramp(lightness.mean(axis=0), variance), _ramp(lightness.mean(axis=1), variance)
    # Slopes and fine detail look at neighbours: those at the rim of the box would see what is outside of it.
    inner = _inset(rows, 1), _inset(columns, 1)
    slope_x, slope_y = raster.slope_x[inner], raster.slope_y[inner]
    xx, yy = float(np.square(slope_x).mean()), float(np.square(slope_y).mean())
    xy = float((slope_x * slope_y).mean())
    alike = math.hypot(xx - yy, 2 * xy) / (xx + yy) if xx + yy > 0 else 0.0
    # The slopes run at half this angle, lines at a right angle to them.
    slope_angle = math.degrees(0.5 * math.atan2(2 * xy, xx - yy))
    return Texture(
        spread=math.sqrt(variance),
        fine_share=_fine_share(raster, rows, columns, variance),
        ramp_x=across,
        ramp_y=down,
        mean_edge=float(raster.edges[inner].mean()),
        alike=alike,
        line_angle=(slope_angle + 90) % 180,
    )


def _inset(part: slice, by: int) -> slice:
    """`part` less `by` pixels at both ends, as far as something is left."""
    by = min(by, (part.stop - part.start - 1) // 2)
    return slice(part.start + by, part.stop - by)


def _fine_share(raster: Raster, rows: slice, columns: slice, variance: float) -> float | None:
    if min(rows.stop - rows.start, columns.stop - columns.start) < MIN_PATTERN_PX:
        return None
    if variance <= 0:
        return 0.0
    by = FINE_WINDOW_PX // 2
    return float(raster.fine[_inset(rows, by), _inset(columns, by)].mean()) / variance


def _ramp(profile: NDArray[np.float32], variance: float) -> float:
    """Signed share of `variance` that a straight line through the profile explains."""
    if len(profile) < 4 or variance <= 0:
        return 0.0
    steps = np.arange(len(profile)) - (len(profile) - 1) / 2
    slope = float((steps * profile).sum() / np.square(steps).sum())
    return math.copysign(min(slope * slope * float(np.square(steps).mean()) / variance, 1.0), slope)


def texture_phrase(texture: Texture) -> str | None:
    """What is said of a texture, to follow `with`; None where nothing stands out."""
    if texture.spread < EVEN_BELOW:
        return "an even surface"
    if abs(texture.ramp_x) + abs(texture.ramp_y) >= SHADED_FROM:
        return f"smooth shading that grows lighter towards the {_lighter_side(texture)}"
    if texture.alike >= LINED_FROM and texture.mean_edge >= MIN_LINED_EDGES:
        return f"mostly {_line_word(texture.line_angle)} lines"
    if texture.fine_share is None:
        return None
    if texture.fine_share >= FINE_FROM:
        return "fine detail"
    if texture.fine_share < COARSE_BELOW and texture.spread >= MIN_COARSE_SPREAD:
        return "broad light and dark patches"
    return None


def _lighter_side(texture: Texture) -> str:
    if abs(texture.ramp_x) >= abs(texture.ramp_y):
        return "right" if texture.ramp_x > 0 else "left"
    return "bottom" if texture.ramp_y > 0 else "top"


def _line_word(angle: float) -> str:
    if angle < 22.5 or angle >= 157.5:
        return "horizontal"
    return "vertical" if 67.5 <= angle < 112.5 else "slanting"
