"""What may stand in the slots of a form: for each slot, how a value is written and how it is read.

A slot is a pair of functions, so that a form needs only to name it. Values are objects here and are checked where they
are written; a slot that cannot say a value returns None, and the form is not used for it.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from microworld import nouns
from microworld.claims import It, Kind, Numbered, Reference, Relation, Some, The
from microworld.nouns import Read
from microworld.scenes import Place

Writer = Callable[[object, random.Random], str | None]
Reader = Callable[[Sequence[str], int], Read[object] | None]


@dataclass(frozen=True, slots=True)
class Slot:
    """Both directions of a slot, and the words it may use."""

    write: Writer
    read: Reader
    words: frozenset[str]


PLACE_NOUNS: Mapping[str, Place] = {
    "meadow": "meadow",
    "beach": "beach",
    "snowfield": "snowfield",
    "street": "street",
    "night sky": "night sky",
}
IN_PLACE: Mapping[str, Place] = {
    "in a meadow": "meadow",
    "on a meadow": "meadow",
    "on a beach": "beach",
    "at a beach": "beach",
    "in a snowfield": "snowfield",
    "on a snowfield": "snowfield",
    "in a street": "street",
    "on a street": "street",
    "in a night sky": "night sky",
    "under a night sky": "night sky",
}
GROUND: Mapping[str, Place] = {
    "grass": "meadow",
    "sand": "beach",
    "snow": "snowfield",
    "pavement": "street",
    "darkness": "night sky",
}
"""What a place is made of, and can be told by."""
NUMBERS: Mapping[str, int] = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
COUNTS: Mapping[str, int] = {"none": 0, "zero": 0, "one": 1, **NUMBERS, **{str(digit): digit for digit in range(10)}}
RELATIONS: Mapping[str, Relation] = {
    "left of": "left of",
    "to the left of": "left of",
    "on the left of": "left of",
    "right of": "right of",
    "to the right of": "right of",
    "on the right of": "right of",
    "above": "above",
    "over": "above",
    "higher than": "above",
    "below": "below",
    "beneath": "below",
    "under": "below",
    "lower than": "below",
    "inside": "inside",
}
FURTHER: Mapping[str, Relation] = {
    "further left": "left of",
    "further right": "right of",
    "higher": "above",
    "further up": "above",
    "lower": "below",
    "further down": "below",
}


def phrases(meanings: Mapping[str, object]) -> Slot:
    """A slot of fixed phrases, each with its meaning."""
    ranked = sorted(((phrase.split(), value) for phrase, value in meanings.items()), key=lambda row: -len(row[0]))

    def read(tokens: Sequence[str], start: int) -> Read[object] | None:
        for words, value in ranked:
            if list(tokens[start : start + len(words)]) == words:
                return Read(value, start + len(words))
        return None

    def write(value: object, rng: random.Random) -> str | None:
        return nouns.word_for(meanings, value, rng) if value in meanings.values() else None

    return Slot(write, read, frozenset(word for phrase in meanings for word in phrase.split()))


def write_reference(value: object, rng: random.Random) -> str | None:
    """`it`, `[k]` or `the small circle`."""
    match value:
        case It():
            return "it"
        case Numbered(number):
            return f"[{number}]"
        case The(kind):
            noun = nouns.write_noun(kind, rng)
            return None if noun is None else f"the {noun}"
    return None


def read_reference(tokens: Sequence[str], start: int) -> Read[Reference] | None:
    """`it`, `[k]` or `the small circle` at `start`."""
    if tokens[start : start + 1] == ["it"]:
        return Read(It(), start + 1)
    noun = nouns.read_noun(tokens, start + 1) if tokens[start : start + 1] == ["the"] else None
    return _read_region(tokens, start) if noun is None else Read(The(noun.value), noun.end)


def _read_region(tokens: Sequence[str], start: int) -> Read[Numbered] | None:
    token = tokens[start] if start < len(tokens) else ""
    return Read(Numbered(int(token[1:-1])), start + 1) if token[:1] == "[" and token[1:-1].isdigit() else None


def _write_region(value: object, _rng: random.Random) -> str | None:
    return f"[{value.number}]" if isinstance(value, Numbered) else None


def _write_indefinite(value: object, rng: random.Random) -> str | None:
    return _write_some(value.kind, rng) if isinstance(value, Some) else None


def _read_indefinite(tokens: Sequence[str], start: int) -> Read[Some] | None:
    read = nouns.read_some(tokens, start)
    return None if read is None else Read(Some(read.value), read.end)


def _write_some(value: object, rng: random.Random) -> str | None:
    noun = nouns.write_noun(value, rng) if isinstance(value, Kind) else None
    return None if noun is None else nouns.with_article(noun)


def _write_items(value: object, rng: random.Random) -> str | None:
    if not isinstance(value, tuple) or len(value) < 2:
        return None
    written = [_write_some(item, rng) for item in value]
    texts = [text for text in written if text is not None]
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) == len(value) else None


def _read_items(tokens: Sequence[str], start: int) -> Read[tuple[Kind, ...]] | None:
    items: list[Kind] = []
    at = start
    while (read := nouns.read_some(tokens, at)) is not None:
        items.append(read.value)
        joint = tokens[read.end] if read.end < len(tokens) else ""
        if joint == "and":
            last = nouns.read_some(tokens, read.end + 1)
            return None if last is None else Read((*items, last.value), last.end)
        if joint != ",":
            return None
        at = read.end + 1
    return None


def _write_one(value: object, rng: random.Random) -> str | None:
    return _write_some(value[0], rng) if isinstance(value, tuple) and len(value) == 1 else None


def _read_one(tokens: Sequence[str], start: int) -> Read[tuple[Kind, ...]] | None:
    read = nouns.read_some(tokens, start)
    return None if read is None else Read((read.value,), read.end)


def _noun_slot(*, plural: bool) -> Slot:
    def write(value: object, rng: random.Random) -> str | None:
        return nouns.write_noun(value, rng, plural=plural) if isinstance(value, Kind) else None

    def read(tokens: Sequence[str], start: int) -> Read[Kind] | None:
        return nouns.read_noun(tokens, start, plural=plural)

    return Slot(write, read, nouns.NOUN_WORDS)


def _aspect_slot(write: Callable[[Kind, random.Random], str | None], read: Reader, aspect: str) -> Slot:
    """A hat or a held thing: a `Kind` that says nothing else."""

    def write_aspect(value: object, rng: random.Random) -> str | None:
        return write(value, rng) if isinstance(value, Kind) and value.aspects == (aspect,) else None

    return Slot(write_aspect, read, nouns.NOUN_WORDS)


def _any(*slots: Slot) -> Slot:
    def write(value: object, rng: random.Random) -> str | None:
        return next((text for slot in slots if (text := slot.write(value, rng)) is not None), None)

    def read(tokens: Sequence[str], start: int) -> Read[object] | None:
        return next((found for slot in slots if (found := slot.read(tokens, start)) is not None), None)

    return Slot(write, read, frozenset().union(*(slot.words for slot in slots)))


_COLOUR = {word: Kind(colour=colour) for word, colour in nouns.COLOUR_WORDS.items()}
_PATTERN = {word: Kind(pattern=pattern) for word, pattern in nouns.PATTERN_WORDS.items()}
_SIZE = {word: Kind(size=size) for word, size in nouns.SIZE_WORDS.items()}
_POSE = {word: Kind(pose=pose) for word, pose in nouns.POSE_WORDS.items()}
_REFERENCE = Slot(write_reference, read_reference, nouns.NOUN_WORDS | {"it", "the"})
_INDEFINITE = Slot(_write_indefinite, _read_indefinite, nouns.NOUN_WORDS)

SLOTS: Mapping[str, Slot] = {
    "some": Slot(_write_some, nouns.read_some, nouns.NOUN_WORDS),
    "noun": _noun_slot(plural=False),
    "plural": _noun_slot(plural=True),
    "items": Slot(_write_items, _read_items, nouns.NOUN_WORDS | {"and"}),
    "one": Slot(_write_one, _read_one, nouns.NOUN_WORDS),
    "ref": _REFERENCE,
    "indefinite": _INDEFINITE,
    "any": _any(_REFERENCE, _INDEFINITE),
    "region": Slot(_write_region, _read_region, frozenset()),
    "place": phrases({nouns.with_article(noun): place for noun, place in PLACE_NOUNS.items()}),
    "place_noun": phrases(PLACE_NOUNS),
    "in_place": phrases(IN_PLACE),
    "ground": phrases(GROUND),
    "number": phrases(NUMBERS),
    "count": phrases(COUNTS),
    "relation": phrases(RELATIONS),
    "further": phrases(FURTHER),
    "adjective": phrases({**_COLOUR, **_PATTERN, **_SIZE, **_POSE}),
    "colour": phrases(_COLOUR),
    "pattern": phrases(_PATTERN),
    "size": phrases(_SIZE),
    "pose": phrases(_POSE),
    "shape": phrases({noun: Kind(shape=shape) for noun, shape in nouns.NOUNS.items() if shape is not None}),
    "hat": _aspect_slot(nouns.write_hat, nouns.read_hat, "hat"),
    "hat_colour": phrases({word: Kind(hat=colour) for word, colour in nouns.COLOUR_WORDS.items()}),
    "no_hat": phrases({"none": Kind(hat="none"), "no hat": Kind(hat="none")}),
    "held": _aspect_slot(nouns.write_held, nouns.read_held, "holds"),
    "no_held": phrases({"nothing": Kind(holds="nothing")}),
}
"""Every slot by the name that forms give it."""
