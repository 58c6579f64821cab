"""What is said of a subject, in words: predicates of places, directions, sizes, shares and shared space.

Each pattern has to take the whole of what follows the verb, so that a word that is not understood leaves the sentence
unread. Patterns have at most one part of any length, at the end, so that matching takes linear time.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from critics.geometry.phrases import read_phrase
from critics.geometry.places import read_place
from critics.geometry.statements import (
    Alike,
    Between,
    Compared,
    Covers,
    Described,
    Ends,
    Everything,
    Extreme,
    Is,
    Listed,
    Measure,
    Near,
    Nearer,
    Numbers,
    Others,
    Phrase,
    Predicate,
    Shared,
    Wider,
)
from critics.geometry.words import (
    ADJECTIVES,
    COMPARATIVES,
    GENERIC,
    NUMBER,
    OF_PICTURE,
    PICTURE,
    SUPERLATIVES,
    number_of,
)

Match = re.Match[str]
_O: Final = r"(?P<o>.+)"
_COMPARATIVE: Final = "|".join(COMPARATIVES)
_ADJECTIVE: Final = "|".join(ADJECTIVES)
_SUPERLATIVE: Final = "|".join(SUPERLATIVES)
_DIRECTIONS: Final[dict[str, tuple[Measure, int]]] = {
    "left": ("x", -1),
    "right": ("x", 1),
    "above": ("y", -1),
    "higher": ("y", -1),
    "up": ("y", -1),
    "upward": ("y", -1),
    "below": ("y", 1),
    "lower": ("y", 1),
    "down": ("y", 1),
    "downward": ("y", 1),
    "under": ("y", 1),
    "beneath": ("y", 1),
    "underneath": ("y", 1),
}
_NOUNS: Final[dict[str, Measure]] = {
    "size": "area",
    "area": "area",
    "width": "width",
    "height": "height",
    "space": "area",
    "room": "area",
    "surface": "area",
    "ground": "area",
}
_FRACTIONS: Final = {
    "half": 1 / 2,
    "third": 1 / 3,
    "thirds": 1 / 3,
    "quarter": 1 / 4,
    "quarters": 1 / 4,
    "fourth": 1 / 4,
    "fifth": 1 / 5,
    "fifths": 1 / 5,
    "sixth": 1 / 6,
    "eighth": 1 / 8,
    "tenth": 1 / 10,
    "tenths": 1 / 10,
    "twentieth": 1 / 20,
}
_SHARE: Final = (
    rf"(?:(?P<of>a|an|one|{NUMBER}) )?(?P<fraction>{'|'.join(_FRACTIONS)})|(?P<percent>\d{{1,3}}(?:\.\d+)?) ?(?:%|percent|per cent)"
    r"|(?P<most>most|the majority|the greater part|the larger part|nearly all|almost all|all)"
)
_BOUNDS: Final = {
    "more than": "more",
    "over": "more",
    "well over": "more",
    "at least": "more",
    "fully": "more",
    "no less than": "more",
    "not less than": "more",
    "less than": "less",
    "fewer than": "less",
    "under": "less",
    "well under": "less",
    "at most": "less",
    "up to": "less",
    "no more than": "less",
    "not more than": "less",
    "not even": "less",
    "only": "about",
    "just": "about",
    "exactly": "about",
    "about": "about",
    "around": "about",
    "roughly": "about",
    "approximately": "about",
    "some": "about",
    "nearly": "about",
    "almost": "about",
    "close to": "about",
    "much more than": "more",
    "far more than": "more",
    "much less than": "less",
    "far less than": "less",
    "slightly more than": "more",
    "slightly less than": "less",
    "a little more than": "more",
    "a little less than": "less",
    "a little over": "more",
    "just over": "more",
    "just under": "less",
}
_BOUND: Final = rf"(?:(?P<bound>{'|'.join(sorted(_BOUNDS, key=len, reverse=True))}) )?"
_FACTORS: Final = {"twice": 2.0, "double": 2.0, "half": 0.5, "a third": 1 / 3, "one third": 1 / 3, "a quarter": 0.25}
_FACTOR: Final = rf"(?P<factor>{'|'.join(_FACTORS)}|(?:{NUMBER}|\d+\.\d+) times)"
COVERING: Final = (
    r"(?:covers?|takes? up|takes? in|takes?|occup(?:ies|y)|fills?|claims?|spans?|makes? up|uses?(?: up)?|accounts? for|(?:reach(?:es)?|stretch(?:es)?|extends?"
    r"|goes|runs?) (?:across|over|through))"
)


def _phrase(found: Match) -> Phrase | None:
    return read_phrase(found["o"])


def _than(text: str) -> Phrase | None:
    """What stands after "than": "[1]", "[1] is", "that of [1]"."""
    for end in (" is", " are", " does", " do"):
        text = text.removesuffix(end)
    return read_phrase(text.removeprefix("that of ").removeprefix("those of "))


def _compared(measure: Measure, sign: int, text: str, **more: object) -> Predicate | None:
    other = _than(text)
    return None if other is None else Compared(measure, sign, other, **more)  # type: ignore[arg-type] # names of fields


def _direction(found: Match) -> Predicate | None:
    word = found["d"]
    return _compared(*_DIRECTIONS[word], found["o"], is_loose=word in ("under", "beneath", "underneath"))


def _side_of_picture(found: Match) -> Predicate | None:
    measure: Measure = {"upper": "top", "lower": "bottom", "middle": "from_middle"}.get(found["d"], found["d"])  # type: ignore[assignment] # names of measures
    sign = -1 if found["c"] in ("nearer", "closer", "less far") else 1
    return _compared(measure, sign, found["o"])


def _size(found: Match) -> Predicate | None:
    measure, sign = COMPARATIVES[found["c"]]
    noun = found.groupdict().get("n")
    if noun is not None and measure != "area" and _NOUNS[noun] != measure:
        return None
    if noun in ("width", "height"):
        measure = _NOUNS[noun]
    is_at_most = found["no"] is not None
    return _compared(measure, -sign if is_at_most else sign, found["o"], or_equal=is_at_most)


def _bare(found: Match) -> Predicate:
    measure, sign = COMPARATIVES[found["c"]]
    if found["o"] is None:
        return Compared(measure, sign, None)
    pair = read_phrase(found["o"])
    return Compared(measure, sign, pair if isinstance(pair, Numbers | Listed) else None)


def _less(found: Match) -> Predicate | None:
    measure, sign = ADJECTIVES[found["c"]]
    return _compared(measure, -sign if found["m"] == "less" else sign, found["o"])


def _as(found: Match) -> Predicate | None:
    measure, sign = ADJECTIVES[found["c"]]
    if found["b"] in ("at least", "at most"):
        return _compared(measure, sign if found["b"] == "at least" else -sign, found["o"], or_equal=True)
    other = _than(found["o"])
    return None if other is None else Alike(measure, other)


def _times(found: Match) -> Predicate | None:
    word, groups = found["factor"], found.groupdict()
    factor = _FACTORS.get(word)
    if factor is None:
        first = word.removesuffix(" times")
        number = number_of(first)
        factor = float(first) if number is None else float(number)
    measure, sign = "area", 1
    if groups["c"] is not None:
        measure, sign = ADJECTIVES[groups["c"]]
    elif groups["n"] is not None:
        measure = _NOUNS[groups["n"]]
    elif groups["k"] is not None:
        measure, sign = COMPARATIVES[groups["k"]]
    if factor <= 0:
        return None
    bound = _BOUNDS[groups["bound"]] if groups["bound"] else "about"
    if sign < 0:
        factor, bound = 1 / factor, {"more": "less", "less": "more"}.get(bound, bound)
    return _compared(measure, 1, found["o"], factor=factor, bound=bound)  # type: ignore[arg-type] # a measure


def _same(found: Match) -> Predicate | None:
    measure: Measure = _NOUNS[found["n"]] if found["n"] in _NOUNS else "y"
    if found["at"]:  # "at the same height": a place, not a size
        measure = "y"
    if found["o"] is None:
        return Alike(measure, None)
    other = _than(found["o"])
    return None if other is None else Alike(measure, other)


def _level(found: Match) -> Predicate | None:
    other = _phrase(found)
    return None if other is None else Alike("y", other)


def _more_space(found: Match) -> Predicate | None:
    measure: Measure = _NOUNS.get(found["n"] or "", "area")
    return _compared(measure, 1 if found["m"] in ("more", "larger", "bigger", "greater") else -1, found["o"])


def _has(found: Match) -> Predicate | None:
    measure = _NOUNS[found["n"]]
    sign = -1 if found["m"] in ("smaller", "lesser", "lower", "narrower", "shorter") else 1
    return _compared(measure, sign, found["o"])


def _share(found: Match) -> Predicate | None:
    groups = found.groupdict()
    measure: Measure = _NOUNS.get(groups.get("n") or "", "area")
    verb = groups.get("verb") or ""
    if verb.endswith("across") and groups.get("n") is None:
        return None  # of the width, or of the picture: it may be meant of either
    bound = _BOUNDS[groups["bound"]] if groups["bound"] else "about"
    if groups["most"] is not None:
        share = 0.5 if groups["most"] not in ("all", "nearly all", "almost all") else 0.8
        return Covers(measure, "more", share)  # type: ignore[arg-type] # an extent
    if groups["percent"] is not None:
        share = float(groups["percent"]) / 100
    else:
        count = number_of(groups["of"]) if groups["of"] not in (None, "a", "an") else 1
        share = (count or 1) * _FRACTIONS[groups["fraction"]]
    return Covers(measure, bound, share) if 0 < share <= 1 else None  # type: ignore[arg-type] # bounds and extents


def _wide_share(found: Match) -> Predicate | None:
    read = _share(found)
    if not isinstance(read, Covers):
        return None
    measure = COMPARATIVES[found["c"]] if found["c"] in COMPARATIVES else ADJECTIVES[found["c"]]
    if found["c"] in COMPARATIVES:
        return Covers(measure[0], "more" if measure[1] > 0 else "less", read.share)  # type: ignore[arg-type] # an extent
    return Covers(measure[0], read.bound, read.share)  # type: ignore[arg-type] # an extent


def _extreme(found: Match) -> Predicate | None:
    measure, sign = SUPERLATIVES[found["c"]]
    return _in_group(measure, sign, found)


def _furthest(found: Match) -> Predicate | None:
    return _in_group(*_DIRECTIONS[found["d"]], found)


def _nearest_side(found: Match) -> Predicate | None:
    side = {"upper": "top", "lower": "bottom", "middle": "from_middle", "central": "from_middle"}.get(
        found["d"], found["d"]
    )
    return _in_group(side, -1 if found["c"] in ("nearest", "closest") else 1, found)  # type: ignore[arg-type] # a measure


def _most_space(found: Match) -> Predicate | None:
    return _in_group("area", 1 if found["m"] in ("most", "largest", "biggest", "greatest") else -1, found)


def _in_group(measure: Measure, sign: int, found: Match) -> Predicate | None:
    groups = found.groupdict()
    noun, wanted = (groups.get("noun") or "").strip(), groups.get("o")
    rank = {"second": 2, "third": 3}.get(groups.get("rank") or "", 1)
    words = noun.split()
    head = words[-1] if words else ""
    if len(words) > 1 and any(word not in GENERIC and word not in ("marked", "numbered") for word in words[:-1]):
        return None
    group: Phrase | None = Everything("" if head in GENERIC else head)
    if (
        wanted is not None
        and re.fullmatch(rf"{PICTURE}|all|them|them all|all of them|the group|the lot|both|the pair", wanted) is None
    ):
        group = read_phrase(wanted)
        if not isinstance(group, Numbers | Listed | Everything | Others):
            return None
    return Extreme(measure, sign, group, rank)  # type: ignore[arg-type] # a phrase by now


def _sharing(found: Match) -> Predicate | None:
    groups = found.groupdict()
    how = next(
        name
        for name in (
            "overlap",
            "cross",
            "touch",
            "apart",
            "wholly_inside",
            "inside",
            "outside",
            "wholly_contains",
            "contains",
        )
        if groups.get(name)
    )
    other = None if groups.get("o") is None or groups["o"] in ("each other", "one another") else _phrase(found)
    if other is None and groups.get("o") not in (None, "each other", "one another"):
        return None
    return Shared(how.replace("_", " "), other)  # type: ignore[arg-type] # names of the table


def _ends(found: Match) -> Predicate | None:
    other = _phrase(found)
    axis = "y" if (found["way"] or "").endswith(("bottom", "down")) else "x"
    return None if other is None or found["way"] is None else Ends(axis, 1, other)  # type: ignore[arg-type] # an axis


def _near(found: Match) -> Predicate | None:
    if found["o"] in ("each other", "one another"):
        return Near(None, is_far=found["c"].startswith("far"))
    other = _phrase(found)
    return (
        None
        if other is None
        else Near(other, found["c"].startswith("far"), found["c"] in ("beside", "next to", "alongside"))
    )


def _nearer(found: Match) -> Predicate | None:
    sign = 1 if found["c"] in ("nearer", "closer") else -1
    first, _, second = found["o"].partition(" than ")
    other, is_subject = read_phrase(first), second.endswith((" is", " does", " are"))
    than = read_phrase(second.removesuffix(" is").removesuffix(" does").removesuffix(" are").removeprefix("to "))
    if other is None or than is None:
        return None
    if not is_subject and not second.startswith("to "):
        # "nearer to [1] than [2]" may mean either way.
        return None
    return Nearer(other, than, is_subject, sign)


def _between(found: Match) -> Predicate | None:
    others = _phrase(found)
    return Between(others) if isinstance(others, Numbers | Listed | Described) else None


def _wider(found: Match) -> Predicate:
    return Wider(1 if found["c"] in ("wider", "broader") else -1)


def _picked(found: Match) -> Predicate | None:
    phrase = read_phrase(found[0])
    picks = getattr(phrase, "picks", ())
    return Is(phrase) if phrase is not None and picks else None


_OF_GROUP: Final = r"(?: (?:of|among|amongst|in|from|out of|within) (?P<o>.+))?"
_NOUN: Final = r"(?P<noun>(?: [a-z]+){0,3}?)"
_RANK: Final = r"(?:the |its |their )?(?:(?P<rank>second|third) )?"
_TABLE: Final[tuple[tuple[str, Callable[[Match], Predicate | None]], ...]] = (
    (
        rf"(?:(?:on|to|at|toward|over to|over on|off to|in) the )?(?:far |immediate )?(?P<d>left|right)(?: side)? (?:of|from) {_O}",
        _direction,
    ),
    (
        rf"(?:further|more) (?:(?:to|on|over to|over|toward) )?(?:the )?(?P<d>left|right|up|down|upward|downward)(?: side)?{OF_PICTURE} than {_O}",
        _direction,
    ),
    (rf"(?P<d>above|below|under|beneath|underneath) {_O}", _direction),
    (
        rf"(?:(?:placed|set|positioned|located|up|at a|in a|on a) )*(?P<d>higher|lower)(?: (?:up|down|position|place|level|spot))?{OF_PICTURE} than {_O}",
        _direction,
    ),
    (
        rf"(?P<c>nearer|closer|further)(?: to| from|) (?:the )?(?P<d>left|right|top|bottom|upper|lower|middle)(?: (?:edge|side|border|end|margin|point))?{OF_PICTURE} than {_O}",
        _side_of_picture,
    ),
    (
        rf"(?P<c>nearer|closer|further)(?: to| from|) (?:an|the|any|the nearest|the closest|a) (?P<d>edge|corner)(?:s)?{OF_PICTURE} than {_O}",
        _side_of_picture,
    ),
    (rf"(?P<no>no |not any )?(?P<c>{_COMPARATIVE})(?: in (?P<n>size|area|width|height))?{OF_PICTURE} than {_O}", _size),
    (
        rf"(?:the )?(?P<c>{_COMPARATIVE})(?: one| region| of the two| of the pair| of both)?(?:,? (?:of|out of|between) (?P<o>.+))?",
        _bare,
    ),
    (rf"(?P<m>less|more) (?P<c>{_ADJECTIVE}) than {_O}", _less),
    (
        rf"(?:(?P<b>at least|at most|about|roughly|just|exactly|nearly|almost|every bit) )?as (?P<c>{_ADJECTIVE}) as {_O}",
        _as,
    ),
    (
        rf"{_BOUND}{_FACTOR} (?:as (?P<c>{_ADJECTIVE}) as|(?:the|its) (?P<n>size|area|width|height) of|(?P<k>{_COMPARATIVE}) than) {_O}",
        _times,
    ),
    (
        rf"(?:(?P<at>at) |on |of )?(?:about |roughly |nearly |almost |exactly )?(?:the|a) (?:same|equal|similar) (?P<n>size|area|width|height|level)(?: (?:as|to|with) (?P<o>.+))?",
        _same,
    ),
    (rf"(?:level with|on a level with|in line horizontally with|in a row with) {_O}", _level),
    (
        rf"{COVERING} (?:(?:far|much|slightly|a little|considerably|a bit|somewhat) )?(?:a )?(?P<m>more|less|larger|bigger|smaller|greater)(?: (?P<n>space|room|area|surface|ground|width|height|part|share|portion))?(?: of)?(?: (?:the|its) (?P<of>width|height) of)?(?: {PICTURE})?{OF_PICTURE} than {_O}",
        _more_space,
    ),
    (
        rf"(?:has|have) (?:a |the )?(?P<m>larger|bigger|greater|smaller|lesser|lower|narrower|shorter|broader|wider) (?P<n>area|width|height|size) than {_O}",
        _has,
    ),
    (
        rf"(?:(?P<verb>{COVERING}) ){_BOUND}(?:{_SHARE})(?: of)?(?: (?:the|its) (?P<n>width|height|area|surface|space) of)?(?: (?P<pic>{PICTURE}))(?:'s)?(?: (?P<n2>width|height))?",
        _share,
    ),
    (rf"{_BOUND}(?:{_SHARE}) (?:of )?(?:(?:the|its) )?(?P<n>width|height|area|size) of {PICTURE}", _share),
    (
        rf"(?P<c>wider|broader|narrower|taller|shorter|larger|smaller) than {_BOUND}(?:{_SHARE}) (?:of )?{PICTURE}",
        _wide_share,
    ),
    (rf"{_BOUND}(?:{_SHARE}) as (?P<c>{_ADJECTIVE}) as {PICTURE}", _wide_share),
    (rf"{_RANK}(?:most )?(?P<c>{_SUPERLATIVE}){_NOUN}{_OF_GROUP}", _extreme),
    (
        rf"{_RANK}(?:one |region )?furthest (?:to the |toward the |over to the )?(?P<d>left|right|up|down){_NOUN}{_OF_GROUP}",
        _furthest,
    ),
    (
        rf"(?:the )?(?:one |region )?(?P<c>nearest|closest|furthest)(?: to| from) the (?P<d>left|right|top|bottom|middle)(?: (?:edge|side|border|point))?{_OF_GROUP}",
        _nearest_side,
    ),
    (rf"(?:the )?most (?P<d>central)(?P<c>){_NOUN}{_OF_GROUP}", lambda found: _in_group("from_middle", -1, found)),
    (
        rf"{COVERING} (?:the )?(?P<m>most|least|largest|biggest|greatest|smallest) (?:space|room|area|surface|part|share|portion)?{OF_PICTURE}{_OF_GROUP}",
        _most_space,
    ),
    (rf"(?:has|have) the (?P<m>largest|biggest|greatest|smallest) (?:area|size){_OF_GROUP}", _most_space),
    (rf"(?P<overlap>overlap(?:s|ping)?|intersect(?:s|ing)?|share(?:s)? (?:some )?space)(?: with)?(?: {_O})?", _sharing),
    (rf"(?P<cross>cross(?:es|ing)?)(?: {_O})?", _sharing),
    (rf"(?:in )?(?P<touch>touch(?:es|ing)?|contact with|contact)(?: {_O})?", _sharing),
    (
        rf"(?:(?:clearly|well|quite|far|completely|wholly|entirely) )?(?:set |kept )?(?P<apart>apart|separate|separated|clear|disjoint)(?: (?:from|of) {_O})?",
        _sharing,
    ),
    (
        rf"(?:wholly|completely|entirely|fully|totally|all) (?P<wholly_inside>inside|within|enclosed by|enclosed in|surrounded by|contained in|contained by)(?: of)?(?: the (?:bounds|box|outline|frame|borders) of)? {_O}",
        _sharing,
    ),
    (
        rf"(?P<inside>inside|within|enclosed by|enclosed in|surrounded by|contained in|contained by|contained within)(?: of)?(?: the (?:bounds|box|outline|frame|borders) of)? {_O}",
        _sharing,
    ),
    (rf"(?:(?:wholly|completely|entirely|fully) )?(?P<outside>outside)(?: of)? {_O}", _sharing),
    (
        rf"(?:wholly|completely|entirely|fully) (?P<wholly_contains>contains?|encloses?|surrounds?|encompass(?:es)?|includes?) {_O}",
        _sharing,
    ),
    (rf"(?P<contains>contains?|encloses?|surrounds?|encompass(?:es)?) {_O}", _sharing),
    (
        rf"(?:ends?|stops?|finishes|finish) before (?P<o>.+?) (?:begins?|starts?)(?: (?P<way>from left to right|from top to bottom|on the way down|on the way across))?",
        _ends,
    ),
    (rf"(?P<c>beside|next to|alongside|adjacent to|near|close to|near to|far from|far away from) {_O}", _near),
    (rf"(?P<c>nearer|closer|further)(?: to| from) {_O}", _nearer),
    (rf"(?:in )?between {_O}", _between),
    (r"(?P<c>wider|broader|taller|higher) than (?:it|they) (?:is|are) (?:tall|wide|high|broad)", _wider),
    (r"the .+", _picked),
)
PATTERNS: Final = tuple((re.compile(pattern), read) for pattern, read in _TABLE)


@lru_cache(maxsize=2048)
def read_predicate(text: str) -> Predicate | None:
    """What is said of a subject by what follows its verb, or None where that is not understood."""
    place = read_place(text)
    if place is not None:
        return place
    for pattern, read in PATTERNS:
        found = pattern.fullmatch(text)
        if found is not None:
            predicate = read(found)
            if predicate is not None:
                return predicate
    return None
