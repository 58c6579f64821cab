"""Parts of the picture in words: "on the left", "in the upper half of the view", "near the bottom right corner"."""

import re
from functools import lru_cache
from typing import Final, Literal

from critics.geometry.statements import Place, Placed
from critics.geometry.words import OF_PICTURE, PICTURE

_SIDES: Final[dict[str, Place]] = {
    "left": "left",
    "right": "right",
    "top": "top",
    "upper": "top",
    "bottom": "bottom",
    "lower": "bottom",
    "middle": "middle",
    "central": "middle",
}
_PART: Final = (
    "half|side|part|portion|section|third|area|region|zone|corner|quadrant|quarter|edge|border|margin|end|reaches"
)
PREPOSITION: Final = re.compile(
    r"(?:^| )(?:on|in|at|to|toward|near|along|by|against|within|over (?:on|to|in|at)|close to|up (?:in|at)|down (?:in|at)|right at"
    r"|next to|off to|out to|up to|down to|up against) (?:the|its) (?=(?:very |far |extreme |outer |exact |dead |geometric )*"
    r"(?:left|right|top|bottom|upper|lower|middle|central)\b)"
)
_PLACE: Final = re.compile(
    rf"(?P<prep>[a-z ]+?) (?:the|its) (?P<far>(?:(?:very|far|extreme|outer|exact|dead|geometric) )*)"
    rf"(?P<one>left|right|top|bottom|upper|lower|middle|central)(?:(?: and | )(?P<two>left|right|top|bottom|middle))?"
    rf"(?: (?P<part>{_PART}))?{OF_PICTURE}"
)
_BESIDE_MIDDLE: Final = re.compile(
    rf"(?:(?:to|on) the )?(?P<side>left|right|above|below)(?: of)? the (?:middle|midline|middle line){OF_PICTURE}"
)
_TOUCHES: Final = re.compile(
    rf"(?:touch(?:es)?|reach(?:es)?|meets?|cut off (?:by|at)|cropped (?:by|at)|goes off|runs off|extends? to|flush with) the (?P<side>left|right|top|bottom|upper|lower)"
    rf"(?: (?:edge|border|side|margin|end))?(?: (?:of|in) {PICTURE})?"
)
_NEAR: Final = frozenset(("near", "close to", "by", "against", "along", "next to", "up against"))


@lru_cache(maxsize=1024)
def read_place(text: str) -> Placed | None:
    """The part of the picture that `text` names with its preposition, or None where it names none."""
    if (found := _PLACE.fullmatch(text)) is not None and PREPOSITION.match(text):
        one, two, part = found["one"], found["two"], found["part"]
        if one in ("upper", "lower", "central") and two is None and part is None:
            return None
        places = tuple(dict.fromkeys(_SIDES[word] for word in (one, two) if word is not None))
        if {"left", "right"} <= set(places) or {"top", "bottom"} <= set(places):
            return None
        if len(places) > 1 and "middle" in places:
            # "the top middle" is in the middle from left to right alone.
            places = tuple(place for place in places if place != "middle")
        return Placed(places, _how(found["prep"], part, places))
    if (found := _BESIDE_MIDDLE.fullmatch(text)) is not None:
        side = {"above": "top", "below": "bottom"}.get(found["side"], found["side"])
        return Placed((_SIDES[side],), "side")
    if (found := _TOUCHES.fullmatch(text)) is not None:
        return Placed((_SIDES[found["side"]],), "reaches")
    return None


def _how(preposition: str, part: str | None, places: tuple[Place, ...]) -> Literal["side", "half", "third", "edge"]:
    if len(places) > 1 or part == "corner":
        return "side"
    if part in ("half", "quadrant"):
        return "half"
    if part in ("third", "quarter"):
        return "third"
    if part in ("edge", "border", "margin") or preposition in _NEAR:
        return "edge"
    return "side"
