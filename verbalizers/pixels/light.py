"""How bright, how contrasty, how sharp: three numbers and the words for them.

Brightness and contrast are read from CIELAB lightness L* (0 black, 100 white), which is close to what the eye says;
mean RGB calls a saturated blue half bright. The limits of the words are our own.
"""

import numpy as np
from numpy.typing import NDArray

_BRIGHTNESS = ((20.0, "very dark"), (40.0, "dark"), (65.0, "moderately bright"), (85.0, "bright"))
_CONTRAST = ((30.0, "low"), (70.0, "moderate"))
_BLUR_WINDOW_PX = 9
MIN_EDGE = 0.6  # mean slope of L* under which there are no edges to call sharp or blurred
SHARP_BELOW, BLURRED_ABOVE = 0.4, 0.6


def brightness(lightness: NDArray[np.float32]) -> float:
    """Mean lightness, 0-100."""
    return float(lightness.mean())


def brightness_word(value: float) -> str:
    """Very dark (< 20), dark (< 40), moderately bright (< 65), bright (< 85) or very bright."""
    return next((word for limit, word in _BRIGHTNESS if value < limit), "very bright")


def contrast(lightness: NDArray[np.float32]) -> float:
    """Difference between the 95th and the 5th percentile of lightness, 0-100: a few stray pixels do not count."""
    low, high = np.percentile(lightness, (5, 95))
    return float(high - low)


def contrast_word(value: float) -> str:
    """Low (< 30), moderate (< 70) or high."""
    return next((word for limit, word in _CONTRAST if value < limit), "high")


def blur_amount(grey: NDArray[np.uint8]) -> float | None:
    """Between 0 (sharp) and 1 (blurred), of `(height, width)` grey levels; None where there are no edges to judge by.

    The share of the slopes that outlives another blur, after Crete et al., "The blur effect" (2007): blurring a sharp
    edge changes much, blurring a blurred one little. The worse of the two directions is given, as there.
    """
    from scipy.ndimage import uniform_filter1d

    values = grey.astype(np.float32) * np.float32(100 / 255)
    if min(values.shape) < _BLUR_WINDOW_PX:
        return None
    amounts, slopes = [], []
    for axis in (0, 1):
        before = np.abs(np.diff(values, axis=axis))
        after = np.abs(np.diff(uniform_filter1d(values, _BLUR_WINDOW_PX, axis=axis, mode="nearest"), axis=axis))
        total = float(before.sum(dtype=np.float64))
        lost = float(np.maximum(before - after, 0).sum(dtype=np.float64))
        slopes.append(total / before.size)
        if slopes[-1] >= MIN_EDGE / 2:
            amounts.append((total - lost) / total)
    return max(amounts) if amounts and sum(slopes) >= MIN_EDGE else None


def sharpness_word(blur: float | None) -> str | None:
    """Sharp (< 0.4), slightly soft, blurred (> 0.6); None where it cannot be judged."""
    if blur is None:
        return None
    if blur < SHARP_BELOW:
        return "sharp"
    return "blurred" if blur > BLURRED_ABOVE else "slightly soft"
