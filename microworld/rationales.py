"""Why an answer is right, as far as it can be seen: what singles a thing out, who else there is, how it stands.

A rationale that only says the answer again was given up where there is more to see; where there is not, it says the
whole of what the answer says a part of.
"""

import random

from microworld.claims import (
    Absent,
    All,
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
    Related,
    Some,
    The,
    only,
)
from microworld.corrupting import OPPOSITE
from microworld.facts import SIDES, Scope, refer, related, roll
from microworld.naming import all_said_of
from microworld.questions import Answered, AskHaving, AskRelated, Question
from microworld.scenes import Thing
from microworld.truth import decide


def visible_reason(scope: Scope, asks: Question, answered: Answered, rng: random.Random) -> Claim | None:
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
            return roll(scope, what) or Absent(what)
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
        if claim is not None and decide(claim, scope.view).is_true:
            return claim
    return None


def _why_there(scope: Scope, what: Kind, rng: random.Random) -> Claim | None:
    thing = next((thing for thing in scope.scene.things if what.fits(thing)), None)
    if thing is None:
        return None
    claim = related(scope, SIDES, rng)
    if claim is not None and rng.random() < 0.6:
        return Related(Some(what), claim.relation, claim.b)
    return Exists(all_said_of(thing))


def _why_absent(scope: Scope, what: Kind) -> Claim:
    """The things that share a respect with what is not there, or that there is nothing which does."""
    for aspect in what.said:
        shared = roll(scope, only(what, aspect))
        if shared is not None:
            return shared
    return Absent(only(what, *what.said[:1]))


def _why_so(scope: Scope, asks: Question, subject: object, what: Kind, rng: random.Random) -> Claim | None:
    if isinstance(asks, AskHaving):
        return OnlyOne(It(), what)
    thing = next((one for one in scope.scene.things if _is(one, subject, scope)), None)
    if thing is None:
        return None
    claim = related(scope, SIDES, rng)
    if not isinstance(subject, The) or claim is None or rng.random() < 0.3:
        return Attribute(It(), all_said_of(thing))
    alone = OnlyOne(It(), subject.kind)
    return alone if rng.random() < 0.2 else All((alone, Related(It(), claim.relation, claim.b)))


def _is(thing: Thing, subject: object, scope: Scope) -> bool:
    if isinstance(subject, The):
        return subject.kind.fits(thing)
    return isinstance(subject, Numbered) and scope.numbers.get(thing.number) == subject.number
