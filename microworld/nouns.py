"""Noun phrases of the microworld, in both directions: from what is said of a thing to words, and back.

The order is fixed (size, pose, colour and pattern in either order, noun, what it is in, wears and holds), and reading
is as strict as writing: an article that does not agree, or a word twice, makes no phrase. Reading takes the longest
phrase at a place; no form goes on with a word that a phrase could go on with, so that nothing is lost by that.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from microworld.claims import HeldKind, Kind
from microworld.scenes import COLOURS, PATTERNS, POSES, SHAPES, Colour, Pattern, Pose, Shape, Size

SIZE_WORDS: Mapping[str, Size] = {"small": "small", "little": "small", "large": "large", "big": "large"}
COLOUR_WORDS: Mapping[str, Colour] = {colour: colour for colour in COLOURS}
PATTERN_WORDS: Mapping[str, Pattern] = {pattern: pattern for pattern in PATTERNS}
POSE_WORDS: Mapping[str, Pose] = {pose: pose for pose in POSES}
NOUNS: Mapping[str, Shape | None] = {**{shape: shape for shape in SHAPES}, "thing": None}
PLURALS: Mapping[str, Shape | None] = {
    noun + ("es" if noun.endswith("s") else "s"): shape for noun, shape in NOUNS.items()
}
# What may follow a noun, longest first: words, and the parts of what is said that stand in braces.
_TAILS = (
    "that wears {hat} and holds {held}",
    "wearing {hat} and holding {held}",
    "that wears {hat}",
    "wearing {hat}",
    "that holds {held}",
    "that carries {held}",
    "that holds nothing",
    "with {hat}",
    "without a hat",
    "holding {held}",
    "carrying {held}",
    "holding nothing",
)
TAILS = tuple(tail.split() for tail in _TAILS)


@dataclass(frozen=True, slots=True)
class Read:
    """Something read from tokens, and the place after it."""

    value: object
    end: int


def article(word: str) -> str:
    """ "a" or "an" before `word`."""
    return "an" if word[:1] in "aeiou" else "a"


def with_article(phrase: str) -> str:
    """`phrase` after its article."""
    return f"{article(phrase)} {phrase}"


def word_for(words: Mapping[str, object], value: object, rng: random.Random) -> str:
    """One of the words that stand for `value`."""
    return rng.choice([word for word, meaning in words.items() if meaning == value])


def write_noun(kind: Kind, rng: random.Random, *, plural: bool = False) -> str | None:
    """`kind` as a noun with all that is said of it, without an article; a plural says nothing of hats and holding."""
    if plural and (kind.hat is not None or kind.holds is not None):
        return None
    words = [] if kind.size is None else [word_for(SIZE_WORDS, kind.size, rng)]
    words += [] if kind.pose is None else [kind.pose]
    clad = kind.shape == "figure" and kind.colour is not None and rng.random() < 0.5
    looks = [look for look in (None if clad else kind.colour, kind.pattern) if look is not None]
    words += looks if rng.random() < 0.7 else looks[::-1]
    words.append(word_for(PLURALS if plural else NOUNS, kind.shape, rng))
    words += ["in", str(kind.colour)] if clad else []
    tail = _write_tail(kind, rng)
    return None if tail is None else " ".join(words) + tail


def _write_tail(kind: Kind, rng: random.Random) -> str | None:
    if kind.hat is None and kind.holds is None:
        return ""
    if kind.hat == "none":
        return " without a hat" if kind.holds is None else None
    if kind.holds == "nothing":
        return rng.choice((" that holds nothing", " holding nothing")) if kind.hat is None else None
    wanted = {name for name, value in (("{hat}", kind.hat), ("{held}", kind.holds)) if value is not None}
    tail = rng.choice([tail for tail in TAILS if {word for word in tail if word[0] == "{"} == wanted])
    parts = {"{hat}": write_hat(kind, rng), "{held}": write_held(kind, rng)}
    return " " + " ".join(parts.get(word) or word for word in tail)


def write_hat(kind: Kind, _rng: random.Random) -> str | None:
    """`a blue hat`, or `a hat` whatever its colour."""
    if kind.hat in (None, "none"):
        return None
    return "a hat" if kind.hat == "any" else with_article(f"{kind.hat} hat")


def write_held(kind: Kind, _rng: random.Random) -> str | None:
    """`a white star`, `a white thing`, `a star` or `something`."""
    if not isinstance(kind.holds, HeldKind):
        return None
    if kind.holds == HeldKind():
        return "something"
    return with_article(" ".join(filter(None, (kind.holds.colour, kind.holds.shape or "thing"))))


def read_noun(tokens: Sequence[str], start: int, *, plural: bool = False) -> Read | None:
    """The longest noun phrase without article that begins at `start`, as a `Kind`."""
    at, kind = start, Kind()
    if _at(tokens, at) in SIZE_WORDS:
        kind, at = replace(kind, size=SIZE_WORDS[tokens[at]]), at + 1
    if _at(tokens, at) in POSE_WORDS:
        kind, at = replace(kind, pose=POSE_WORDS[tokens[at]]), at + 1
    for _ in range(2):
        if kind.colour is None and _at(tokens, at) in COLOUR_WORDS:
            kind, at = replace(kind, colour=COLOUR_WORDS[tokens[at]]), at + 1
        elif kind.pattern is None and _at(tokens, at) in PATTERN_WORDS:
            kind, at = replace(kind, pattern=PATTERN_WORDS[tokens[at]]), at + 1
    nouns = PLURALS if plural else NOUNS
    if _at(tokens, at) not in nouns:
        return None
    kind, at = replace(kind, shape=nouns[tokens[at]]), at + 1
    if (
        kind.shape == "figure"
        and kind.colour is None
        and _at(tokens, at) == "in"
        and _at(tokens, at + 1) in COLOUR_WORDS
    ):
        kind, at = replace(kind, colour=COLOUR_WORDS[tokens[at + 1]]), at + 2
    return Read(kind, at) if plural else _read_tail(tokens, at, kind)


def _read_tail(tokens: Sequence[str], start: int, kind: Kind) -> Read:
    for tail in TAILS:
        at, found = start, kind
        for word in tail:
            part = read_hat(tokens, at) if word == "{hat}" else read_held(tokens, at) if word == "{held}" else None
            if part is not None:
                assert isinstance(part.value, Kind), "hats and held things are read as what is said of their bearer"
                found = replace(found, hat=part.value.hat or found.hat, holds=part.value.holds or found.holds)
                at = part.end
            elif word == _at(tokens, at):
                at += 1
            else:
                break
        else:
            if tail == ["without", "a", "hat"]:
                found = replace(found, hat="none")
            elif tail[-1] == "nothing":
                found = replace(found, holds="nothing")
            return Read(found, at)
    return Read(kind, start)


def read_hat(tokens: Sequence[str], start: int) -> Read | None:
    """`a blue hat` or `a hat` at `start`, as a `Kind`."""
    if not _agrees(tokens, start):
        return None
    if _at(tokens, start + 1) == "hat":
        return Read(Kind(hat="any"), start + 2)
    if _at(tokens, start + 1) in COLOUR_WORDS and _at(tokens, start + 2) == "hat":
        return Read(Kind(hat=COLOUR_WORDS[tokens[start + 1]]), start + 3)
    return None


def read_held(tokens: Sequence[str], start: int) -> Read | None:
    """`a white star`, `a white thing`, `a star` or `something` at `start`, as a `Kind`."""
    if _at(tokens, start) == "something":
        return Read(Kind(holds=HeldKind()), start + 1)
    if not _agrees(tokens, start):
        return None
    at = start + 1
    colour = COLOUR_WORDS.get(_at(tokens, at))
    at += colour is not None
    if _at(tokens, at) not in NOUNS:
        return None
    held = HeldKind(NOUNS[tokens[at]], colour)
    return None if held == HeldKind() else Read(Kind(holds=held), at + 1)


def read_some(tokens: Sequence[str], start: int) -> Read | None:
    """A noun phrase after the right one of "a" and "an"."""
    return read_noun(tokens, start + 1) if _agrees(tokens, start) else None


def _agrees(tokens: Sequence[str], start: int) -> bool:
    return start + 1 < len(tokens) and tokens[start] == article(tokens[start + 1])


def _at(tokens: Sequence[str], place: int) -> str:
    return tokens[place] if place < len(tokens) else ""


NOUN_WORDS = frozenset(
    {*SIZE_WORDS, *POSE_WORDS, *COLOUR_WORDS, *PATTERN_WORDS, *NOUNS, *PLURALS, "a", "an", "in", "hat", "something"}
    | {word for tail in TAILS for word in tail if word[0] != "{"}
)
"""Every word that a noun phrase can hold."""
