"""Names of the things of a scene: the least that means one of them, and noun phrases in both directions.

The order of a noun phrase is fixed (size, pose, colour and pattern in either order, noun, what it is in, wears and
holds), and reading is as strict as writing: an article that does not agree, or a word twice, makes no phrase. Reading
takes the longest phrase at a place; no form goes on with a word that a phrase could go on with, so that nothing is lost
by that.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Generic, TypeVar

from microworld.claims import ASPECTS, Aspect, HeldKind, Kind, kind_of, only
from microworld.scenes import COLOURS, PATTERNS, POSES, SHAPES, Colour, Pattern, Pose, Scene, Shape, Size, Thing

SIZE_WORDS: Mapping[str, Size] = {"small": "small", "little": "small", "large": "large", "big": "large"}
COLOUR_WORDS: Mapping[str, Colour] = {colour: colour for colour in COLOURS}
PATTERN_WORDS: Mapping[str, Pattern] = {pattern: pattern for pattern in PATTERNS}
POSE_WORDS: Mapping[str, Pose] = {pose: pose for pose in POSES}
NOUNS: Mapping[str, Shape | None] = {**{shape: shape for shape in SHAPES}, "thing": None}
PLURALS: Mapping[str, Shape | None] = {
    noun + ("es" if noun.endswith("s") else "s"): shape for noun, shape in NOUNS.items()
}
# What may follow a noun, longest first: words, and what is worn or held in braces.
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
ValueT_co = TypeVar("ValueT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Read(Generic[ValueT_co]):
    """Something read from tokens, and the place after it."""

    value: ValueT_co
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
    written = {"{hat}": write_hat(kind, rng), "{held}": write_held(kind, rng)}
    return " " + " ".join(written.get(word) or word for word in tail)


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


def read_noun(tokens: Sequence[str], start: int, *, plural: bool = False) -> Read[Kind] | None:
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


def _read_tail(tokens: Sequence[str], start: int, kind: Kind) -> Read[Kind]:
    for tail in TAILS:
        at, found = start, kind
        for word in tail:
            read = read_hat(tokens, at) if word == "{hat}" else read_held(tokens, at) if word == "{held}" else None
            if read is not None:
                found = replace(found, hat=read.value.hat or found.hat, holds=read.value.holds or found.holds)
                at = read.end
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


def read_hat(tokens: Sequence[str], start: int) -> Read[Kind] | None:
    """`a blue hat` or `a hat` at `start`, as a `Kind`."""
    if not _agrees(tokens, start):
        return None
    if _at(tokens, start + 1) == "hat":
        return Read(Kind(hat="any"), start + 2)
    if _at(tokens, start + 1) in COLOUR_WORDS and _at(tokens, start + 2) == "hat":
        return Read(Kind(hat=COLOUR_WORDS[tokens[start + 1]]), start + 3)
    return None


def read_held(tokens: Sequence[str], start: int) -> Read[Kind] | None:
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


def read_some(tokens: Sequence[str], start: int) -> Read[Kind] | None:
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


def fits_one(kind: Kind, scene: Scene) -> bool:
    """Whether exactly one thing is of this kind, and no held thing could be meant by it."""
    if any(thing.holds is not None and kind.might_be(thing.holds) for thing in scene.things):
        return False
    return sum(kind.fits(thing) for thing in scene.things) == 1


def is_expressible(kind: Kind) -> bool:
    """Whether a noun phrase can say it: of a bare thing not what it holds, of an empty-handed one not its hat."""
    if kind.hat == "none":
        return kind.holds is None
    return kind.holds != "nothing" or kind.hat is None


@lru_cache(maxsize=4096)
def names_of(scene: Scene, thing: Thing, without: Collection[Aspect] = ()) -> tuple[Kind, ...]:
    """Every shortest name: the attribute combinations of the least size that fit `thing` alone, best first.

    `without` leaves aspects out: who asks for a colour does not name it.
    """
    full = kind_of(thing)
    aspects = [aspect for aspect in full.aspects if aspect not in without]
    for size in range(1, len(aspects) + 1):
        kinds = [only(full, *names) for names in combinations(aspects, size)]
        found = [kind for kind in kinds if is_expressible(kind) and fits_one(kind, scene)]
        if found:
            return tuple(sorted(found, key=lambda kind: (kind.shape is None and "shape" not in without, _empty(kind))))
    return ()


def some_name(scene: Scene, thing: Thing, rng: random.Random, without: Collection[Aspect] = ()) -> Kind | None:
    """A name of `thing`, with now and then more said than is needed; None where nothing fits it alone."""
    names = names_of(scene, thing, tuple(without))
    if not names:
        return None
    # Mostly the first: people call things by their shapes.
    name = names[0] if rng.random() < 0.7 else rng.choice(names)
    return extended(name, thing, rng, without)


def extended(kind: Kind, thing: Thing, rng: random.Random, without: Collection[Aspect] = ()) -> Kind:
    """`kind` with its shape and perhaps some more of what is so of `thing`."""
    full = kind_of(thing)
    chances = {"shape": 0.85, "colour": 0.5, "size": 0.25, "pattern": 0.15, "pose": 0.3, "hat": 0.15, "holds": 0.15}
    for aspect in ASPECTS:
        if aspect not in without and rng.random() < chances[aspect] * (0.3 if _plain(full, aspect) else 1):
            fuller = replace(kind, **{aspect: getattr(full, aspect)})
            kind = fuller if is_expressible(fuller) else kind
    return kind


def description_of(thing: Thing, rng: random.Random) -> Kind:
    """A description of `thing` that need not fit it alone: shape and colour nearly always, the rest now and then."""
    full = kind_of(thing)
    start = only(full, "shape", "colour") if rng.random() < 0.8 else only(full, "shape")
    return extended(start, thing, rng)


def full_description_of(thing: Thing) -> Kind:
    """All there is to see of a thing, its missing hat and empty hands left out."""
    full = kind_of(thing)
    bare = replace(full, hat=None if full.hat == "none" else full.hat)
    return replace(bare, holds=bare.holds if isinstance(bare.holds, HeldKind) else None)


def _plain(kind: Kind, aspect: str) -> bool:
    return getattr(kind, aspect) in ("plain", "none", "nothing")


def _empty(kind: Kind) -> int:
    return sum(_plain(kind, aspect) for aspect in kind.aspects)
