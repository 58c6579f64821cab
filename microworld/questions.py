"""Questions about a scene with their answers, and the visible reasons for them.

By topic, so that what is trained and what is measured can be chosen. Questions for yes or no are as often to be denied
as affirmed, and what is denied differs in one respect from what is so. A reason says what singles a thing out, who else
there is, how it stands; where there is nothing more to see, the whole of what the answer says a part of.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from microworld.claims import (
    ASPECTS,
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
    Aspect,
    Attribute,
    Claim,
    Count,
    Exists,
    GroundIs,
    It,
    Kind,
    Numbered,
    OnlyOne,
    OnlyThere,
    PlaceIs,
    Question,
    Related,
    Relation,
    Some,
    The,
    kind_of,
    only,
)
from microworld.corrupting import OPPOSITE, corrupt
from microworld.facts import (
    any_thing,
    aspect_of,
    countable,
    distinguishing_kind,
    enumeration_of,
    fact,
    refer,
    related,
)
from microworld.grammar import Sentence
from microworld.nouns import description_of, full_description_of
from microworld.scenes import SIDES, Scene, Thing
from microworld.sentences import spoken_of, write_answer, write_question, write_statement
from microworld.truth import Scope, decide, scope_of
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
class QuestionAnswer:
    """A question with its right answer, in words and in meaning."""

    topic: Topic
    question: str
    answer: str
    asks: Question
    answered: Answer


@dataclass(frozen=True, slots=True)
class ReasonedAnswer:
    """A question with its right answer and a visible reason. In the reason "it" is what the answer is about."""

    asked: QuestionAnswer
    rationale: Sentence


def ask(scene: Scene, topic: Topic, rng: random.Random, regions: Sequence[Region] = ()) -> QuestionAnswer | None:
    """A question of a topic with its right answer, or None where the scene gives no occasion for it.

    With regions, things are spoken of as `[k]`.
    """
    scope = scope_of(scene, regions)
    for _ in range(_TRIES):
        drawn = _ASKERS[topic](scope, rng)
        if drawn is None or not _right(drawn[1], scope):
            continue
        question, answer = write_question(drawn[0], rng), write_answer(drawn[0], drawn[1], rng)
        if question is not None and answer is not None:
            return QuestionAnswer(topic, question, answer, *drawn)
    return None


def reason(scene: Scene, topic: Topic, rng: random.Random, regions: Sequence[Region] = ()) -> ReasonedAnswer | None:
    """A question of a topic, its right answer and a true rationale, or None where no occasion is found."""
    scope = scope_of(scene, regions)
    for _ in range(_TRIES):
        asked = ask(scene, topic, rng, regions)
        if asked is None:
            return None
        why = visible_reason(scope, asked.asks, asked.answered, rng)
        if why is None:
            continue
        after = replace(scope, it=spoken_of(asked.answered.claim))
        text = write_statement(why, rng) if decide(why, after).is_true else None
        if text is not None:
            return ReasonedAnswer(asked, Sentence(text, why))
    return None


def _right(answered: Answer, scope: Scope) -> bool:
    finding = decide(answered.claim, scope)
    return finding.is_true if answered.affirmed else finding.is_false


_Drawn: TypeAlias = tuple[Question, Answer] | None


def _whether(claim: Claim | None, scope: Scope, rng: random.Random) -> _Drawn:
    """A question for yes or no about a true claim, half of the time turned into one that is false."""
    if claim is None:
        return None
    if rng.random() < 0.5:
        return AskWhether(claim), Answer(claim)
    wrong = corrupt(claim, scope, rng)
    return None if wrong is None else (AskWhether(wrong), Answer(wrong, affirmed=False))


def _ask_place(scope: Scope, rng: random.Random) -> _Drawn:
    claim = PlaceIs(scope.scene.place)
    if rng.random() < 0.2:
        return _whether(claim if rng.random() < 0.5 else GroundIs(scope.scene.place), scope, rng)
    return AskPlace(), Answer(claim)


def _ask_existence(scope: Scope, rng: random.Random) -> _Drawn:
    thing = any_thing(scope, rng)
    if thing is None:
        return None
    kind = only(kind_of(thing), "shape", "colour") if rng.random() < 0.5 else description_of(thing, rng)
    return _whether(Exists(kind), scope, rng)


def _ask_count(scope: Scope, rng: random.Random) -> _Drawn:
    what = countable(scope, rng)
    claim = Count(what, sum(what.fits(thing) for thing in scope.scene.things))
    return _whether(claim, scope, rng) if claim.number and rng.random() < 0.15 else (AskCount(what), Answer(claim))


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
            if claim.what.aspects and getattr(claim.what, aspect) in ("none", "nothing"):
                wrong = corrupt(claim, scope, rng)
                return None if wrong is None else (AskWhether(wrong), Answer(wrong, affirmed=False))
            return _whether(claim, scope, rng)
        return AskAspect(subject, aspect), Answer(claim)

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
        return AskEither(a, b, claim.relation), Answer(claim)
    return AskRelated(claim.relation, claim.b), Answer(claim)


def _ask_relation(form: str, relation: Relation) -> Callable[[Scope, random.Random], _Drawn]:
    def draw(scope: Scope, rng: random.Random) -> _Drawn:
        claim = fact(scope, form, rng, tries=1)
        if not isinstance(claim, Related):
            return None
        if rng.random() < 0.3:
            return _whether(claim, scope, rng)
        return AskRelated(relation, claim.b), Answer(claim)

    return draw


def _ask_which(scope: Scope, rng: random.Random) -> _Drawn:
    thing = any_thing(scope, rng)
    what = None if thing is None else distinguishing_kind(scope, thing)
    if thing is None or what is None:
        return None
    subject = refer(scope, thing, rng, tuple(a for a in ASPECTS if a in what.aspects))
    return None if subject is None else (AskHaving(what), Answer(Attribute(subject, what)))


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


def visible_reason(scope: Scope, asks: Question, answered: Answer, rng: random.Random) -> Claim | None:
    """A visible reason for an answer, or None; who asks for it judges it, as it may yet be untrue or too close to say.

    In it "it" is what the answer is about.
    """
    claim, affirmed = answered.claim, answered.affirmed
    match claim:
        case PlaceIs():
            return GroundIs(scope.scene.place)
        case Exists(what):
            return _why_there(scope, what, rng) if affirmed else _why_absent(scope, what)
        case Count(what, _):
            return enumeration_of(scope, what) or Absent(what)
        case Attribute(subject, what):
            return _why_so(scope, asks, subject, what, rng)
        case Related(a, relation, b):
            if isinstance(asks, AskRelated):
                alone = OnlyThere(It(), relation, b)
                return alone if rng.random() < 0.6 else Related(It(), relation, b)
            if relation not in OPPOSITE:
                return claim if affirmed else _instead(scope, claim, rng)
            first, second = (b, a) if affirmed else (a, b)
            return Related(first, OPPOSITE[relation], second)
    return None


def _instead(scope: Scope, wrong: Related, rng: random.Random) -> Claim | None:
    """What it is that stands so to the second, where the first does not."""
    for thing in scope.scene.things:
        a = refer(scope, thing, rng)
        claim = None if a is None else Related(a, wrong.relation, wrong.b)
        if claim is not None and decide(claim, scope).is_true:
            return claim
    return None


def _why_there(scope: Scope, what: Kind, rng: random.Random) -> Claim | None:
    thing = next((thing for thing in scope.scene.things if what.fits(thing)), None)
    if thing is None:
        return None
    claim = related(scope, SIDES, rng)
    if claim is not None and rng.random() < 0.6:
        return Related(Some(what), claim.relation, claim.b)
    return Exists(full_description_of(thing))


def _why_absent(scope: Scope, what: Kind) -> Claim:
    """The things that share a respect with what is not there, or that there is nothing which does."""
    for aspect in what.aspects:
        shared = enumeration_of(scope, only(what, aspect))
        if shared is not None:
            return shared
    return Absent(only(what, *what.aspects[:1]))


def _why_so(scope: Scope, asks: Question, subject: object, what: Kind, rng: random.Random) -> Claim | None:
    if isinstance(asks, AskHaving):
        return OnlyOne(It(), what)
    thing = next((one for one in scope.scene.things if _is(one, subject, scope)), None)
    if thing is None:
        return None
    claim = related(scope, SIDES, rng)
    if not isinstance(subject, The) or claim is None or rng.random() < 0.3:
        return Attribute(It(), full_description_of(thing))
    alone = OnlyOne(It(), subject.kind)
    return alone if rng.random() < 0.2 else All((alone, Related(It(), claim.relation, claim.b)))


def _is(thing: Thing, subject: object, scope: Scope) -> bool:
    if isinstance(subject, The):
        return subject.kind.fits(thing)
    return isinstance(subject, Numbered) and scope.numbers.get(thing.number) == subject.number
