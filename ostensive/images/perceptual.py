"""What an image looks like in a few hundred bytes, so that near copies of it are found among millions.

The hash is the perceptual hash of Zauner (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010) as
the package `imagehash` has it: the signs of the lowest frequencies of the picture's cosine transform, beside their
median. It is worked out here because the package gives it of a whole picture only, and says nothing of how much there
is to see. An image is hashed as a whole; in three smaller cuts of its middle, for a copy that lost its edges is like
one of these; within a border of one colour, for a copy may have got one; and mirrored. The whole has its border on: a
plain ground is one too, and where it ends is a matter of a pixel. Of small pictures with few shapes the hash says
little, so that a thumbnail of each cut is kept too, and looked at where hashes agree.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

VERSION: Final = 1  # raise it when the same pixels would be hashed otherwise than before
_SHARES: Final = (1.0, 0.95, 0.9, 0.8)  # of both sides that are kept, about the middle
CUTS: Final = len(_SHARES) + 1
"""The parts of an image that are looked at: the whole first, and last what is within a border."""
HASHES: Final = CUTS + 1
"""Those of the cuts, and that of the whole mirrored, left to right."""
THUMBNAIL_PX: Final = 6
THUMBNAIL_BYTES: Final = THUMBNAIL_PX * THUMBNAIL_PX * 3
_WORKING_PX: Final = 256  # the longest side of what is hashed
_HASHED_PX, _FREQUENCIES = 32, 8
_BORDER_LEVELS: Final = 8  # of 255: by how much the pixels of a border may differ
_MAX_BORDER: Final = 0.5  # share of a side that is taken for border at most, both together
_MIN_CONTRAST: Final = 4.0  # of 255, root mean square over 32 x 32 pixels: below, there is nothing to compare
_STEPS: Final = 32  # of a thumbnail's values, in one root mean square

Hashes = npt.NDArray[np.uint64]
Thumbnails = npt.NDArray[np.int8]
_Pixels = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Looks:
    """`hashes (HASHES,) uint64` and `thumbnails (CUTS, THUMBNAIL_BYTES) int8` of one image."""

    hashes: Hashes
    thumbnails: Thumbnails


def looks_of(picture: Image.Image) -> Looks | None:
    """What an upright RGB picture looks like; None where it is of one colour, so that anything would be like it.

    Brightness, contrast and size hardly count, colours do.
    """
    small = picture.convert("RGB")
    small.thumbnail((_WORKING_PX, _WORKING_PX), Image.Resampling.BOX, reducing_gap=None)
    seen = np.asarray(small.resize((_HASHED_PX, _HASHED_PX), Image.Resampling.BOX), dtype=np.float64)
    if float(np.sqrt(((seen - seen.mean(axis=(0, 1))) ** 2).mean())) < _MIN_CONTRAST:
        return None
    cuts = [_middle(small.size, share) for share in _SHARES]
    cuts.append(without_border(np.asarray(small, dtype=np.int16)))
    grey = small.convert("L")
    frequencies = [_frequencies(grey, cut) for cut in cuts]
    frequencies.append(frequencies[0] * _MIRROR)
    return Looks(
        np.array([_hash(one) for one in frequencies], dtype=np.uint64),
        np.array([_thumbnail(small, cut) for cut in cuts], dtype=np.int8),
    )


_MIRROR: Final = np.where(np.arange(_FREQUENCIES) % 2, -1.0, 1.0)
"""What mirroring does to each column of frequencies: waves that are odd about the middle turn over."""


def without_border(pixels: npt.NDArray[np.int16]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is within a border of one colour, of `pixels (height, width, 3)`, 0-255.

    Each edge is followed inwards as long as its rows are of the colour of its corner. At least half of each side is
    left, whatever there is.
    """
    height, width, _ = pixels.shape
    top, left = _edge(pixels, height), _edge(pixels.swapaxes(0, 1), width)
    bottom = height - _edge(pixels[::-1, ::-1], height)
    right = width - _edge(pixels[::-1, ::-1].swapaxes(0, 1), width)
    return left, top, right, bottom


def _edge(lines: npt.NDArray[np.int16], count: int) -> int:
    """How many of the first lines are of the colour that the first pixel has."""
    most = int(count * _MAX_BORDER / 2)
    is_other = (np.abs(lines[:most] - lines[0, 0]) > _BORDER_LEVELS).any(axis=(1, 2))
    return int(is_other.argmax()) if is_other.any() else most


_Cut = tuple[float, float, float, float]


def _middle(size: tuple[int, int], share: float) -> _Cut:
    across, down = (side * (1 - share) / 2 for side in size)
    return across, down, size[0] - across, size[1] - down


def _frequencies(grey: Image.Image, cut: _Cut) -> _Pixels:
    from scipy.fft import dctn

    pixels = np.asarray(grey.resize((_HASHED_PX, _HASHED_PX), Image.Resampling.LANCZOS, box=cut), dtype=np.float64)
    lowest: _Pixels = dctn(pixels, norm="ortho")[:_FREQUENCIES, :_FREQUENCIES]
    # Rounded, so that what is nothing in exact arithmetic has a sign that no processor's order of sums decides.
    return np.round(lowest, 3) + 0.0


def _hash(frequencies: _Pixels) -> int:
    # The first is the mean brightness, which says nothing of what is where.
    values = frequencies.ravel()[1:]
    bits = np.concatenate([[False], values > np.median(values)])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _thumbnail(small: Image.Image, cut: _Cut) -> _Pixels:
    """Values about their mean in each colour, in root mean squares of all; zeros where they do not differ."""
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    pixels = np.asarray(small.resize(size, Image.Resampling.BOX, box=cut), dtype=np.float64)
    pixels = pixels - pixels.mean(axis=(0, 1))
    contrast = float(np.sqrt((pixels**2).mean()))
    return np.asarray(np.clip(np.round(pixels / (contrast or 1.0) * _STEPS), -127, 127).ravel())


def mirrored(thumbnails: Thumbnails) -> Thumbnails:
    """`thumbnails (n, THUMBNAIL_BYTES)`, each mirrored left to right."""
    squares = thumbnails.reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX, 3)
    return np.ascontiguousarray(squares[:, :, ::-1]).reshape(thumbnails.shape)
