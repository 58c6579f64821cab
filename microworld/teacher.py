"""What the scripted teacher writes, read back by the table of wordings from which it writes.

Its triples speak of boxes ("[2] lies further left than [0], so ..."), repeat captions, and quote probes. Writer and
reader share one table, `builders/localized/wordings.yaml`, so that no second copy can fall behind.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from builders.localized.scripted import wording_table
from microworld.claims import Attribute, Claim, Kind, Measured, Numbered, The
from microworld.forms import Placeholder, filled
from microworld.geometry import FACTS
from microworld.nouns import Read
from microworld.sentences import tokens_of

_PLACEHOLDER = re.compile(r"\{([abx])\}")
_SLOTS = {"a": "ref", "b": "ref", "x": "some"}
_QUOTES = ("“", "”")
_ASIDE = (("asked", "“"), ("”", ",", "anyone", "here", "would", "say", "“"), ("”",))
_IS, _STATED = "is", "stated"


@dataclass(frozen=True, slots=True)
class TeacherForm:
    """One row of the table, taken apart: what kind of fact it is about, and the pieces of its three texts."""

    kind: str
    question: tuple[str | Placeholder, ...]
    answer: tuple[str | Placeholder, ...]
    rationale: tuple[str | Placeholder, ...]


@dataclass(frozen=True, slots=True)
class TeacherAnswer:
    """What an answer to a question of the teacher says; without a claim it is a statement that has to be read yet."""

    claim: Claim | None


@dataclass(frozen=True, slots=True)
class QuotedProbe:
    """A probe quoted in a rationale, as tokens."""

    question: tuple[str, ...]
    answer: tuple[str, ...]


def forms_from(table: Mapping[str, Sequence[Sequence[str]]]) -> tuple[TeacherForm, ...]:
    """The table of wordings made ready for reading; raises `ValueError` for a kind of fact that is not known here."""
    unknown = sorted(set(table) - FACTS - {_IS, _STATED})
    if unknown:
        raise ValueError(f"wordings of kinds {unknown}: known are {sorted((*FACTS, _IS, _STATED))}")
    rows = [(kind, *row) for kind, group in table.items() for row in group]
    return tuple(TeacherForm(kind, _pieces(q), _pieces(a), _pieces(r)) for kind, q, a, r in rows)


@lru_cache(maxsize=1)
def _forms() -> tuple[TeacherForm, ...]:
    return forms_from(wording_table())


def read_teacher_answer(question: Sequence[str], answer: Sequence[str]) -> TeacherAnswer | None:
    """What the teacher's answer to its question says, or None where they are not two of one row."""
    memo: dict[tuple[str, int], Read[object] | None] = {}
    answer_memo: dict[tuple[str, int], Read[object] | None] = {}
    for form in _forms():
        asked = filled(form.question, question, memo)
        if asked is None:
            continue
        if form.kind == _STATED:
            return TeacherAnswer(None)
        given = filled(form.answer, answer, answer_memo)
        if given is not None and all(asked.get(name, value) == value for name, value in given.items()):
            claim = _claim(form.kind, {**asked, **given})
            return None if claim is None else TeacherAnswer(claim)
    return None


def read_teacher_rationale(sentence: Sequence[str]) -> Claim | None:
    """What a sentence of the teacher's rationale claims; None where it is none of the table."""
    memo: dict[tuple[str, int], Read[object] | None] = {}
    for form in _forms():
        values = None if form.kind == _STATED else filled(form.rationale, sentence, memo)
        if values is not None:
            return _claim(form.kind, values)
    return None


def repeats_answer(rationale: Sequence[str]) -> bool:
    """Whether a rationale only says that it is as the answer says."""
    return any(form.kind == _STATED and list(form.rationale) == list(rationale) for form in _forms())


def read_quoted_probe(sentence: Sequence[str]) -> QuotedProbe | None:
    """The probe that a sentence quotes, if it does nothing else: “...” and “...” in the teacher's frame."""
    tokens = tuple(sentence[:-1] if sentence[-1:] == ["."] else sentence)
    marks = [at for at, token in enumerate(tokens) if token in _QUOTES]
    if len(marks) != 4:
        return None
    opening, middle = tokens[: marks[0] + 1], tokens[marks[1] : marks[2] + 1]
    if (opening, middle, tokens[marks[3] :]) != _ASIDE:
        return None
    return QuotedProbe(tokens[marks[0] + 1 : marks[1]], tokens[marks[2] + 1 : marks[3]])


def _claim(kind: str, values: Mapping[str, object]) -> Claim | None:
    a, b, x = values.get("a"), values.get("b"), values.get("x")
    if not isinstance(a, Numbered | The) or not isinstance(b, Numbered | The | None):
        return None
    if kind == _IS:
        return Attribute(a, x) if isinstance(x, Kind) else None
    return Measured(kind, a, b)


def _pieces(template: str) -> tuple[str | Placeholder, ...]:
    """A template's tokens and placeholders; odd places of the split are the names of placeholders."""
    pieces: list[str | Placeholder] = []
    for at, text in enumerate(_PLACEHOLDER.split(template)):
        pieces += [Placeholder(text, _SLOTS[text])] if at % 2 else tokens_of(text)
    return tuple(pieces)
