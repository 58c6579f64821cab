"""Corrupted pictures, each a pure function of a picture and a few numbers, and how the numbers are drawn.

A corrupted picture has the size of the clean one and costs a teacher as many tokens. So does STIC's in effect: its
20-pixel picture was enlarged by the model's own processor. Sent as it is, it would be padded to a model's smallest
side, and be one or two tokens to models that take pictures in their own size: they would see nothing at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np
import PIL.Image
from PIL import ImageEnhance, ImageFilter

from builders.preferences.settings import Corruption, PreferencesSettings

_DECIMALS: Final = 3  # drawn numbers are rounded before they are used, so that what a row says is what was done


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A spoilt picture, and what was done, with its numbers."""

    picture: PIL.Image.Image
    done: str


def corrupted(picture: PIL.Image.Image, name: Corruption, settings: PreferencesSettings, seed: int) -> Corrupted:
    """`picture` (RGB) spoilt in the way `name`, the same for the same seed; same size. Not for `swap`."""
    return _WAYS[name](picture, settings, Random(f"{seed}/{name}"))  # noqa: S311 - sampling, not secrets


def change_of(clean: PIL.Image.Image, spoilt: PIL.Image.Image) -> float:
    """Mean absolute difference of two pictures over pixels and channels, 0-1; 1 for pictures of two sizes."""
    if clean.size != spoilt.size:
        return 1.0
    first, second = (np.asarray(one, dtype=np.int16) for one in (clean, spoilt))
    return float(np.abs(first - second).mean()) / 255


def reduced_side_px(size_px: tuple[int, int], shorter_side_px: int) -> int:
    """The shorter side to which a picture of this size is brought: as asked, but at most half of its own."""
    return min(shorter_side_px, max(1, min(size_px) // 2))


def reduced(picture: PIL.Image.Image, shorter_side_px: int) -> PIL.Image.Image:
    """`picture` brought to a shorter side of so many pixels, and enlarged to its size again."""
    factor = shorter_side_px / min(picture.size)
    small_px = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    small = picture.resize(small_px, PIL.Image.Resampling.BILINEAR)  # averages over what it leaves out
    return small.resize(picture.size, PIL.Image.Resampling.BICUBIC)


def brightened(picture: PIL.Image.Image, factor: float) -> PIL.Image.Image:
    """`picture` with its light multiplied by `factor`, cut off at white."""
    return ImageEnhance.Brightness(picture).enhance(factor)


def hue_turned(picture: PIL.Image.Image, turn: float) -> PIL.Image.Image:
    """`picture` with its hues turned by a share of the circle, -0.5 to 0.5; grey stays grey."""
    hue, saturation, value = picture.convert("HSV").split()
    turned = (np.asarray(hue, dtype=np.int16) + int(turn * 255)) % 256  # 8 bits wrap round, as in torchvision
    bands = (PIL.Image.fromarray(turned.astype(np.uint8)), saturation, value)
    return PIL.Image.merge("HSV", bands).convert("RGB")


def blurred(picture: PIL.Image.Image, radius_share: float) -> PIL.Image.Image:
    """`picture` under a Gaussian whose deviation is a share of the shorter side."""
    return picture.filter(ImageFilter.GaussianBlur(radius_share * min(picture.size)))


def cropped(picture: PIL.Image.Image, side_share: float, left: float, top: float) -> PIL.Image.Image:
    """A part of `picture` with this share of each side, enlarged to the whole size.

    `left` and `top` say where it lies, 0-1: at 0 it touches one end, at 1 the other.
    """
    width, height = picture.width * side_share, picture.height * side_share
    x, y = left * (picture.width - width), top * (picture.height - height)
    box = (x, y, x + width, y + height)
    return picture.resize(picture.size, PIL.Image.Resampling.BICUBIC, box=box)


def noised(picture: PIL.Image.Image, deviation: float, seed: int) -> PIL.Image.Image:
    """`picture` with Gaussian noise on each channel, whose range is 0-1, cut off at black and white."""
    values = np.asarray(picture, dtype=np.float32)
    noise = np.random.default_rng(seed).standard_normal(values.shape, dtype=np.float32)
    return PIL.Image.fromarray(np.clip(np.rint(values + noise * (deviation * 255)), 0, 255).astype(np.uint8))


def _resize(picture: PIL.Image.Image, settings: PreferencesSettings, _rng: Random) -> Corrupted:
    side = reduced_side_px(picture.size, settings.resize.shorter_side_px)
    return Corrupted(reduced(picture, side), f"resize: shorter side {side} px")


def _colour(picture: PIL.Image.Image, settings: PreferencesSettings, rng: Random) -> Corrupted:
    ranges = settings.colour
    factor = round(rng.uniform(1 - ranges.brightness, 1 + ranges.brightness), _DECIMALS)
    turn = round(rng.uniform(-ranges.hue, ranges.hue), _DECIMALS)
    # Torchvision draws the order too; it matters where light is cut off at white.
    if rng.random() < 0.5:
        return Corrupted(hue_turned(brightened(picture, factor), turn), f"colour: brightness {factor}, hue {turn:+}")
    return Corrupted(brightened(hue_turned(picture, turn), factor), f"colour: hue {turn:+}, brightness {factor}")


def _blur(picture: PIL.Image.Image, settings: PreferencesSettings, _rng: Random) -> Corrupted:
    share = settings.blur.radius_share
    return Corrupted(blurred(picture, share), f"blur: radius {share} of the shorter side")


def _crop(picture: PIL.Image.Image, settings: PreferencesSettings, rng: Random) -> Corrupted:
    share = settings.crop.side_share
    left, top = round(rng.random(), _DECIMALS), round(rng.random(), _DECIMALS)
    return Corrupted(cropped(picture, share, left, top), f"crop: {share} of each side, at {left} across, {top} down")


def _noise(picture: PIL.Image.Image, settings: PreferencesSettings, rng: Random) -> Corrupted:
    deviation, seed = settings.noise.deviation, rng.getrandbits(31)
    return Corrupted(noised(picture, deviation, seed), f"noise: deviation {deviation}, seed {seed}")


_WAYS: Final[Mapping[str, Callable[[PIL.Image.Image, PreferencesSettings, Random], Corrupted]]] = {
    "resize": _resize,
    "colour": _colour,
    "blur": _blur,
    "crop": _crop,
    "noise": _noise,
}
