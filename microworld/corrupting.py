"""Claims of the same form that are false: another colour, a wrong count, the opposite relation.

One thing is changed at random and the result is judged; what is false and can be said is taken. No rule changes a claim
so that it must be false: in a full scene a changed claim is often true by another thing.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from microworld.claims import (
    Absent,
    All,
    Attribute,
    Claim,
    Count,
    Enumeration,
    Exists,
    GroundIs,
    HeldKind,
    Kind,
    Measured,
    Numbered,
    OnlyOne,
    OnlyThere,
    PlaceIs,
    Reference,
    Related,
    Relation,
    Shows,
    Some,
    The,
    kind_of,
    only,
)
from microworld.nouns import description_of, is_expressible, some_name
from microworld.scenes import COLOURS, PATTERNS, PLACES, POSES, SHAPES, SIZES, THINGS, Place
from microworld.sentences import write_statement
from microworld.truth import Scope, decide

OPPOSITE: Mapping[Relation, Relation] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
}
_TRIES = 60


def corrupt(claim: Claim, scope: Scope, rng: random.Random) -> Claim | None:
    """A claim of the same form that is false in the scene and can be said, or None where none is found."""
    for changed in islice(_changes(claim, scope, rng), _TRIES):
        if changed != claim and decide(changed, scope).is_false and write_statement(changed, random.Random(0)):  # noqa: S311 - no secret
            return changed
    return None


def other_kind(kind: Kind, rng: random.Random) -> Kind:
    """`kind` with one thing that is said of it changed; of a thing of which nothing is said, a colour."""
    stated = [name for name in kind.aspects if name != "shape" or kind.shape != "figure" or rng.random() < 0.3]
    name = rng.choice(stated or ["colour"])
    match name:
        case "shape":
            return replace(kind, shape=rng.choice(SHAPES if kind.pose is None else THINGS))
        case "colour":
            return replace(kind, colour=rng.choice(COLOURS))
        case "size":
            return replace(kind, size=rng.choice(SIZES))
        case "pattern":
            return replace(kind, pattern=rng.choice(PATTERNS))
        case "pose":
            return replace(kind, pose=rng.choice(POSES))
        case "hat":
            return replace(kind, hat=rng.choice((*COLOURS, *COLOURS, "any", "none")))
    return replace(kind, holds=_other_held(kind.holds, rng))


def _other_held(held: HeldKind | str | None, rng: random.Random) -> HeldKind:
    if not isinstance(held, HeldKind) or held == HeldKind():
        return HeldKind(rng.choice(THINGS), rng.choice(COLOURS))
    if held.colour is not None and (held.shape is None or rng.random() < 0.5):
        return replace(held, colour=rng.choice(COLOURS))
    return replace(held, shape=rng.choice(THINGS))


def _changes(claim: Claim, scope: Scope, rng: random.Random) -> Iterator[Claim]:
    while True:
        yield _changed(claim, scope, rng)


def _changed(claim: Claim, scope: Scope, rng: random.Random) -> Claim:
    match claim:
        case PlaceIs() | GroundIs():
            return replace(claim, place=_other_place(rng))
        case Exists(what) | Attribute(_, what) | OnlyOne(_, what):
            return replace(claim, what=other_kind(what, rng))
        case Absent(what):
            return Absent(only(kind_of(rng.choice(scope.scene.things)), *what.aspects)) if scope.scene.things else claim
        case Count(what, number):
            return Count(what, max(1, number + rng.choice((-2, -1, 1, 2))))
        case Shows(items, place):
            if place is not None and rng.random() < 0.3:
                return Shows(items, _other_place(rng))
            return Shows(_other_item(items, rng), place)
        case Enumeration(what, items):
            return Enumeration(what, _other_item(items, rng))
        case Related(a, relation, b):
            return _other_relation(a, relation, b, scope, rng)
        case OnlyThere(subject, relation, b):
            other = OPPOSITE.get(relation, relation) if rng.random() < 0.5 else relation
            return OnlyThere(subject, other, b if other != relation else _other_reference(b, scope, rng))
        case Measured(fact, a, b):
            return claim if b is None else Measured(fact, b, a)
        case All(claims):
            at = rng.randrange(len(claims))
            return All((*claims[:at], _changed(claims[at], scope, rng), *claims[at + 1 :]))


def _other_relation(a: Reference, relation: Relation, b: Reference, scope: Scope, rng: random.Random) -> Claim:
    if relation in OPPOSITE:
        return Related(b, relation, a) if rng.random() < 0.3 else Related(a, OPPOSITE[relation], b)
    return Related(_other_reference(a, scope, rng), relation, b)


def _other_reference(reference: Reference, scope: Scope, rng: random.Random) -> Reference:
    """Another thing, meant in the same manner."""
    if not scope.scene.things:
        return reference
    if isinstance(reference, Numbered):
        return Numbered(rng.choice(sorted(scope.regions)))
    thing = rng.choice(scope.scene.things)
    if isinstance(reference, Some):
        return Some(description_of(thing, rng))
    name = some_name(scope.scene, thing, rng)
    return reference if name is None else The(name)


def _other_item(items: tuple[Kind, ...], rng: random.Random) -> tuple[Kind, ...]:
    at = rng.randrange(len(items))
    changed = other_kind(items[at], rng)
    return (*items[:at], changed if is_expressible(changed) else items[at], *items[at + 1 :])


def _other_place(rng: random.Random) -> Place:
    return rng.choice(PLACES)
