"""Where things are: places, sizes and shapes in words, the nine cells of a scene, symmetry.

Places are ninths of the view, because people say "top left" and not coordinates. A box is placed by its middle, unless
it spans the view, when the middle says little.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ostensive.records import Box

# Row by row, as the cells of a scene are.
PLACES = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")
ROW_NAMES = ("top", "middle", "bottom")
COLUMN_NAMES = ("left", "middle", "right")

_SIZES = ((0.01, "tiny"), (0.05, "small"), (0.15, "medium-sized"), (0.4, "large"))
_SPAN = 0.8  # a box that covers this much of a side spans it
BUSY_SHARE, PLAIN_SHARE = 1.8 / 9, 0.5 / 9  # of all detail, for the busiest and the plainest of nine cells
_MIRROR_GRID = 24  # details smaller than a side over this do not matter to the likeness of two halves


def thirds(length: int) -> tuple[slice, slice, slice]:
    """Three slices over `length` pixels, none empty; they overlap where there are fewer than three pixels."""
    bounds = [round(length * part / 3) for part in range(4)]
    first, second, third = (
        slice(min(start, length - 1), max(stop, min(start, length - 1) + 1))
        for start, stop in itertools.pairwise(bounds)
    )
    return first, second, third


def place_of(x: float, y: float) -> str:
    """The ninth of the view that a point (normalised to 0-1) lies in."""
    return PLACES[3 * min(int(3 * y), 2) + min(int(3 * x), 2)]


def place_phrase(box: Box) -> str:
    """Where a box is: `at the top left`, `in the centre`, `across the bottom`,
    `across the top and middle`, `along the left side`, ..."""
    wide, high = box.x2 - box.x1 >= _SPAN, box.y2 - box.y1 >= _SPAN
    x, y = box.center
    column, row = min(int(3 * x), 2), min(int(3 * y), 2)
    if wide and high:
        return "over the whole view" if box.area == 1 else "over nearly the whole view"
    if wide:
        rows = [name for part, name in enumerate(ROW_NAMES) if _covers(box.y1, box.y2, part)]
        return f"across the {' and '.join(rows) if len(rows) == 2 else ROW_NAMES[row]}"
    if high:
        columns = [name for part, name in enumerate(COLUMN_NAMES) if _covers(box.x1, box.x2, part)]
        if len(columns) == 2:
            return f"down the {' and '.join(columns)}"
        return "down the middle" if column == 1 else f"along the {COLUMN_NAMES[column]} side"
    return at_place(place_of(x, y))


def at_place(place: str) -> str:
    """One of `PLACES` with its preposition: `at the top left`, `on the right`, `in the centre`."""
    return f"{'in' if place == 'centre' else 'on' if place in ('left', 'right') else 'at'} the {place}"


def _covers(start: float, stop: float, part: int) -> bool:
    """Whether a stretch of the view covers at least half of a third of it."""
    return min(stop, (part + 1) / 3) - max(start, part / 3) >= 1 / 6


def size_word(area: float) -> str:
    """By the share of the view: tiny (< 1 %), small (< 5 %), medium-sized (< 15 %), large (< 40 %), very large."""
    return next((word for limit, word in _SIZES if area < limit), "very large")


def shape_word(width_px: float, height_px: float) -> str | None:
    """Wide or tall from 2 to 1, very wide or very tall from 5 to 1; None for what is about as wide as tall."""
    long, short, word = (width_px, height_px, "wide") if width_px >= height_px else (height_px, width_px, "tall")
    if long < 2 * short:
        return None
    return f"very {word}" if long >= 5 * short else word


def format_phrase(width_px: int, height_px: int) -> str:
    """How the view is proportioned, as it follows `the view is`; equal within 3 percent counts as square."""
    if abs(width_px - height_px) <= 0.03 * max(width_px, height_px):
        return "about as wide as it is tall"
    more = "much " if max(width_px, height_px) >= 2 * min(width_px, height_px) else ""
    return f"{more}wider than it is tall" if width_px > height_px else f"{more}taller than it is wide"


def busiest(detail_shares: Sequence[float]) -> str | None:
    """The cell with most of the detail, where it has at least 1.8 times its part; None where there is none such."""
    top = max(range(9), key=lambda cell: detail_shares[cell])
    return PLACES[top] if detail_shares[top] >= BUSY_SHARE else None


def plainest(detail_shares: Sequence[float]) -> str | None:
    """The cell with least detail, where it has at most half its part and no other comes near; else None."""
    least, next_least = sorted(range(9), key=lambda cell: detail_shares[cell])[:2]
    if detail_shares[least] > PLAIN_SHARE or detail_shares[next_least] < 1.2 * detail_shares[least] + 0.005:
        return None
    return PLACES[least]


def mirror_likeness(lightness: NDArray[np.float32]) -> float | None:
    """Correlation (-1 to 1) of the lightness with its mirror image, left for right, after smoothing.

    None where the scene is too even or too narrow to tell.
    """
    from scipy.ndimage import uniform_filter

    # Odd windows: even ones, and grids of unequal cells, are not symmetric themselves.
    smooth = uniform_filter(
        lightness, [2 * (side // _MIRROR_GRID // 2) + 1 for side in lightness.shape], mode="nearest"
    )
    if smooth.shape[1] < 2 or float(smooth.std()) < 4:
        return None
    centred = smooth - smooth.mean()
    return float((centred * centred[:, ::-1]).mean() / np.square(centred).mean())
