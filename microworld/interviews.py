"""Questions about a scene with their answers, and the visible reasons for them.

By topic, so that what is trained and what is measured can be chosen. Questions for yes or no are as often to be denied
as affirmed, and what is denied differs in one respect from what is so.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from microworld.answers import spoken_of
from microworld.claims import (
    ASPECTS,
    Aspect,
    Attribute,
    Claim,
    Count,
    Exists,
    GroundIs,
    PlaceIs,
    Related,
    Relation,
    Some,
    kind_of,
    only,
)
from microworld.corrupting import corrupt
from microworld.facts import (
    SIDES,
    Scope,
    any_thing,
    aspect_of,
    countable,
    fact,
    refer,
    related,
    scope_of,
    telling,
)
from microworld.grammar import Sentence
from microworld.naming import said_of
from microworld.questions import (
    Answered,
    AskAspect,
    AskCount,
    AskEither,
    AskHaving,
    AskPlace,
    AskRelated,
    AskWhether,
    Question,
)
from microworld.rationales import visible_reason
from microworld.scenes import Scene
from microworld.sentences import write_answer, write_question, write_statement
from microworld.truth import View, decide
from ostensive.records import Region

Topic: TypeAlias = Literal[
    "place",
    "existence",
    "count",
    "colour",
    "shape",
    "size",
    "pattern",
    "pose",
    "hat",
    "holds",
    "kind",
    "side",
    "inside",
    "nearest",
    "which",
]
TOPICS: tuple[Topic, ...] = get_args(Topic)
_TRIES = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its right answer, in words and in meaning."""

    topic: Topic
    question: str
    answer: str
    asks: Question
    answered: Answered


@dataclass(frozen=True, slots=True)
class Reasoned:
    """A question with its right answer and a visible reason. In the reason "it" is what the answer is about."""

    asked: Asked
    rationale: Sentence


def ask(scene: Scene, topic: Topic, rng: random.Random, regions: Sequence[Region] = ()) -> Asked | None:
    """A question of a topic with its right answer, or None where the scene gives no occasion for it.

    With regions, things are spoken of as `[k]`.
    """
    scope = scope_of(scene, regions)
    for _ in range(_TRIES):
        drawn = _ASKERS[topic](scope, rng)
        if drawn is None or not _right(drawn[1], scope.view):
            continue
        question, answer = write_question(drawn[0], rng), write_answer(drawn[0], drawn[1], rng)
        if question is not None and answer is not None:
            return Asked(topic, question, answer, *drawn)
    return None


def reason(scene: Scene, topic: Topic, rng: random.Random, regions: Sequence[Region] = ()) -> Reasoned | None:
    """A question of a topic, its right answer and a true rationale, or None where no occasion is found."""
    scope = scope_of(scene, regions)
    for _ in range(_TRIES):
        asked = ask(scene, topic, rng, regions)
        if asked is None:
            return None
        why = visible_reason(scope, asked.asks, asked.answered, rng)
        if why is None:
            continue
        view = View(scene, scope.view.regions, spoken_of(asked.answered.claim))
        text = write_statement(why, rng) if decide(why, view).is_true else None
        if text is not None:
            return Reasoned(asked, Sentence(text, why))
    return None


def _right(answered: Answered, view: View) -> bool:
    verdict = decide(answered.claim, view)
    return verdict.is_true if answered.affirmed else verdict.is_false


_Drawn: TypeAlias = tuple[Question, Answered] | None


def _whether(claim: Claim | None, scope: Scope, rng: random.Random) -> _Drawn:
    """A question for yes or no about a true claim, half of the time turned into one that is false."""
    if claim is None:
        return None
    if rng.random() < 0.5:
        return AskWhether(claim), Answered(claim)
    wrong = corrupt(claim, scope.view, rng)
    return None if wrong is None else (AskWhether(wrong), Answered(wrong, affirmed=False))


def _ask_place(scope: Scope, rng: random.Random) -> _Drawn:
    claim = PlaceIs(scope.scene.place)
    if rng.random() < 0.2:
        return _whether(claim if rng.random() < 0.5 else GroundIs(scope.scene.place), scope, rng)
    return AskPlace(), Answered(claim)


def _ask_existence(scope: Scope, rng: random.Random) -> _Drawn:
    thing = any_thing(scope, rng)
    if thing is None:
        return None
    kind = only(kind_of(thing), "shape", "colour") if rng.random() < 0.5 else said_of(thing, rng)
    return _whether(Exists(kind), scope, rng)


def _ask_count(scope: Scope, rng: random.Random) -> _Drawn:
    what = countable(scope, rng)
    claim = Count(what, sum(what.fits(thing) for thing in scope.scene.things))
    return _whether(claim, scope, rng) if claim.number and rng.random() < 0.15 else (AskCount(what), Answered(claim))


def _ask_aspect(aspect: Aspect) -> Callable[[Scope, random.Random], _Drawn]:
    def draw(scope: Scope, rng: random.Random) -> _Drawn:
        thing = any_thing(scope, rng)
        if thing is None or getattr(kind_of(thing), aspect, "") is None:
            return None
        hidden: tuple[Aspect, ...] = ("shape", "colour") if aspect == "kind" else (aspect,)
        subject = refer(scope, thing, rng, hidden)
        if subject is None:
            return None
        claim = Attribute(subject, aspect_of(thing, aspect))
        bare = aspect == "hat" and thing.hat is None
        if bare or (aspect not in ("shape", "kind") and rng.random() < 0.2):
            if claim.what.said and getattr(claim.what, aspect) in ("none", "nothing"):
                wrong = corrupt(claim, scope.view, rng)
                return None if wrong is None else (AskWhether(wrong), Answered(wrong, affirmed=False))
            return _whether(claim, scope, rng)
        return AskAspect(subject, aspect), Answered(claim)

    return draw


def _ask_side(scope: Scope, rng: random.Random) -> _Drawn:
    claim = related(scope, SIDES, rng)
    if claim is None or isinstance(claim.a, Some):
        return None
    kind = rng.random()
    if kind < 0.5:
        return _whether(claim, scope, rng)
    if kind < 0.75:
        a, b = (claim.a, claim.b) if rng.random() < 0.5 else (claim.b, claim.a)
        return AskEither(a, b, claim.relation), Answered(claim)
    return AskRelated(claim.relation, claim.b), Answered(claim)


def _ask_relation(form: str, relation: Relation) -> Callable[[Scope, random.Random], _Drawn]:
    def draw(scope: Scope, rng: random.Random) -> _Drawn:
        claim = fact(scope, form, rng, tries=1)
        if not isinstance(claim, Related):
            return None
        if rng.random() < 0.3:
            return _whether(claim, scope, rng)
        return AskRelated(relation, claim.b), Answered(claim)

    return draw


def _ask_which(scope: Scope, rng: random.Random) -> _Drawn:
    thing = any_thing(scope, rng)
    what = None if thing is None else telling(scope, thing)
    if thing is None or what is None:
        return None
    subject = refer(scope, thing, rng, tuple(a for a in ASPECTS if a in what.said))
    return None if subject is None else (AskHaving(what), Answered(Attribute(subject, what)))


_ASKERS: Mapping[Topic, Callable[[Scope, random.Random], _Drawn]] = {
    "place": _ask_place,
    "existence": _ask_existence,
    "count": _ask_count,
    "colour": _ask_aspect("colour"),
    "shape": _ask_aspect("shape"),
    "size": _ask_aspect("size"),
    "pattern": _ask_aspect("pattern"),
    "pose": _ask_aspect("pose"),
    "hat": _ask_aspect("hat"),
    "holds": _ask_aspect("holds"),
    "kind": _ask_aspect("kind"),
    "side": _ask_side,
    "inside": _ask_relation("inside", "inside"),
    "nearest": _ask_relation("nearest", "nearest to"),
    "which": _ask_which,
}
