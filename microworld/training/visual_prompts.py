"""How scenes are shown in training: as they are, or with a box drawn around one thing.

Boxes are moved about as those of a segmenter are. Beside the picture stands what covers each patch of it, which is
what the vision towers are taught first. Things are not cut out and enlarged: a tiny tower that has to know each
shape at all sizes learns none of them in an hour.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image

from microworld.scenes import SIDE_PX
from microworld.training.pool import Pool
from ostensive.images.drawing import DrawingStyle, draw_regions
from ostensive.records import Box, Region

PATCH_PX = 8
PATCHES = SIDE_PX // PATCH_PX
MIN_COVER = 0.1
"""The share of a patch that a thing has to cover before the patch is said to show it."""
VisualPrompt: TypeAlias = Literal["whole", "drawn"]
# The outline alone, in the colour of region 0, as region captions are asked for: `verbalizers` draws it so.
_STYLE = DrawingStyle(fill_alpha=0, numbers=False)
NUMBERS = 8
_AROUND_THINGS = 0.5  # the share of numbered boxes
_BARE = 0.08  # how often a box is drawn around nothing, as a segmenter proposes bits of ground
_STRAY = 0.03  # the share of such a box that things may cover
_JITTER_PX = 1.5  # standard deviation of each side of a box


@dataclass(frozen=True, slots=True)
class PromptedImage:
    """One picture and what is in it.

    `thing` is the number of the thing that is marked, -1 for none; a box that is drawn around nothing marks none.
    """

    pixels: npt.NDArray[np.uint8]  # (side, side, 3)
    patch_thing: npt.NDArray[np.int64]  # (patches * patches,) the number of the thing; -1 for the ground
    in_box: npt.NDArray[np.bool_]  # (patches * patches,) whether the middle of the patch is in the drawn box
    centers: npt.NDArray[np.float32]  # (MAX_THINGS, 2) middles of the things in shares of this picture's sides
    thing: int
    visual_prompt: VisualPrompt


def draw_prompt(pool: Pool, row: int, visual_prompt: VisualPrompt, rng: np.random.Generator) -> PromptedImage:
    """A scene of the pool with one visual prompt, of a thing drawn by `rng`; an empty scene is always shown whole."""
    pixels, cover, count = pool.pixels[row], pool.cover[row], int(pool.things[row])
    boxes = pool.boxes[row]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    nothing = np.zeros(PATCHES * PATCHES, bool)
    if visual_prompt == "whole" or count == 0:
        return PromptedImage(pixels, patch_things(cover), nothing, centers, -1, "whole")
    thing = int(rng.integers(count))
    box = jittered(boxes[thing], rng)
    if rng.random() < _BARE and (bare := bare_box(cover, rng)) is not None:
        thing, box = -1, bare
    drawn = draw_regions(PIL.Image.fromarray(pixels), [Region(0, box, "", None, "")], style=_STYLE)
    return PromptedImage(np.asarray(drawn), patch_things(cover), patches_in(box), centers, thing, visual_prompt)


@dataclass(frozen=True, slots=True)
class NumberedImage:
    """A picture with numbered boxes as critics are shown them."""

    pixels: npt.NDArray[np.uint8]  # (side, side, 3)
    boxes: dict[int, Box]  # by their numbers
    things: dict[int, int]  # the thing in each box that holds one


def draw_numbered(pool: Pool, row: int, rng: np.random.Generator) -> NumberedImage:
    """A scene with one to three boxes on it, around things or anywhere, numbered below `NUMBERS`."""
    boxes: dict[int, Box] = {}
    things: dict[int, int] = {}
    order = rng.permutation(int(pool.things[row])).tolist()
    for number in rng.choice(NUMBERS, int(rng.integers(1, 4)), replace=False).tolist():
        if order and rng.random() < _AROUND_THINGS:
            things[number] = order.pop()
            boxes[number] = jittered(pool.boxes[row, things[number]], rng)
        else:
            width, height = rng.integers(8, SIDE_PX + 1, 2)
            left, top = int(rng.integers(SIDE_PX - width + 1)), int(rng.integers(SIDE_PX - height + 1))
            boxes[number] = Box(*(float(corner) / SIDE_PX for corner in (left, top, left + width, top + height)))
    regions = [Region(number, box, "", None, "") for number, box in boxes.items()]
    return NumberedImage(np.asarray(draw_regions(PIL.Image.fromarray(pool.pixels[row]), regions)), boxes, things)


def patch_things(cover: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The thing that covers most of each patch, row by row; -1 where none covers `MIN_COVER` of it."""
    patches = cover.reshape(PATCHES, PATCH_PX, PATCHES, PATCH_PX).transpose(0, 2, 1, 3).reshape(PATCHES**2, -1)
    most = int(cover.max(initial=0))
    counts = np.stack([(patches == number).sum(1) for number in range(1, most + 1)] or [np.zeros(PATCHES**2, int)], 1)
    best = counts.argmax(1)
    return np.where(counts.max(1) >= MIN_COVER * PATCH_PX**2, best, -1).astype(np.int64)


def patches_in(box: Box) -> npt.NDArray[np.bool_]:
    """Which patches have their middle in the box."""
    middles = (np.arange(PATCHES) + 0.5) / PATCHES
    across = (middles >= box.x1) & (middles <= box.x2)
    down = (middles >= box.y1) & (middles <= box.y2)
    return (down[:, None] & across[None, :]).reshape(-1)


def bare_box(cover: npt.NDArray[np.uint8], rng: np.random.Generator) -> Box | None:
    """A box in which hardly anything but ground is, or None where a few tries find none."""
    for _ in range(6):
        width, height = rng.integers(10, 28, 2)
        left, top = int(rng.integers(SIDE_PX - width + 1)), int(rng.integers(SIDE_PX - height + 1))
        if (cover[top : top + height, left : left + width] > 0).mean() < _STRAY:
            return Box(*(float(corner) / SIDE_PX for corner in (left, top, left + width, top + height)))
    return None


def jittered(corners: npt.NDArray[np.float32], rng: np.random.Generator) -> Box:
    """A box with each side moved by a pixel or two; never thinner than six pixels."""
    x1, y1, x2, y2 = np.clip(corners + rng.normal(0, _JITTER_PX / SIDE_PX, 4), 0, 1)
    least = 6 / SIDE_PX
    x1, y1 = min(x1, 1 - least), min(y1, 1 - least)
    return Box(float(x1), float(y1), float(max(x2, x1 + least)), float(max(y2, y1 + least)))
