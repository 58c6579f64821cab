"""True claims about a scene: what there is to tell, by the form of the claim.

Each is proposed from the scene and then decided, and only what is certainly true is told: what is too close to say, or
half hidden, is left out here as it is by the oracle, because it is the same decision.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from microworld.claims import (
    ASPECTS,
    Absent,
    Aspect,
    Attribute,
    Claim,
    Count,
    Enumeration,
    Exists,
    GroundIs,
    HeldKind,
    Kind,
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
from microworld.nouns import description_of, full_description_of, some_name
from microworld.scenes import COLOURS, PATTERNS, SHAPES, SIDES, Thing, inside
from microworld.truth import SEEN_FROM, Scope, decide


def refer(scope: Scope, thing: Thing, rng: random.Random, without: tuple[Aspect, ...] = ()) -> Reference | None:
    """`[k]` for a thing that a region shows, else a name that fits it alone, else None."""
    number = scope.numbers.get(thing.number)
    if number is not None:
        return Numbered(number)
    if scope.numbers:
        return None  # where regions are numbered, only they are spoken of
    name = some_name(scope.scene, thing, rng, without)
    return None if name is None else The(name)


def fact(scope: Scope, form: str, rng: random.Random, *, tries: int = 12) -> Claim | None:
    """A true claim of a form in `FACTS`, or None where so many draws find none."""
    for _ in range(tries):
        claim = FACTS[form](scope, rng)
        if claim is not None and decide(claim, scope).is_true:
            return claim
    return None


def any_thing(scope: Scope, rng: random.Random) -> Thing | None:
    """One of the things that are spoken of."""
    things = _spoken_of(scope)
    return rng.choice(things) if things else None


def _spoken_of(scope: Scope) -> list[Thing]:
    """The things that a sentence may name: seen well enough and, where regions are numbered, shown by one of them."""
    return [
        thing
        for thing in scope.scene.things
        if thing.visible >= SEEN_FROM and (thing.number in scope.numbers or not scope.numbers)
    ]


def aspect_of(thing: Thing, aspect: Aspect) -> Kind:
    """What is so of a thing in one aspect."""
    return full_description_of(thing) if aspect == "kind" else only(kind_of(thing), aspect)


def listed(thing: Thing) -> Kind:
    """A thing as an item of a list: what it holds is left out, because "and" would go on after it."""
    full = full_description_of(thing)
    return Kind(full.shape, full.colour, full.size, full.pattern, full.pose, full.hat)


def countable(scope: Scope, rng: random.Random) -> Kind:
    """A kind to count: of what is there, mostly, else of anything."""
    thing = any_thing(scope, rng)
    if thing is None or rng.random() < 0.15:
        return Kind(shape=rng.choice(SHAPES)) if rng.random() < 0.5 else Kind(colour=rng.choice(COLOURS))
    options: tuple[tuple[Aspect, ...], ...] = (
        ("shape",),
        ("colour",),
        ("shape", "colour"),
        ("size",),
        ("pattern",),
        ("shape", "size"),
        (),
    )
    return only(kind_of(thing), *rng.choices(options, (6, 4, 2, 2, 1, 1, 2))[0])


def _place(scope: Scope, _rng: random.Random) -> Claim:
    return PlaceIs(scope.scene.place)


def _ground(scope: Scope, _rng: random.Random) -> Claim:
    return GroundIs(scope.scene.place)


def _exists(scope: Scope, rng: random.Random) -> Claim | None:
    thing = any_thing(scope, rng)
    return None if thing is None else Exists(description_of(thing, rng))


def _absent(_scope: Scope, rng: random.Random) -> Claim:
    kinds = (
        Kind(shape=rng.choice(SHAPES)),
        Kind(colour=rng.choice(COLOURS)),
        Kind(rng.choice(SHAPES), rng.choice(COLOURS)),
        Kind(pattern=rng.choice(PATTERNS)),
        Kind(hat=rng.choice((*COLOURS, "any"))),
    )
    return Absent(rng.choices(kinds, (4, 4, 4, 1, 4))[0])


def _count(scope: Scope, rng: random.Random) -> Claim | None:
    what = countable(scope, rng)
    number = sum(what.fits(thing) for thing in scope.scene.things)
    return Count(what, number) if number else None


def _shows(scope: Scope, rng: random.Random) -> Claim | None:
    things = _spoken_of(scope)
    if not things:
        return None
    chosen = rng.sample(things, rng.randint(1, min(3, len(things))))
    items = tuple(listed(thing) if rng.random() < 0.4 else only(listed(thing), "shape", "colour") for thing in chosen)
    if len(set(items)) < len(items):
        return None
    place = scope.scene.place if len(items) == 1 or rng.random() < 0.6 else None
    return Shows(items, place)


def enumeration_of(scope: Scope, what: Kind) -> Claim | None:
    """Who the things of a kind are, or None where there are none, or two that look alike."""
    items = tuple(listed(thing) for thing in scope.scene.things if what.fits(thing))
    return Enumeration(what, items) if items and len(set(items)) == len(items) else None


def _enumeration(scope: Scope, rng: random.Random) -> Claim | None:
    return enumeration_of(scope, countable(scope, rng))


def _attribute(scope: Scope, rng: random.Random) -> Claim | None:
    thing = any_thing(scope, rng)
    if thing is None:
        return None
    # Shapes are told only with all the rest: "the red thing is a star".
    aspects: list[Aspect] = ["kind", *(a for a in ASPECTS if a != "shape" and getattr(kind_of(thing), a) is not None)]
    aspect = rng.choices(aspects, [3 if a in ("kind", "colour") else 1 for a in aspects])[0]
    subject = refer(scope, thing, rng, ("shape", "colour") if aspect == "kind" else (aspect,))
    return None if subject is None else Attribute(subject, aspect_of(thing, aspect))


def distinguishing_kind(scope: Scope, thing: Thing) -> Kind | None:
    """What is so of `thing` and of no other, and can be said without naming it: its colour, its hat, what it holds."""
    full = kind_of(thing)
    for aspect in ("colour", "hat", "pattern", "pose", "holds", "size"):
        kind = only(full, aspect)
        if full.hat == "none" and aspect == "hat":
            continue
        if aspect == "holds" and not isinstance(full.holds, HeldKind):
            continue
        if kind.aspects and decide(OnlyOne(Some(kind), kind), scope).is_true:
            return kind
    return None


def _only_one(scope: Scope, rng: random.Random) -> Claim | None:
    thing = any_thing(scope, rng)
    what = (
        None
        if thing is None
        else distinguishing_kind(scope, thing)
        if rng.random() < 0.7
        else only(kind_of(thing), "shape")
    )
    if thing is None or what is None:
        return None
    subject = refer(scope, thing, rng, tuple(a for a in ASPECTS if a in what.aspects))
    return None if subject is None else OnlyOne(subject, what)


def related(scope: Scope, relations: Sequence[Relation], rng: random.Random) -> Related | None:
    """A relation between two things, true or not; the first may be spoken of as any of its kind."""
    things = _spoken_of(scope)
    if len(things) < 2:
        return None
    one, other = rng.sample(things, 2)
    a, b = refer(scope, one, rng), refer(scope, other, rng)
    if a is None or (isinstance(a, The) and rng.random() < 0.2):
        a = Some(description_of(one, rng)) if not scope.numbers else a
    if a is None or b is None:
        return None
    return Related(a, rng.choice(relations), b)


def _sided(scope: Scope, rng: random.Random) -> Claim | None:
    return related(scope, SIDES, rng)


def _nearest(scope: Scope, rng: random.Random) -> Claim | None:
    return related(scope, ("nearest to",), rng)


def _inside(scope: Scope, rng: random.Random) -> Claim | None:
    """Something in the middle of something: a thing, or what a thing that is no figure holds."""
    things = _spoken_of(scope)
    found: list[tuple[Thing, Thing | None]] = [(b, a) for b in things for a in things if inside(a, b)]
    found += [(b, None) for b in things if b.holds is not None and not b.is_agent]
    if not found:
        return None
    outer, inner = rng.choice(found)
    b = refer(scope, outer, rng, ("holds",))
    if inner is None:
        assert outer.holds is not None, "what holds nothing was left out above"
        a: Reference | None = Some(Kind(outer.holds.shape, outer.holds.colour))
    else:
        a = refer(scope, inner, rng) or Some(description_of(inner, rng))
    return None if a is None or b is None else Related(a, "inside", b)


def _only_there(scope: Scope, rng: random.Random) -> Claim | None:
    claim = related(scope, SIDES, rng)
    return None if claim is None or isinstance(claim.a, Some) else OnlyThere(claim.a, claim.relation, claim.b)


FACTS: Mapping[str, Callable[[Scope, random.Random], Claim | None]] = {
    "place": _place,
    "ground": _ground,
    "exists": _exists,
    "absent": _absent,
    "count": _count,
    "shows": _shows,
    "enumeration": _enumeration,
    "attribute": _attribute,
    "only one": _only_one,
    "related": _sided,
    "nearest": _nearest,
    "inside": _inside,
    "only there": _only_there,
}
"""What can be told, by its form; in a scope with regions, about `[k]`."""
