"""Between text and claims: tokens, sentences and clauses one way, and back; and what answers a question.

A sentence is one clause, or several joined by ", and"; before the first may stand where it all is ("In a meadow, ...").
Full stops may be missing at the end; nothing else may. Case is not looked at.

A short answer claims nothing by itself: "two" is a claim only beside its question. What is true but tells nothing of
what was asked ("a thing", or "the red thing" when asked what is red) is no answer.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from microworld.claims import (
    Absent,
    All,
    Answer,
    AskAspect,
    AskCount,
    AskEither,
    AskHaving,
    AskPlace,
    AskRelated,
    AskWhether,
    Attribute,
    Boxed,
    Claim,
    Count,
    Enumeration,
    HeldKind,
    It,
    Kind,
    Numbered,
    OnlyOne,
    OnlyThere,
    PlaceIs,
    Question,
    Reference,
    Related,
    Some,
    The,
)
from microworld.forms import ANSWERS, OPEN_QUESTIONS, STATEMENTS, YES_NO_QUESTIONS, cased, fill
from microworld.scenes import Place
from microworld.slots import SLOTS

_TOKEN = re.compile(r"\[[0-9]{1,4}\]|[a-z]+|[0-9]+|\S")
MAX_TOKENS = 120
"""Of one sentence; the grammar's longest has about 60."""
_ENDS = frozenset(".?!")
VOCABULARY: tuple[str, ...] = tuple(
    sorted(
        STATEMENTS.words
        | YES_NO_QUESTIONS.words
        | OPEN_QUESTIONS.words
        | ANSWERS.words
        | {"yes", "no", "and"}
        | SLOTS["count"].words
    )
)
"""Every word of this world, in lower case; besides there are `[k]` and the marks in `MARKS`."""
MARKS = (".", ",", "?")
_WORDS = frozenset((*VOCABULARY, *MARKS))


@dataclass(frozen=True, slots=True)
class Clauses:
    """What a sentence says, clause by clause: of each, every claim that its words can mean."""

    readings: tuple[tuple[Claim, ...], ...]


def tokens_of(text: str) -> list[str]:
    """Words in lower case, numbers, `[k]`, and marks each by itself."""
    return _TOKEN.findall(text.lower())


def sentences_of(tokens: Sequence[str]) -> list[list[str]]:
    """Sentences with the mark at their end; a mark between quotation marks ends none."""
    found: list[list[str]] = [[]]
    quoted = False
    for word in tokens:
        found[-1].append(word)
        quoted = word == "“" or (quoted and word != "”")
        if word in _ENDS and not quoted:
            found.append([])
    return [sentence for sentence in found if sentence]


def unknown_word(tokens: Sequence[str]) -> str:
    """The first token that this world has no use for, or an empty string."""
    return next((token for token in tokens if token not in _WORDS and token[0] != "["), "")


def read_statement(tokens: Sequence[str]) -> Clauses | None:
    """What one sentence says, or None when it is of no known form."""
    words = list(tokens[:-1] if tokens and tokens[-1] == "." else tokens)
    found: list[tuple[Claim, ...]] = []
    place = SLOTS["in_place"].read(words, 0)
    if place is not None and words[place.end : place.end + 1] == [","]:
        found.append((PlaceIs(cast(Place, place.value)),))  # the slot reads nothing but places
        words = words[place.end + 1 :]
    starts = [0, *(at + 2 for at in range(len(words) - 1) if words[at] == "," and words[at + 1] == "and")]
    ends = [*(start - 2 for start in starts[1:]), len(words)]
    for start, end in zip(starts, ends, strict=True):
        readings = tuple(dict.fromkeys(match.meaning for match in STATEMENTS.read(words[start:end])))
        if not readings:
            return None
        found.append(readings)
    return Clauses(tuple(found))


def read_question(tokens: Sequence[str]) -> tuple[Question, ...]:
    """Everything that a question can ask; nothing when it is of no known form."""
    whether = [AskWhether(match.meaning) for match in YES_NO_QUESTIONS.read(tokens)]
    return tuple(dict.fromkeys((*(match.meaning for match in OPEN_QUESTIONS.read(tokens)), *whether)))


def read_answer(question: Question, tokens: Sequence[str]) -> tuple[Answer, ...]:
    """Everything that an answer can say to the question: as yes or no, as a short answer, as a statement."""
    words = list(tokens[:-1] if tokens and tokens[-1] == "." else tokens)
    if isinstance(question, AskWhether) and words in (["yes"], ["no"]):
        return (Answer(question.claim, words == ["yes"]),)
    found: list[Claim] = []
    for match in ANSWERS.read(words):
        if match.form.means is type(question) and _fixed(match.form.fixed, question):
            claim = claimed(question, match.values["answer"])
            found += [] if claim is None else [claim]
    stated = read_statement(words)
    if stated is not None and len(stated.readings) == 1:
        found += [claim for claim in stated.readings[0] if answers(question, claim)]
    return tuple(Answer(claim) for claim in dict.fromkeys(found))


def _fixed(fixed: object, question: Question) -> bool:
    assert isinstance(fixed, dict), "forms are made with a dictionary of what they fix"
    return all(getattr(question, name) == value for name, value in fixed.items())


def write_statement(claim: Claim, rng: random.Random) -> str | None:
    """A sentence that says `claim`, with a capital letter and a full stop; None when no form can."""
    claims = claim.claims if isinstance(claim, All) else (claim,)
    opening = ""
    if len(claims) > 1 and isinstance(claims[0], PlaceIs) and rng.random() < 0.7:
        opening, claims = f"{SLOTS['in_place'].write(claims[0].place, rng)}, ", claims[1:]
    clauses = [STATEMENTS.write(one, rng) for one in claims]
    texts = [clause for clause in clauses if clause is not None]
    return cased(f"{opening}{', and '.join(texts)}.") if len(texts) == len(clauses) else None


def write_question(question: Question, rng: random.Random) -> str | None:
    """A question in words, or None when no form can ask it."""
    text = (
        YES_NO_QUESTIONS.write(question.claim, rng)
        if isinstance(question, AskWhether)
        else OPEN_QUESTIONS.write(question, rng)
    )
    return None if text is None else cased(text)


def write_answer(question: Question, answer: Answer, rng: random.Random) -> str | None:
    """An answer in words: short three times in four, else a whole statement; None when it cannot be said."""
    if isinstance(question, AskWhether):
        return "yes" if answer.affirmed else "no"
    if rng.random() < 0.75:
        value = short_value(question, answer.claim)
        for one in rng.sample(ANSWERS.forms, len(ANSWERS.forms)):
            if one.means is type(question) and _fixed(one.fixed, question):
                text = fill(one, {"answer": value}, rng)
                if text is not None:
                    return text
    return write_statement(answer.claim, rng)


def claimed(question: Question, value: object) -> Claim | None:
    """What a short answer with this value claims, or None where it does not answer the question."""
    match question, value:
        case AskPlace(), str():
            return PlaceIs(cast(Place, value))  # the slot reads nothing but places
        case AskCount(what), int():
            return Count(what, value)
        case AskAspect(subject, aspect), Kind() if _states(value, aspect):
            return Attribute(subject, value)
        case AskRelated(relation, b), The() | Some() if value.kind.aspects:
            return Related(value, relation, b)
        case AskHaving(what), The() | Some() if set(value.kind.aspects) - set(what.aspects):
            return Attribute(value, what)
        case AskEither(a, b, relation), _ if value in (a, b):
            return Related(a, relation, b) if value == a else Related(b, relation, a)
        case AskRelated(relation, b), Numbered() | Boxed():
            return Related(value, relation, b)
        case AskHaving(what), Numbered() | Boxed():
            return Attribute(value, what)
    return None


def _states(value: Kind, aspect: str) -> bool:
    if value.hat == "any" or value.holds == HeldKind():
        return False
    return (value.shape is not None) if aspect == "kind" else aspect in value.aspects


def short_value(question: Question, claim: Claim) -> object:
    """The value of the short answer that claims `claim`; the opposite of `claimed`."""
    match question, claim:
        case AskPlace(), PlaceIs(place):
            return place
        case AskCount(), Count(_, number):
            return number
        case AskAspect(), Attribute(_, what):
            return what
        case AskHaving(), Attribute(subject, _):
            return subject
        case ((AskRelated() | AskEither()), Related(a, _, _)):
            return a
    return None


def answers(question: Question, claim: Claim) -> bool:
    """Whether a whole statement that claims `claim` answers the question."""
    match question, claim:
        case AskWhether(asked), _:
            return claim == asked
        case AskPlace(), PlaceIs():
            return True
        case AskCount(what), Count(given, _) | Absent(given) | Enumeration(given, _):
            return what == given
        case AskAspect(subject, aspect), Attribute(of, what):
            return of in (subject, It()) and _states(what, aspect)
        case AskRelated(relation, b), Related(a, given, to) | OnlyThere(a, given, to):
            return (given, to) == (relation, b) and claimed(question, a) is not None
        case AskEither(a, b, relation), Related(x, given, y):
            return given == relation and {x, y} == {a, b}
        case AskHaving(what), Attribute(subject, given) | OnlyOne(subject, given):
            return given == what and claimed(question, subject) is not None
    return False


def asked_about(question: Question) -> Reference | None:
    """What "it" means in an answer that is a statement."""
    match question:
        case AskAspect(subject, _):
            return subject
        case AskWhether(claim):
            return spoken_of(claim)
    return None


def spoken_of(claim: Claim) -> Reference | None:
    """What "it" means after a claim."""
    match claim:
        case Attribute(subject, _) | OnlyOne(subject, _) | OnlyThere(subject, _, _) | Related(subject, _, _):
            return None if subject == It() else subject
    return None
