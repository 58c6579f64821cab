"""Plain names for colours: fourteen everyday words, each some anchors in CIELAB, and dark, light, vivid or pale.

A pixel takes the name of the nearest anchor. Two people agree on "green", not on "seafoam", and what is said has to be
true for both. A colour word covers a lump of colour space that no one point stands for, so each name has several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Names: TypeAlias = NDArray[np.uint8]  # indexes into BASE_COLOURS
Lab: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BaseColour:
    """A colour word: its anchors in sRGB and the lightness L* (0-100) below and above which it is dark or light."""

    name: str
    anchors: tuple[str, ...]
    dark_below: float
    light_above: float
    warmth: int  # 1 for warm colours, -1 for cool ones, 0 for the others


# Chosen for this project by looking at colour charts; `tests/test_verbalizers_colour.py` holds them to the colours of
# the CSS names. An always dark word (black) or always light one (white) takes no modifier.
BASE_COLOURS = (
    BaseColour("black", ("000000", "161616", "201c1a", "1a1c22"), -1, 101, 0),
    BaseColour("white", ("ffffff", "f4f4f4", "f8f6f0", "f0f4f8"), -1, 101, 0),
    BaseColour("grey", ("3c3c3c", "5a5a5a", "787878", "969696", "b4b4b4", "d0d0d0", "70757c", "7c7670"), 38, 72, 0),
    BaseColour("red", ("ff0000", "d01010", "a01010", "700808", "d84040", "a83838", "480808"), 32, 101, 1),
    BaseColour("orange", ("ff8000", "ffa500", "e86a10", "f59a50", "ff7040", "d87828"), 48, 76, 1),
    BaseColour("brown", ("8b4513", "5c3a1e", "a0683c", "3a2412", "7a5c40", "a88058", "604838"), 30, 54, 1),
    BaseColour("beige", ("e8d8b8", "d8c4a0", "f0e6d0", "dcc0a0", "c8b898", "f5f0dc"), 60, 101, 1),
    BaseColour("yellow", ("ffff00", "ffe020", "e6c800", "fff080", "d0b020", "f0dc60", "b8a000"), 70, 101, 1),
    BaseColour(
        "green",
        ("008000", "00e000", "228b22", "6b8e23", "506428", "90e090", "2e5a2e", "123c12", "a0c850", "88a878", "3a4a22"),
        40,
        74,
        0,
    ),
    BaseColour("teal", ("008080", "00a0a0", "3c9c94", "0a5454", "20c0b0", "60a8a8"), 32, 101, -1),
    BaseColour("cyan", ("00ffff", "40d8e8", "80ecf0", "b0f0f0"), 60, 101, -1),
    BaseColour(
        "blue",
        ("0000ff", "0000a0", "000060", "1e50c8", "4682c8", "80b4ec", "5878a8", "b0d4f8", "1c2c50", "10a0e8", "5860b8"),
        32,
        66,
        -1,
    ),
    BaseColour(
        "purple", ("800080", "6a0dad", "9850d0", "48007c", "c0a0e0", "9878b0", "381848", "c040e0", "9370d8"), 26, 62, 0
    ),
    BaseColour("pink", ("ff69b4", "ffc0cb", "ff80a0", "e06088", "ffa0c8", "d08898", "ff20a0", "f0a8a0"), 50, 82, 1),
)
COLOUR_NAMES = tuple(colour.name for colour in BASE_COLOURS)
_INDEX = {name: index for index, name in enumerate(COLOUR_NAMES)}
_NEUTRAL = frozenset({"black", "white", "grey"})

VIVID_CHROMA = 62.0  # CIELAB chroma C* = |(a*, b*)| from which a colour is called vivid
PALE_CHROMA = 28.0  # and below which a light one is called pale; our own values
_LEVEL_BITS = 6  # the table of names knows 64 levels of each channel: at most two sRGB steps off


@dataclass(frozen=True, slots=True)
class ColourShare:
    """How much of an area has a colour: the word with its modifier, the bare word, the share 0-1."""

    term: str
    name: str
    share: float


def srgb_to_lab(rgb: NDArray[np.uint8]) -> Lab:
    """CIELAB (D65) of sRGB pixels, `(..., 3)` uint8 to float32: L* in 0-100."""
    from skimage.color import rgb2lab

    lab: Lab = rgb2lab(rgb.astype(np.float32) / np.float32(255))
    return lab


def name_pixels(rgb: NDArray[np.uint8]) -> Names:
    """The index into `BASE_COLOURS` of every pixel: `(..., 3)` uint8 to `(...)` uint8."""
    levels = rgb.astype(np.int32) >> (8 - _LEVEL_BITS)
    code = (levels[..., 0] << (2 * _LEVEL_BITS)) | (levels[..., 1] << _LEVEL_BITS) | levels[..., 2]
    names: Names = _name_table()[code]
    return names


@lru_cache(maxsize=1)
def _name_table() -> Names:
    """The name of each of the 64^3 quantised colours, worked out once (about 0.2 s)."""
    from scipy.spatial import cKDTree

    step = 1 << (8 - _LEVEL_BITS)
    # 0 stands for 0 and 63 for 255, so that pure colours are exact.
    ramp = np.round(np.linspace(0, 255, 256 // step)).astype(np.uint8)
    cube = np.stack(np.meshgrid(ramp, ramp, ramp, indexing="ij"), axis=-1).reshape(-1, 3)
    anchors = [bytes.fromhex(anchor) for colour in BASE_COLOURS for anchor in colour.anchors]
    owners = np.array([_INDEX[colour.name] for colour in BASE_COLOURS for _ in colour.anchors], dtype=np.uint8)
    anchor_lab = srgb_to_lab(np.frombuffer(b"".join(anchors), dtype=np.uint8).reshape(-1, 3))
    _, nearest = cKDTree(anchor_lab).query(srgb_to_lab(cube))
    table: Names = owners[nearest]
    return table


def term_of(name: str, lab: Sequence[float] | NDArray[np.float32]) -> str:
    """`name` with dark, light, pale or vivid before it where the mean CIELAB colour of its pixels calls for one."""
    base = BASE_COLOURS[_INDEX[name]]
    lightness, chroma = float(lab[0]), float(np.hypot(lab[1], lab[2]))
    if lightness < base.dark_below:
        return f"dark {name}"
    if chroma >= VIVID_CHROMA and name not in _NEUTRAL:
        return f"vivid {name}"
    if lightness > base.light_above:
        return f"pale {name}" if chroma < PALE_CHROMA and name not in _NEUTRAL else f"light {name}"
    return name


def colour_shares(names: Names, lab: Lab) -> tuple[ColourShare, ...]:
    """Every colour among some pixels, largest share first, equal shares in the order of `BASE_COLOURS`.

    `names` is `(n,)` or `(h, w)`, `lab` the same with a last axis of 3.
    """
    flat, values = names.reshape(-1), lab.reshape(-1, 3)
    counts = np.bincount(flat, minlength=len(BASE_COLOURS))
    sums = [np.bincount(flat, weights=values[:, axis], minlength=len(BASE_COLOURS)) for axis in range(3)]
    order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    shares = []
    for index in order:
        mean = [float(total[index] / counts[index]) for total in sums]
        name = COLOUR_NAMES[index]
        shares.append(ColourShare(term_of(name, mean), name, float(counts[index]) / flat.size))
    return tuple(shares)


def warm_and_cool(shares: Sequence[ColourShare]) -> tuple[float, float]:
    """The shares, 0-1, of warm and of cool colours; neither counts black, white, grey, green or purple."""
    warm = sum(item.share for item in shares if BASE_COLOURS[_INDEX[item.name]].warmth > 0)
    cool = sum(item.share for item in shares if BASE_COLOURS[_INDEX[item.name]].warmth < 0)
    return warm, cool
