"""Concept sentences from pixels: palette, light and layout, one sentence each.

LSKD (section 2.1) has a sentence on places, one on objects and one on concepts, by CLIP. Pixels alone know neither
places nor objects, so the three sentences here are on what they do know; a CLIP backend says the others.
"""

from collections.abc import Sequence
from random import Random

from verbalizers.pixels import colour, layout, light
from verbalizers.pixels.colour import ColourShare
from verbalizers.pixels.scene import MOSTLY_SHARE, Scene, extremes
from verbalizers.words import listing, sentence, with_article

SOME_SHARE, TRACE_SHARE = 0.12, 0.03  # "some" from here, "a little" from there, less is not named
WARM_SHARE = 0.6  # of all pixels, for warm or cool colours to prevail
PLACE_MARGIN = 6.0  # in L*, for one cell to be the lightest


def tell_concepts(scene: Scene, max_colours: int, rng: Random) -> tuple[str, ...]:
    """Three whole sentences on the palette, the light and the layout of a scene."""
    return palette_sentence(scene, max_colours, rng), light_sentence(scene, rng), layout_sentence(scene, rng)


def palette_sentence(scene: Scene, max_colours: int, rng: Random) -> str:
    """The main colours by share, and whether warm or cool ones prevail."""
    start = rng.choice(["the scene is", "in colour the scene is"])
    text = f"{start} {palette_phrase(scene.whole.colours, max_colours)}"
    prevailing = prevailing_warmth(scene.whole.colours)
    return sentence(f"{text}; {prevailing} colours prevail" if prevailing else text)


def palette_phrase(shares: Sequence[ColourShare], max_colours: int) -> str:
    """`mostly blue, with some grey and a little white`; `blue and grey` where neither is most of it."""
    named = shares[:max_colours]
    first, rest = named[0], named[1:]
    if first.share >= 1 - TRACE_SHARE:
        return f"almost entirely {first.term}"
    if first.share < MOSTLY_SHARE:
        leading = [item for item in named if item.share >= SOME_SHARE]
        rest = [item for item in named if item.share < SOME_SHARE]
        head = listing([item.term for item in leading]) if leading else "of many colours"
    else:
        head = f"mostly {first.term}"
    some = listing([item.term for item in rest if item.share >= SOME_SHARE])
    little = listing([item.term for item in rest if SOME_SHARE > item.share >= TRACE_SHARE])
    lesser = listing([f"{amount} {terms}" for amount, terms in (("some", some), ("a little", little)) if terms])
    return f"{head}, with {lesser}" if lesser else head


def prevailing_warmth(shares: Sequence[ColourShare]) -> str | None:
    """Warm or cool where six tenths of the pixels are; None where neither."""
    warm, cool = colour.warm_and_cool(shares)
    if warm >= WARM_SHARE:
        return "warm"
    return "cool" if cool >= WARM_SHARE else None


def light_sentence(scene: Scene, rng: Random) -> str:
    """Brightness, contrast, sharpness and the lightest place."""
    bright, contrast = light.brightness_word(scene.whole.lightness), light.contrast_word(scene.contrast)
    sharp = light.sharpness_word(scene.blur)
    text = rng.choice(
        [
            f"{with_article(f'{bright} scene')} with {contrast} contrast",
            f"the light is {bright} overall and the contrast is {contrast}",
        ]
    )
    lightest, _ = extremes(scene.cells, layout.PLACES, PLACE_MARGIN)
    extra = []
    if sharp is not None:
        extra.append(f"edges are {sharp}")
    if lightest is not None:
        extra.append(f"the lightest part is the {lightest}")
    return sentence(f"{text}; {listing(extra)}" if extra else text)


def layout_sentence(scene: Scene, rng: Random) -> str:
    """Proportions, and where the detail is."""
    shape = f"the view is {layout.format_phrase(scene.width, scene.height)}"
    return sentence(f"{shape}, {rng.choice(['and', 'while'])} {detail_phrase(scene)}")


def detail_phrase(scene: Scene) -> str:
    """Where the detail is, as a clause."""
    if scene.detail_shares is None:
        return "there is hardly any detail in it"
    busiest, plainest = layout.busiest(scene.detail_shares), layout.plainest(scene.detail_shares)
    if busiest and plainest:
        return f"most detail lies {layout.at_place(busiest)} and least {layout.at_place(plainest)}"
    if busiest:
        return f"most detail lies {layout.at_place(busiest)}"
    if plainest:
        return f"least detail lies {layout.at_place(plainest)}"
    if min(scene.detail_shares) >= layout.PLAIN_SHARE:
        return "the detail is spread over all of it"
    return "the detail is spread over several parts of it"
