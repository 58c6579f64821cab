"""Questions and their answers: what an answer claims, whether a claim answers, and what "it" then means.

A short answer claims nothing by itself: "two" is a claim only beside its question. What is true but tells nothing of
what was asked ("a thing", or "the red thing" when asked what is red) is no answer.
"""

from typing import cast

from microworld.claims import (
    Absent,
    Attribute,
    Boxed,
    Claim,
    Count,
    HeldKind,
    It,
    Kind,
    Numbered,
    OnlyOne,
    OnlyThere,
    PlaceIs,
    Reference,
    Related,
    Roll,
    Some,
    The,
)
from microworld.questions import (
    AskAspect,
    AskCount,
    AskEither,
    AskHaving,
    AskPlace,
    AskRelated,
    AskWhether,
    Question,
)
from microworld.scenes import Place


def claimed(question: Question, value: object) -> Claim | None:
    """What a short answer with this value claims, or None where it does not answer the question."""
    match question, value:
        case AskPlace(), str():
            return PlaceIs(cast(Place, value))  # the slot reads nothing but places
        case AskCount(what), int():
            return Count(what, value)
        case AskAspect(subject, aspect), Kind() if _tells(value, aspect):
            return Attribute(subject, value)
        case AskRelated(relation, b), The() | Some() if value.kind.said:
            return Related(value, relation, b)
        case AskHaving(what), The() | Some() if set(value.kind.said) - set(what.said):
            return Attribute(value, what)
        case AskEither(a, b, relation), _ if value in (a, b):
            return Related(a, relation, b) if value == a else Related(b, relation, a)
        case AskRelated(relation, b), Numbered() | Boxed():
            return Related(value, relation, b)
        case AskHaving(what), Numbered() | Boxed():
            return Attribute(value, what)
    return None


def _tells(value: Kind, aspect: str) -> bool:
    if value.hat == "any" or value.holds == HeldKind():
        return False
    return (value.shape is not None) if aspect == "kind" else aspect in value.said


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
        case AskCount(what), Count(told, _) | Absent(told) | Roll(told, _):
            return what == told
        case AskAspect(subject, aspect), Attribute(of, what):
            return of in (subject, It()) and _tells(what, aspect)
        case AskRelated(relation, b), Related(a, told, to) | OnlyThere(a, told, to):
            return (told, to) == (relation, b) and claimed(question, a) is not None
        case AskEither(a, b, relation), Related(x, told, y):
            return told == relation and {x, y} == {a, b}
        case AskHaving(what), Attribute(subject, told) | OnlyOne(subject, told):
            return told == what and claimed(question, subject) is not None
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
