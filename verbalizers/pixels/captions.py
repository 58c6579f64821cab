"""Captions of regions from pixels: size, shape, colour, texture, surroundings and place of what is in the box.

Everything is measured in the box itself, so that the captions hold for boxes of any proposer. What a thing is, is never
said beyond what the proposer took it for, and then as a likeness.
"""

from dataclasses import dataclass
from random import Random

import numpy as np

from ostensive.records import AREA_LABEL, Box
from verbalizers.pixels import layout
from verbalizers.pixels.colour import ColourShare, colour_shares
from verbalizers.pixels.raster import Raster
from verbalizers.pixels.scene import Patch, colour_phrase, measure_patch
from verbalizers.pixels.texture import measure_texture, texture_phrase
from verbalizers.words import with_article

_MARGIN = 0.15  # of the box's sides: how far around it the surroundings are looked at
_SURROUND_SHARE = 0.6  # a colour has this much of the surroundings to be named


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """What pixels tell of a region; the words are those its caption uses."""

    box: Box
    label: str  # what the proposer took it for
    patch: Patch
    size: str
    shape: str | None
    colour: str
    texture: str | None
    surroundings: str | None  # the colour around it
    place: str  # "at the top left", "across the bottom", ...


def measure_region(raster: Raster, box: Box, label: str) -> RegionFacts:
    """The figures and words of a region of the image that `raster` was made from."""
    patch = measure_patch(raster, raster.part(box))
    around = _around(raster, box)
    surroundings = None
    if around and around[0].share >= _SURROUND_SHARE and around[0].name != patch.colours[0].name:
        surroundings = around[0].term
    width_px, height_px = (box.x2 - box.x1) * raster.width, (box.y2 - box.y1) * raster.height
    return RegionFacts(
        box=box,
        label=label,
        patch=patch,
        size=layout.size_word(box.area),
        shape=layout.shape_word(width_px, height_px),
        colour=colour_phrase(patch.colours),
        texture=texture_phrase(measure_texture(raster, box)),
        surroundings=surroundings,
        place=layout.place_phrase(box),
    )


def _around(raster: Raster, box: Box) -> tuple[ColourShare, ...]:
    """The colours of a frame around the box, as far as it lies in the view; none where the box fills the view."""
    rows, columns = raster.part(box)
    out_y = max(1, round(_MARGIN * (rows.stop - rows.start)))
    out_x = max(1, round(_MARGIN * (columns.stop - columns.start)))
    top, left = max(rows.start - out_y, 0), max(columns.start - out_x, 0)
    outer = (slice(top, rows.stop + out_y), slice(left, columns.stop + out_x))
    frame = np.ones(raster.names[outer].shape, dtype=bool)
    frame[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = False
    if not frame.any():
        return ()
    return colour_shares(raster.names[outer][frame], raster.lab[outer][frame])


def caption_of(facts: RegionFacts, rng: Random) -> str:
    """One phrase on a region, without a full stop, for a list of regions."""
    noun = AREA_LABEL if facts.label == AREA_LABEL else f"part that looks like {with_article(facts.label)}"
    # "many colours" and "a mix of ..." follow the noun, plain colours go before it.
    before = facts.colour != "many colours" and not facts.colour.startswith("a mix")
    adjectives = ", ".join(
        word for word in (facts.size, facts.shape, facts.colour if before else None) if word is not None
    )
    head = with_article(f"{adjectives} {noun}") + ("" if before else f" in {facts.colour}")
    details = []
    if facts.texture is not None:
        details.append(f"with {facts.texture}")
    if facts.surroundings is not None:
        details.append(rng.choice(["against {}", "with {} around it"]).format(facts.surroundings))
    if len(details) == 2 and details[1].startswith("with"):
        details[1] = f"and {details[1].removeprefix('with ')}"
    tail = " ".join(details)
    orders = [
        f"{head} {facts.place}{', ' + tail if tail else ''}",
        f"{head}{' ' + tail + ',' if tail else ''} {facts.place}",
    ]
    return rng.choice(orders)
