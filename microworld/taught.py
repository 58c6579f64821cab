"""What the scripted teacher writes, read back by the table of wordings from which it writes.

Its triples speak of boxes ("[2] lies further left than [0], so ..."), repeat captions, and quote probes. The table is
handed in, `kind -> rows of (question, answer, rationale)`, because it belongs to a room that the trunk may not import:
writer and reader share it, and no second copy can fall behind. `builders/localized/wordings.yaml` is such a table.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from microworld.claims import Attribute, Claim, Kind, Measured, Numbered, The
from microworld.forms import Gap, filled
from microworld.geometry import FACTS
from microworld.nouns import Read
from microworld.sentences import tokens_of

_GAP = re.compile(r"\{([abx])\}")
_SLOTS = {"a": "ref", "b": "ref", "x": "some"}
_QUOTES = ("“", "”")
_ASIDE = (("asked", "“"), ("”", ",", "anyone", "here", "would", "say", "“"), ("”",))
_IS, _TOLD = "is", "told"


@dataclass(frozen=True, slots=True)
class Lesson:
    """One row of the table, taken apart: what kind of fact it is about, and the parts of its three texts."""

    kind: str
    question: tuple[str | Gap, ...]
    answer: tuple[str | Gap, ...]
    rationale: tuple[str | Gap, ...]


@dataclass(frozen=True, slots=True)
class Taught:
    """The whole table. Without rows nothing of this kind is read."""

    lessons: tuple[Lesson, ...] = ()


@dataclass(frozen=True, slots=True)
class TaughtAnswer:
    """What an answer to a taught question says: a claim, or a statement in words that has to be read yet."""

    claim: Claim | None
    statement: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Aside:
    """A probe quoted in a rationale, as tokens."""

    question: tuple[str, ...]
    answer: tuple[str, ...]


def taught_from(table: Mapping[str, Sequence[Sequence[str]]]) -> Taught:
    """The table of wordings made ready for reading; raises `ValueError` for a kind of fact that is not known here."""
    unknown = sorted(set(table) - FACTS - {_IS, _TOLD})
    if unknown:
        raise ValueError(f"wordings of kinds {unknown}: known are {sorted((*FACTS, _IS, _TOLD))}")
    rows = [(kind, *row) for kind, group in table.items() for row in group]
    return Taught(tuple(Lesson(kind, _parts(q), _parts(a), _parts(r)) for kind, q, a, r in rows))


def read_taught_answer(taught: Taught, question: Sequence[str], answer: Sequence[str]) -> TaughtAnswer | None:
    """What a taught answer to a taught question says, or None where they are not two of one row."""
    memo: dict[tuple[str, int], Read | None] = {}
    answer_memo: dict[tuple[str, int], Read | None] = {}
    for lesson in taught.lessons:
        asked = filled(lesson.question, question, memo)
        if asked is None:
            continue
        if lesson.kind == _TOLD:
            return TaughtAnswer(None, tuple(answer))
        told = filled(lesson.answer, answer, answer_memo)
        if told is not None and all(asked.get(name, value) == value for name, value in told.items()):
            claim = _claim(lesson.kind, {**asked, **told})
            return None if claim is None else TaughtAnswer(claim)
    return None


def read_taught_rationale(taught: Taught, sentence: Sequence[str]) -> Claim | None:
    """What a taught rationale claims, its asides left out; None where it is none."""
    memo: dict[tuple[str, int], Read | None] = {}
    for lesson in taught.lessons:
        values = None if lesson.kind == _TOLD else filled(lesson.rationale, sentence, memo)
        if values is not None:
            return _claim(lesson.kind, values)
    return None


def repeats_answer(taught: Taught, sentence: Sequence[str]) -> bool:
    """Whether a rationale only says that it is as the answer says."""
    return any(lesson.kind == _TOLD and list(lesson.rationale) == list(sentence) for lesson in taught.lessons)


def read_aside(sentence: Sequence[str]) -> Aside | None:
    """The probe that a sentence quotes, if it does nothing else: “...” and “...” in the teacher's frame."""
    tokens = tuple(sentence[:-1] if sentence[-1:] == ["."] else sentence)
    marks = [at for at, token in enumerate(tokens) if token in _QUOTES]
    if len(marks) != 4:
        return None
    opening, middle = tokens[: marks[0] + 1], tokens[marks[1] : marks[2] + 1]
    if (opening, middle, tokens[marks[3] :]) != _ASIDE:
        return None
    return Aside(tokens[marks[0] + 1 : marks[1]], tokens[marks[2] + 1 : marks[3]])


def _claim(kind: str, values: Mapping[str, object]) -> Claim | None:
    a, b, x = values.get("a"), values.get("b"), values.get("x")
    if not isinstance(a, Numbered | The) or not isinstance(b, Numbered | The | None):
        return None
    if kind == _IS:
        return Attribute(a, x) if isinstance(x, Kind) else None
    return Measured(kind, a, b)


def _parts(template: str) -> tuple[str | Gap, ...]:
    """A template's tokens and gaps; odd places of the split are the names of gaps."""
    pieces = _GAP.split(template)
    parts: list[str | Gap] = []
    for at, piece in enumerate(pieces):
        parts += [Gap(piece, _SLOTS[piece])] if at % 2 else tokens_of(piece)
    return tuple(parts)
