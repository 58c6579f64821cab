"""A contact sheet: many scenes on one picture, to be looked at."""

from collections.abc import Sequence

import PIL.Image

from microworld.render import render
from microworld.sample import sample_scene
from microworld.scenes import SIDE_PX, Scene

_GAP_PX = 4
_PAPER = (255, 255, 255)


def contact_sheet(seeds: Sequence[int], columns: int, *, side_px: int = SIDE_PX) -> PIL.Image.Image:
    """The scenes of `seeds`, row by row; `columns` is at least 1."""
    return sheet_of([sample_scene(seed) for seed in seeds], columns, side_px=side_px)


def sheet_of(scenes: Sequence[Scene], columns: int, *, side_px: int = SIDE_PX) -> PIL.Image.Image:
    """The scenes, row by row; `columns` is at least 1."""
    rows = -(-len(scenes) // columns)
    step = side_px + _GAP_PX
    sheet = PIL.Image.new("RGB", (columns * step + _GAP_PX, rows * step + _GAP_PX), _PAPER)
    for place, scene in enumerate(scenes):
        corner = (_GAP_PX + place % columns * step, _GAP_PX + place // columns * step)
        sheet.paste(render(scene, side_px), corner)
    return sheet
