"""Sentences about specimens, in both directions: "this is a velm because it has a striped body and holds a ring".

A table of its own beside that of `wordings`, with words of its own, so that the language of ordinary scenes stays as it
is. A sentence names a species, or gives marks, or both; marks follow one another with "and" before the last, and each
may say its verb again. Reading is as strict as writing.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from microworld.claims import It, Kind, Reference
from microworld.forms import cased
from microworld.nouns import (
    COLOUR_WORDS,
    NOUN_WORDS,
    NOUNS,
    PATTERN_WORDS,
    POSE_WORDS,
    Read,
    article,
    read_hat,
    read_held,
)
from microworld.slots import phrases, read_reference, write_reference
from microworld.species import NAMES, concept_words

_OWN = frozenset((*NAMES, "body", "species"))
_BECAUSE: tuple[tuple[str, ...], ...] = (("because",), (",", "because"), (",", "as"))
_HEADS: tuple[tuple[str, ...], ...] = (
    ("this", "is", "{a species}"),
    ("{subject}", "is", "{a species}"),
    ("here", "is", "{a species}"),
    ("the", "species", "is", "{species}"),
    ("the", "species", "of", "{subject}", "is", "{species}"),
)
_HAS, _IS, _WEARS = ("has",), ("is",), ("wears",)
_HOLDS: tuple[tuple[str, ...], ...] = (("holds",), ("carries",), ("is", "holding"))
_VERBS = (_HAS, _WEARS, *_HOLDS, _IS)
SPECIES_WORDS = frozenset((*_OWN, *NOUN_WORDS, "it", "and", "no", "nothing", "the", "shape", "of", "pose")) | frozenset(
    word for row in (*_HEADS, *_BECAUSE, *_VERBS) for word in row if word.isalpha()
)
"""Every word that a sentence about a species can hold."""


@dataclass(frozen=True, slots=True)
class SpeciesClaim:
    """What a sentence says of a specimen: its species, marks of it, or the species because of the marks."""

    subject: Reference  # `It`: the specimen
    species: str | None
    marks: tuple[Kind, ...] = ()  # each says one thing


def speaks_of_species(tokens: Sequence[str]) -> bool:
    """Whether a text is about species at all; what is not belongs to the grammar of ordinary scenes."""
    return any(token in _OWN for token in tokens)


def read_species(tokens: Sequence[str]) -> SpeciesClaim | None:
    """What one sentence says of a specimen, or None when it is of no form of this table."""
    words = list(tokens[:-1] if tokens and tokens[-1] == "." else tokens)
    for head in _HEADS:
        found = _read_head(head, words)
        if found is None:
            continue
        claim, end = found
        if end == len(words):
            return claim
        for joint in _BECAUSE:
            if tuple(words[end : end + len(joint)]) == joint and words[end + len(joint) :][:1] == ["it"]:
                marks = _read_marks(words, end + len(joint) + 1)
                if marks is not None:
                    return SpeciesClaim(claim.subject, claim.species, marks)
    subject = read_reference(words, 0)
    marks = None if subject is None else _read_marks(words, subject.end)
    return None if subject is None or marks is None else SpeciesClaim(subject.value, None, marks)


def _read_head(head: Sequence[str], words: Sequence[str]) -> tuple[SpeciesClaim, int] | None:
    found: Reference = It()
    species, at = "", 0
    for part in head:
        if part == "{subject}":
            read = read_reference(words, at)
            if read is None:
                return None
            found, at = read.value, read.end
            continue
        if part == "{a species}":
            if words[at : at + 1] != [article("".join(words[at + 1 : at + 2]))]:
                return None
            at += 1
        word = words[at] if at < len(words) else ""
        if part.startswith("{"):
            if word not in NAMES:
                return None
            species = word
        elif word != part:
            return None
        at += 1
    return SpeciesClaim(found, species), at


def _read_marks(words: Sequence[str], start: int) -> tuple[Kind, ...] | None:
    """The marks that fill `words` from `start` on: one, or several with commas between and "and" before the last."""
    marks: list[Kind] = []
    at, last = start, False
    verb: tuple[str, ...] = ()
    while True:
        verb, at = _read_verb(words, at, verb)
        mark = _read_mark(verb, words, at)
        if mark is None:
            return None
        assert isinstance(mark.value, Kind), "a mark is what is said of a thing"
        marks.append(mark.value)
        if mark.end == len(words):
            return tuple(marks) if last or len(marks) == 1 else None
        joint = words[mark.end]
        if last or joint not in (",", "and"):
            return None
        last, at = joint == "and", mark.end + 1


def _read_verb(words: Sequence[str], start: int, before: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The verb at `start`, perhaps after "it"; where there is none, the one before it goes on."""
    at = start + 1 if before and words[start : start + 1] == ["it"] else start
    for verb in _VERBS:
        if tuple(words[at : at + len(verb)]) == verb:
            return verb, at + len(verb)
    return (before, start) if at == start else ((), start)


def _read_mark(verb: tuple[str, ...], words: Sequence[str], at: int) -> Read[object] | None:
    if verb == _IS:
        return _ADJECTIVES.read(words, at)
    if verb in (_HAS, _WEARS):
        phrase = _PHRASES.read(words, at) if verb == _HAS else None
        return phrase or _NO_HAT.read(words, at) or read_hat(words, at)
    if verb in _HOLDS:
        return Read(Kind(holds="nothing"), at + 1) if words[at : at + 1] == ["nothing"] else read_held(words, at)
    return None


def write_species(claim: SpeciesClaim, rng: random.Random) -> str | None:
    """A sentence that says `claim`, with a capital letter and a full stop; None when its subject cannot be written."""
    subject = write_reference(claim.subject, rng)
    marks = _write_marks(claim.marks, rng)
    if subject is None:
        return None
    if claim.species is None:
        return cased(f"{subject} {marks}.") if claim.marks else None
    fitting = [head for head in _HEADS if isinstance(claim.subject, It) or "{subject}" in head]
    written = {
        "{subject}": subject,
        "{species}": claim.species,
        "{a species}": f"{article(claim.species)} {claim.species}",
    }
    words = [written.get(part, part) for part in rng.choice(fitting)]
    reason = [*rng.choice(_BECAUSE), "it", marks] if claim.marks else []
    return cased(" ".join([*words, *reason]) + ".")


def _write_marks(marks: Sequence[Kind], rng: random.Random) -> str:
    """The marks one after the other; a verb that goes on is mostly not said again."""
    written: list[str] = []
    before = ""
    for mark in marks:
        verb, rest = _write_mark(mark, rng)
        elided = verb == before and rng.random() < 0.8
        again = "it " if written and not elided and rng.random() < 0.2 else ""
        written.append(rest if elided else f"{again}{verb} {rest}")
        before = verb
    return " and ".join(filter(None, (", ".join(written[:-1]), *written[-1:])))


def _write_mark(mark: Kind, rng: random.Random) -> tuple[str, str]:
    """The verb and the rest."""
    words = concept_words(mark)
    if mark.holds is not None:
        return " ".join(rng.choice(_HOLDS)), words.removeprefix("holds ")
    if mark.hat is not None:
        return rng.choice(("has", "wears")), words
    look = mark.colour or mark.pattern or mark.pose
    return ("is", look) if look is not None and rng.random() < 0.3 else ("has", words)


_BODY = (
    *(Kind(colour=colour) for colour in COLOUR_WORDS.values()),
    *(Kind(pattern=pattern) for pattern in PATTERN_WORDS.values()),
    *(Kind(pose=pose) for pose in POSE_WORDS.values()),
)
_PHRASES = phrases(
    {concept_words(what): what for what in (*_BODY, *(Kind(shape=shape) for shape in NOUNS.values() if shape))}
)
_ADJECTIVES = phrases({str(what.colour or what.pattern or what.pose): what for what in _BODY})
_NO_HAT = phrases({"no hat": Kind(hat="none")})
