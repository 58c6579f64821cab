"""The colours of regions as CSS, so that a page shows a region as a picture that it is drawn on does."""

import functools

from ostensive.images.drawing import PALETTE, contrasting


@functools.cache
def tag_colours() -> str:
    """A rule for each colour, `region-N`, so that a tag in a text looks like its region in the picture."""
    rules = []
    for place, colour in enumerate(PALETTE):
        ink = contrasting(colour)
        rules.append(f".region-{place} {{ background: rgb{tuple(colour)}; color: rgb{tuple(ink)}; }}\n")
    return "".join(rules)


@functools.cache
def mark_colours() -> str:
    """The same for regions that are drawn in SVG: `mark-N` for boxes and plates, `ink-N` for the numbers on
    these, `edge-N` for the line around a box that stands out from it."""
    rules = []
    for place, colour in enumerate(PALETTE):
        rules.append(f".mark-{place} {{ stroke: rgb{tuple(colour)}; fill: rgb{tuple(colour)}; }}\n")
        ink = tuple(contrasting(colour))
        rules.append(f".ink-{place} {{ fill: rgb{ink}; }}\n.edge-{place} {{ stroke: rgb{ink}; }}\n")
    return "".join(rules)
