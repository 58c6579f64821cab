"""The closed word lists of the reader, and how a text is brought into the form that it reads.

Everything is lower case; hyphens are blanks, "centre" and "center" are "middle", "breadth" is "width", short forms are
written out, and what stands between quotation marks is gone, for who quotes does not claim.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from critics.evidence import stem
from critics.geometry.statements import Measure

MAX_SENTENCE: Final = 400
"""Characters of a sentence that is read; a longer one says nothing that a reader of patterns can hold."""
MAX_SENTENCES: Final = 200
"""Sentences of a text that are read."""
NUMBERS: Final[Mapping[str, int]] = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 - a list of words
    )
}
NUMBER: Final = rf"(?:{'|'.join(NUMBERS)}|\d{{1,3}})"
TAG: Final = r"\[\d{1,4}\]"
PICTURE_NOUN: Final = r"(?:picture|image|photo|photograph|frame|view|scene|shot|canvas|screen|composition|snapshot)"
PICTURE: Final = (
    rf"(?:the |this |that |our )?(?:whole |entire |full |visible )?{PICTURE_NOUN}(?:'s)?(?: (?:area|surface|space))?"
)
OF_PICTURE: Final = rf"(?: (?:of|in|within|inside|across) {PICTURE})?"
GENERIC: Final = frozenset(
    "one ones region regions object objects thing things box boxes area areas item items two three four others rest"
    " element elements marked".split()
)
"""Nouns that any region is."""
COMPARATIVES: Final[Mapping[str, tuple[Measure, int]]] = {
    "larger": ("area", 1),
    "bigger": ("area", 1),
    "smaller": ("area", -1),
    "wider": ("width", 1),
    "broader": ("width", 1),
    "narrower": ("width", -1),
    "slimmer": ("width", -1),
    "taller": ("height", 1),
    "shorter": ("height", -1),
}
ADJECTIVES: Final[Mapping[str, tuple[Measure, int]]] = {
    "large": ("area", 1),
    "big": ("area", 1),
    "small": ("area", -1),
    "little": ("area", -1),
    "wide": ("width", 1),
    "broad": ("width", 1),
    "narrow": ("width", -1),
    "tall": ("height", 1),
    "short": ("height", -1),
}
SUPERLATIVES: Final[Mapping[str, tuple[Measure, int]]] = {
    "largest": ("area", 1),
    "biggest": ("area", 1),
    "smallest": ("area", -1),
    "littlest": ("area", -1),
    "tiniest": ("area", -1),
    "widest": ("width", 1),
    "broadest": ("width", 1),
    "narrowest": ("width", -1),
    "tallest": ("height", 1),
    "shortest": ("height", -1),
    "leftmost": ("x", -1),
    "rightmost": ("x", 1),
    "topmost": ("y", -1),
    "uppermost": ("y", -1),
    "highest": ("y", -1),
    "bottommost": ("y", 1),
    "lowest": ("y", 1),
    "lowermost": ("y", 1),
    "centralmost": ("from_middle", -1),
}
# "the left most" and the like, before words are looked up.
_JOINED: Final = re.compile(r"\b(left|right|top|bottom|upper|lower) most\b(?! of)")
_SHORT_FORMS: Final = (
    (re.compile(r"\bcan't\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(it|that|there|he|she|what|which|who|here|where)'s\b"), r"\1 is"),
    (re.compile(r"\b(they|there|we|you)'re\b"), r"\1 are"),
)
_QUOTED: Final = re.compile(r"[\"“”„«»][^\"“”„«»]*[\"“”„«»]|(?:(?<=\s)|^)[‘'][^‘’'\n]{1,300}[’'](?=[\s.,;!?)]|$)")
_SPACES: Final = re.compile(r"[\s\-‐‑_*]+")
_SAME: Final = (
    (re.compile(r"\bcent(?:re|er)s?\b"), "middle"),
    (re.compile(r"\bbreadth\b"), "width"),
    (re.compile(r"\bfarther\b"), "further"),
    (re.compile(r"\bfarthest\b|\bfurthermost\b"), "furthest"),
    (re.compile(r"\btowards\b"), "toward"),
    (re.compile(r"\bleft hand\b(?= (?:side|half|part|portion|corner|edge|third|end))"), "left"),
    (re.compile(r"\bright hand\b(?= (?:side|half|part|portion|corner|edge|third|end))"), "right"),
    (re.compile(rf"\b(?:regions?|objects?|box(?:es)?|areas?|numbers?|items?) (?={TAG})"), ""),
)
_SENTENCE: Final = re.compile(r"(?<=[.!?;\n])\s+|(?<=[^\d]):\s|\n")
PERSONS: Final = frozenset(
    "man woman boy girl child kid baby toddler lady gentleman guy player rider surfer skier pedestrian worker cyclist"
    " skateboarder snowboarder people men women children ladie human adult teenager".split()
)
ANIMALS: Final = frozenset("dog cat horse cow sheep bird elephant zebra giraffe bear goat pig duck".split())
VEHICLES: Final = frozenset("car bus truck van bicycle bike motorcycle train boat airplane plane taxi".split())
KINDS: Final[Mapping[str, frozenset[str]]] = {"person": PERSONS, "animal": ANIMALS, "vehicle": VEHICLES}
"""What a general noun covers besides itself."""
_ODD_PLURALS: Final = {
    "people": "person",
    "persons": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "geese": "goose",
    "knives": "knife",
    "leaves": "leaf",
    "shelves": "shelf",
    "loaves": "loaf",
    "wolves": "wolf",
    "feet": "foot",
    "buses": "bus",
    "glasses": "glass",
    "horses": "horse",
}


def singular(word: str) -> str:
    """The stem by which nouns are compared, the same for one and for many."""
    return stem(_ODD_PLURALS.get(word, word))


def is_plural(word: str) -> bool:
    """Whether a noun looks like many."""
    return word in _ODD_PLURALS or (word.endswith("s") and not word.endswith(("ss", "us")))


def number_of(word: str) -> int | None:
    """What a number word or digits say."""
    return NUMBERS.get(word, int(word) if word.isdigit() else None)


def plain(text: str) -> str:
    """A text in the form that is read."""
    text = text.lower().replace("’", "'") if "“" not in text and "‘" not in text else text.lower()
    text = _QUOTED.sub(" quoted ", text).replace("’", "'")
    text = _SPACES.sub(" ", text.replace("\n", " \n "))
    for pattern, word in (*_SHORT_FORMS, *_SAME):
        text = pattern.sub(word, text)
    return _JOINED.sub(r"\1most", text).strip()


def sentences_of(text: str) -> Iterator[str]:
    """The sentences of a text, each as it stands there; those that are too long are left out."""
    for number, sentence in enumerate(_SENTENCE.split(text)):
        if number >= MAX_SENTENCES:
            return
        if 0 < len(sentence) <= MAX_SENTENCE:
            yield sentence.strip()
