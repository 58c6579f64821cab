"""All figures of one image that sentences are made of, computed once: colours, light and detail, whole and by cells.

Sentences read from here and never measure for themselves, so that a concept, a narrative and a probe cannot
contradict one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image

from verbalizers.pixels import colour, layout, light
from verbalizers.pixels.colour import ColourShare
from verbalizers.pixels.raster import Raster, shrink
from verbalizers.words import listing

MOSTLY_SHARE = 0.55  # from which a patch is "mostly" of a colour: visibly more than half
_MIN_DETAIL = 0.5  # mean slope of L* under which there is no detail to place


@dataclass(frozen=True, slots=True)
class Patch:
    """A part of the scene: its colours, largest share first, and its mean lightness 0-100."""

    colours: tuple[ColourShare, ...]
    lightness: float


@dataclass(frozen=True, slots=True)
class Scene:
    """What pixels tell of an image as a whole."""

    width: int  # of the image, in pixels
    height: int
    whole: Patch
    cells: tuple[Patch, ...]  # nine, row by row, as `layout.PLACES`
    rows: tuple[Patch, ...]  # top, middle, bottom third
    columns: tuple[Patch, ...]  # left, middle, right third
    border: Patch  # the eight cells around the centre
    detail_shares: tuple[float, ...] | None  # of the nine cells, sum 1; None where there is hardly any detail
    contrast: float  # of lightness, 0-100
    blur: float | None  # 0 sharp to 1 blurred; None where it cannot be judged
    mirror: float | None  # likeness of left and right, -1 to 1; None where it cannot be judged


def measure_scene(picture: PIL.Image.Image, raster: Raster, sharpness_side_px: int) -> Scene:
    """The figures of an RGB picture and of the raster made from it."""
    lightness = raster.lab[..., 0]
    down, across = layout.thirds(raster.height), layout.thirds(raster.width)
    detail = np.array([raster.edges[rows, columns].sum(dtype=np.float64) for rows in down for columns in across])
    everything = slice(None)
    outside = np.ones(raster.names.shape, dtype=bool)
    outside[down[1], across[1]] = False
    if not outside.any():  # fewer than two pixels a side
        outside[:] = True
    grey = np.asarray(shrink(picture, sharpness_side_px).convert("L"))
    return Scene(
        width=picture.width,
        height=picture.height,
        whole=measure_patch(raster, (everything, everything)),
        cells=tuple(measure_patch(raster, (rows, columns)) for rows in down for columns in across),
        rows=tuple(measure_patch(raster, (rows, everything)) for rows in down),
        columns=tuple(measure_patch(raster, (everything, columns)) for columns in across),
        border=Patch(
            colour.colour_shares(raster.names[outside], raster.lab[outside]), light.brightness(lightness[outside])
        ),
        detail_shares=(
            tuple(float(share) for share in detail / detail.sum()) if raster.edges.mean() >= _MIN_DETAIL else None
        ),
        contrast=light.contrast(lightness),
        blur=light.blur_amount(grey),
        mirror=layout.mirror_likeness(lightness),
    )


def measure_patch(raster: Raster, part: tuple[slice, slice]) -> Patch:
    """Colours and lightness of some rows and columns."""
    lab = raster.lab[part]
    return Patch(colour.colour_shares(raster.names[part], lab), light.brightness(lab[..., 0]))


def colour_phrase(shares: Sequence[ColourShare]) -> str:
    """The colours of a patch: `blue` (85 % of it or more), `mostly blue` (55 %), `blue and grey` (75 % in two).

    Otherwise `a mix of` the three largest where each has a tenth, or `many colours`.
    """
    first = shares[0]
    if first.share >= 0.85:
        return first.term
    if first.share >= MOSTLY_SHARE:
        return f"mostly {first.term}"
    if len(shares) > 1 and shares[1].share >= 0.2 and first.share + shares[1].share >= 0.75:
        return f"{first.term} and {shares[1].term}"
    if len(shares) > 2 and shares[2].share >= 0.1:
        return f"a mix of {listing([item.term for item in shares[:3]])}"
    return "many colours"


def extremes(patches: Sequence[Patch], names: Sequence[str], margin: float) -> tuple[str | None, str | None]:
    """The names of the lightest and of the darkest patch, each None unless it is `margin` beyond the next in L*."""
    order = sorted(range(len(patches)), key=lambda index: patches[index].lightness)
    values = [patches[index].lightness for index in order]
    lightest = names[order[-1]] if values[-1] - values[-2] >= margin else None
    darkest = names[order[0]] if values[1] - values[0] >= margin else None
    return lightest, darkest
