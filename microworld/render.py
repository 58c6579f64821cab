"""Pictures of scenes: a textured ground, and the things of the scene laid over it, as whole pixels of 8 bits.

Grounds are cut out of larger textures that are made once for each place, at an offset and in a brightness that follow
from the scene's seed. Drawing them anew for each scene would take ten times as long as all the rest.
"""

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import PIL.Image

from microworld.scenes import SIDE_PX, Place, Scene
from microworld.sprites import layers

Pixels = npt.NDArray[np.uint8]
_Texture = npt.NDArray[np.float64]

_VARIANTS = 4  # textures of each place
_BRIGHTNESS = (0.92, 1.05)


def render(scene: Scene, side_px: int = SIDE_PX) -> PIL.Image.Image:
    """The picture of a scene, in RGB."""
    return PIL.Image.fromarray(render_pixels(scene, side_px))


def render_pixels(scene: Scene, side_px: int = SIDE_PX) -> Pixels:
    """The picture of a scene: `(side_px, side_px, 3)`."""
    canvas = ground(scene.place, scene.seed, side_px).astype(np.uint16)
    for thing in scene.things:
        for layer in layers(thing, side_px):
            layer.sprite.lay(canvas, layer.left, layer.top)
    return canvas.astype(np.uint8)


def ground(place: Place, seed: int, side_px: int = SIDE_PX) -> Pixels:
    """The ground of a place alone, `(side_px, side_px, 3)`."""
    rng = random.Random(f"ground {seed}")  # noqa: S311 - no secret
    texture = _texture(place, rng.randrange(_VARIANTS), side_px)
    brightness, right, down = rng.uniform(*_BRIGHTNESS), rng.random(), rng.random()
    room_y, room_x = texture.shape[0] - side_px, texture.shape[1] - side_px
    top, left = round(down * room_y), round(right * room_x)
    cut = texture[top : top + side_px, left : left + side_px]
    pixels: Pixels = (cut * round(256 * brightness) >> 8).clip(0, 255).astype(np.uint8)
    return pixels


def cover_of(scene: Scene, side_px: int = SIDE_PX) -> Pixels:
    """`(side_px, side_px)`: the number plus 1 of the thing that each pixel shows; 0 for the ground."""
    cover = np.zeros((side_px, side_px), np.uint8)
    for thing in scene.things:
        for layer in layers(thing, side_px):
            height, width = layer.sprite.drawn.shape
            below = cover[layer.top : layer.top + height, layer.left : layer.left + width]
            below[layer.sprite.drawn] = thing.number + 1
    return cover


# ---- textures: float arrays of 0 to 255, in units of 1/64 of the side ------------------------------------------------


@lru_cache(maxsize=64)
def _texture(place: Place, variant: int, side_px: int) -> npt.NDArray[np.int64]:
    """A texture with room to cut a ground out of it. The beach has none from top to bottom: its sea lies above."""
    scale = side_px / SIDE_PX
    height = round(SIDE_PX * 1.25 * scale) if place == "beach" else round(SIDE_PX * 2 * scale)
    width = round(SIDE_PX * 2 * scale)
    rng = np.random.default_rng([_PLACES.index(place), variant])
    texture = np.round(_PAINTERS[place](height, width, scale, rng)).astype(np.int64)
    texture.flags.writeable = False
    return texture


def _axes(height: int, width: int, scale: float) -> tuple[_Texture, _Texture]:
    y, x = np.mgrid[0:height, 0:width]
    return (x + 0.5) / scale, (y + 0.5) / scale


def _mixed(share: _Texture, low: tuple[int, int, int], high: tuple[int, int, int]) -> _Texture:
    """From the colour `low` where `share` is 0 to `high` where it is 1."""
    amount = np.clip(share, 0, 1)[..., None]
    result: _Texture = np.array(low, float) * (1 - amount) + np.array(high, float) * amount
    return result


def _blades(height: int, width: int, scale: float, rng: np.random.Generator) -> _Texture:
    """A meadow: short upright strokes, lighter and darker."""
    x, y = _axes(height, width, scale)
    columns = rng.random(width) * 9
    lean = 0.35 * np.sin(x * 0.9 + columns[None, :])
    wave = np.sin(2 * np.pi * (x + lean) / 2.6 + columns[None, :] * 0.15) * np.sin(2 * np.pi * y / 9 + columns[None, :])
    return _mixed(0.5 + 0.5 * wave, (72, 128, 48), (140, 190, 92))


def _shore(height: int, width: int, scale: float, rng: np.random.Generator) -> _Texture:
    """A beach: sea with crests above, sand with ripples below."""
    x, y = _axes(height, width, scale)
    line = SIDE_PX * 0.42 + 1.6 * np.sin(x / 6 + rng.random() * 6)
    crests = np.sin(2 * np.pi * y / 5 + 1.4 * np.sin(x / 5 + rng.random() * 6))
    sea = _mixed(0.5 + 0.5 * crests, (88, 160, 196), (150, 206, 224))
    ripples = np.sin(2 * np.pi * (y + 1.2 * np.sin(x / 4)) / 4.5)
    sand = _mixed(0.5 + 0.5 * ripples, (206, 178, 124), (240, 220, 170))
    foam = np.abs(y - line) < 1
    result = np.where((y < line)[..., None], sea, sand)
    result[foam] = (250, 250, 244)
    return result


def _drifts(height: int, width: int, scale: float, rng: np.random.Generator) -> _Texture:
    """A snowfield: soft slanting drifts, and flakes."""
    x, y = _axes(height, width, scale)
    slope = np.sin(2 * np.pi * (x * 0.35 + y) / 11 + rng.random() * 6)
    result = _mixed(0.5 + 0.5 * slope, (196, 212, 232), (236, 242, 250))
    return _specks(result, rng, scale, count=260, radius=0.8, colour=(255, 255, 255))


def _paving(height: int, width: int, scale: float, rng: np.random.Generator) -> _Texture:
    """A street: rows of grey stones with dark joints, every other row moved by half a stone."""
    x, y = _axes(height, width, scale)
    row = np.floor(y / 6).astype(int)
    along = x + np.where(row % 2 == 0, 0.0, 4.5)
    stone = np.floor(along / 9).astype(int)
    tones = rng.random((row.max() + 1, stone.max() + 1))
    result = _mixed(tones[row, stone], (118, 116, 116), (160, 156, 152))
    result[(y % 6 < 1) | (along % 9 < 1)] = (84, 82, 84)
    return result


def _sky(height: int, width: int, scale: float, rng: np.random.Generator) -> _Texture:
    """A night sky: dark blue with stars and a faint band."""
    x, y = _axes(height, width, scale)
    band = np.exp(-(((x - y + 20 * rng.random()) / 14) ** 2))
    result = _mixed(0.6 * band, (20, 24, 64), (58, 60, 118))
    return _specks(result, rng, scale, count=170, radius=0.7, colour=(226, 228, 250))


def _specks(
    texture: _Texture,
    rng: np.random.Generator,
    scale: float,
    *,
    count: int,
    radius: float,
    colour: tuple[int, int, int],
) -> _Texture:
    """`count` round specks laid over a texture of 128 x 128 units."""
    height, width = texture.shape[:2]
    reach = max(1, round(radius * scale))
    for cx, cy in zip(rng.integers(0, width, count), rng.integers(0, height, count), strict=True):
        texture[max(cy - reach + 1, 0) : cy + 1, max(cx - reach + 1, 0) : cx + 1] = colour
    return texture


_PLACES: tuple[Place, ...] = ("meadow", "beach", "snowfield", "street", "night sky")
_PAINTERS: dict[Place, Callable[[int, int, float, np.random.Generator], _Texture]] = {
    "meadow": _blades,
    "beach": _shore,
    "snowfield": _drifts,
    "street": _paving,
    "night sky": _sky,
}
