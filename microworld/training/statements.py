"""What can be said of numbered boxes, true and false: where they lie, how large they are, how two of them lie.

In the phrases that the scripted teacher gives as reasons, for what begins here is to judge such. Something is said to
be true or false only where an eye could tell.
"""

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

from microworld.geometry import off_middle, shared_side
from microworld.scenes import within
from ostensive.records import Box

_ONE: Mapping[str, tuple[Callable[[Box], float], float]] = {
    "lies in the left half of the view": (lambda a: 0.5 - a.x2, 0.01),
    "lies in the right half of the view": (lambda a: a.x1 - 0.5, 0.01),
    "lies in the upper half of the view": (lambda a: 0.5 - a.y2, 0.01),
    "lies in the lower half of the view": (lambda a: a.y1 - 0.5, 0.01),
    "covers less than a tenth of the view": (lambda a: math.log(0.1 / a.area), 0.1),
    "covers more than a quarter of the view": (lambda a: math.log(a.area / 0.25), 0.1),
    "reaches across more than half of the breadth of the view": (lambda a: a.x2 - a.x1 - 0.5, 0.02),
    "reaches across less than a quarter of the breadth of the view": (lambda a: 0.25 - (a.x2 - a.x1), 0.02),
    "reaches over more than half of the height of the view": (lambda a: a.y2 - a.y1 - 0.5, 0.02),
    "reaches over less than a quarter of the height of the view": (lambda a: 0.25 - (a.y2 - a.y1), 0.02),
}
"""What is said of one box: a measure that is positive where it is so, and how far it has to be from 0 to be seen."""
_TWO: Mapping[str, tuple[Callable[[Box, Box], float], float]] = {
    "lies further left than": (lambda a, b: b.center[0] - a.center[0], 0.05),
    "lies further right than": (lambda a, b: a.center[0] - b.center[0], 0.05),
    "lies higher up than": (lambda a, b: b.center[1] - a.center[1], 0.05),
    "lies lower down than": (lambda a, b: a.center[1] - b.center[1], 0.05),
    "covers more of the view than": (lambda a, b: math.log(a.area / b.area), 0.3),
    "covers less of the view than": (lambda a, b: math.log(b.area / a.area), 0.3),
    "lies nearer the middle than": (lambda a, b: off_middle(b) - off_middle(a), 0.05),
    "lies wholly within the bounds of": (within, 0.015),
}
"""The same of a first box and a second, whose tag follows."""
_AROUND: Mapping[str, tuple[Callable[[Box, Box], float], float]] = {
    "the bounds of {a} and {b} cross": (lambda a, b: min(shared_side(a, b), -within(a, b), -within(b, a)), 0.015),
    "{a} ends before {b} begins from left to right": (lambda a, b: b.x1 - a.x2, 0.02),
    "{a} ends before {b} begins from top to bottom": (lambda a, b: b.y1 - a.y2, 0.02),
}
"""The same, with the tags among the words."""


def statements_on(boxes: Mapping[int, Box]) -> dict[bool, dict[str, list[str]]]:
    """All that is true and all that is false of numbered boxes, by the phrase that says it."""
    found: dict[bool, dict[str, list[str]]] = {True: {}, False: {}}

    def sort(phrase: str, text: str, measure: float, least: float) -> None:
        if abs(measure) >= least:
            found[measure > 0].setdefault(phrase, []).append(text)

    for number, box in boxes.items():
        for phrase, (measure, least) in _ONE.items():
            sort(phrase, f"[{number}] {phrase}", measure(box), least)
    for a, b in itertools.permutations(boxes, 2):
        for phrase, (compare, least) in _TWO.items():
            sort(phrase, f"[{a}] {phrase} [{b}]", compare(boxes[a], boxes[b]), least)
        for phrase, (compare, least) in _AROUND.items():
            sort(phrase, phrase.format(a=f"[{a}]", b=f"[{b}]"), compare(boxes[a], boxes[b]), least)
    return found


def draw_statement(boxes: Mapping[int, Box], is_true: bool, rng: np.random.Generator) -> str | None:
    """One of them, each phrase as likely as any other; None where there is none."""
    found = statements_on(boxes)[is_true]
    if not found:
        return None
    texts = list(found.values())[int(rng.integers(len(found)))]
    return texts[int(rng.integers(len(texts)))]
