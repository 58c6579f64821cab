"""From a verbalization to the text that a blind teacher reads in place of the image.

The order is the paper's (LSKD, section 2.2 and figure 10): concepts, narratives under numbered headings, a separator
line, regions, probes; the instruction follows in the template. The paper does not say how regions are listed in
description mode. Here the line is the same with a dash in place of `[k]`: boxes stay, because without them two regions
with like captions could not be told apart nor placed, and no number is left that the teacher could repeat.
"""

from builders.localized.settings import Mode
from ostensive.records import Box, Region, Verbalization

SEPARATOR = "-" * 10
_REGIONS_HEADING = "What is where (corners top-left and bottom-right, from 0 to 1 across and from 0 to 1 down):"
_PROBES_HEADING = "Questions already answered:"
_BRACKETS = str.maketrans({"[": "(", "]": ")", "［": "(", "］": ")", "【": "(", "】": ")"})


def context_text(verbalization: Verbalization, mode: Mode) -> str:
    """The context in the paper's order; parts that the verbalization has not are left out with their headings."""
    overall = [" ".join(plain_line(sentence) for sentence in verbalization.concepts)]
    overall += [f"Description {k}\n{plain_line(text)}" for k, text in enumerate(verbalization.narratives, start=1)]
    detail = []
    if verbalization.regions:
        lines = [_region_line(region, mode) for region in verbalization.regions]
        detail.append("\n".join([_REGIONS_HEADING, *lines]))
    if verbalization.probes:
        pairs = [
            f"Q{k}: {plain_line(probe.question)}\nA{k}: {plain_line(probe.answer)}"
            for k, probe in enumerate(verbalization.probes)
        ]
        detail.append("\n".join([_PROBES_HEADING, *pairs]))
    first, second = ("\n\n".join(filter(None, parts)) for parts in (overall, detail))
    return f"{first}\n\n{SEPARATOR}\n\n{second}".strip()


def plain_line(text: str) -> str:
    """`text` on one line, its square brackets round: nothing but a region's own tag may look like one."""
    return " ".join(text.translate(_BRACKETS).split())


def _region_line(region: Region, mode: Mode) -> str:
    tag = f"[{region.number}]" if mode == "ids" else "-"
    return f"{tag} {plain_line(region.caption) or plain_line(region.label)} {_corners(region.box)}"


def _corners(box: Box) -> str:
    return f"[({box.x1:.2f}, {box.y1:.2f}), ({box.x2:.2f}, {box.y2:.2f})]"
