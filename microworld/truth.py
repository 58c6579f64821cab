"""Whether a claim is true of a scene: three values, and the reason when it is not true.

Decisions that the words leave open, taken once and here:
- "the red circle" is the one red circle. With none the claim is false; with several, or where a held circle could be
  meant, it is not checkable.
- A number is exact. A held thing is a part of what holds it and is not counted; where somebody might count it, the
  claim is not checkable. Nor is it where all depends on a thing of which less than `SEEN_FROM` is to be seen.
- Relations are those of the middles of boxes, and not checkable within the margin of scenes.
- `[k]` is the box of the region for relations, and the one thing that fills it for everything else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from microworld import findings as why
from microworld.claims import (
    Absent,
    All,
    Attribute,
    Boxed,
    Claim,
    Count,
    Enumeration,
    Exists,
    GroundIs,
    It,
    Kind,
    Measured,
    Numbered,
    OnlyOne,
    OnlyThere,
    PlaceIs,
    Reference,
    Related,
    Shows,
    Some,
    The,
)
from microworld.findings import TRUE, Finding, all_of, any_of, false, unsure, whether
from microworld.geometry import holds
from microworld.scenes import SIDES, Scene, Thing, beside, inside, is_nearest
from ostensive.records import Box, Region

SEEN_FROM = 0.3
"""The share of a thing that has to be visible before it must be counted."""
MIN_OVERLAP = 0.5
"""Intersection over union from which on a box is the box of a thing: the usual limit of a hit in detection."""
_OVERLAP_LEAD = 0.1  # by which a box has to fit one thing better than any other


@dataclass(frozen=True, slots=True)
class Scope:
    """What is spoken of: a scene, the boxes of its numbered regions, and what "it" means in this sentence.

    Made by `scope_of`.
    """

    scene: Scene
    regions: Mapping[int, Box]
    numbers: Mapping[int, int]  # from the number of a thing to that of the region which shows it
    it: Reference | None = None


@dataclass(frozen=True, slots=True)
class Referent:
    """What a reference may mean: a box, the thing in it if that is known, and whether it must be counted."""

    box: Box
    thing: Thing | None
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Referents:
    """All that a reference may mean. `problem` is the finding when it means nothing, or nothing certain."""

    found: tuple[Referent, ...] = ()
    problem: Finding | None = None


def thing_in(box: Box, scene: Scene) -> Thing | None:
    """The one thing that a box is about: the best overlap, if it is enough and no other thing fits nearly as well."""
    ranked = sorted(scene.things, key=lambda thing: box.overlap(thing.box), reverse=True)
    if not ranked or (best := box.overlap(ranked[0].box)) < MIN_OVERLAP:
        return None
    if len(ranked) > 1 and best - box.overlap(ranked[1].box) < _OVERLAP_LEAD:
        return None
    return ranked[0]


def scope_of(scene: Scene, regions: Sequence[Region] = (), it: Reference | None = None) -> Scope:
    """The scope of a scene with these regions."""
    shown = [(thing_in(region.box, scene), region.number) for region in regions]
    numbers = {thing.number: number for thing, number in shown if thing is not None}
    return Scope(scene, {region.number: region.box for region in regions}, numbers, it)


def decide(claim: Claim, scope: Scope) -> Finding:
    """The finding on a claim."""
    match claim:
        case PlaceIs(place) | GroundIs(place):
            return whether(place == scope.scene.place, why.WRONG_PLACE)
        case Exists(what):
            return _count_is(what, scope, 1, len(scope.scene.things), why.NOT_THERE)
        case Absent(what):
            return _count_is(what, scope, 0, 0, why.THERE_AFTER_ALL)
        case Count(what, number):
            return _count_is(what, scope, number, number, why.WRONG_COUNT)
        case Shows(items, place):
            there = _shows(items, scope.scene)
            return there if place is None else all_of((whether(place == scope.scene.place, why.WRONG_PLACE), there))
        case Enumeration(what, items):
            return _enumeration(what, items, scope.scene)
        case Attribute(subject, what):
            return _attribute(subject, what, scope)
        case OnlyOne(subject, what):
            return all_of((_attribute(subject, what, scope), _count_is(what, scope, 1, 1, why.NOT_ALONE)))
        case Related(a, relation, b):
            return _related(a, relation, b, scope)
        case OnlyThere(subject, relation, b):
            return _only_there(subject, relation, b, scope)
        case Measured():
            return _measured(claim, scope)
        case All(claims):
            return all_of(decide(one, scope) for one in claims)


def referents_of(reference: Reference, scope: Scope) -> Referents:
    """What a reference may mean in this scope."""
    match reference:
        case It():
            if scope.it is None:
                return Referents(problem=unsure(why.NO_IT))
            return referents_of(scope.it, replace(scope, it=None))
        case Boxed(box):
            return Referents((Referent(box, thing_in(box, scope.scene)),))
        case Numbered(number):
            if number not in scope.regions:
                return Referents(problem=unsure(why.NO_REGION, f"[{number}]"))
            box = scope.regions[number]
            return Referents((Referent(box, thing_in(box, scope.scene)),))
        case The(kind):
            things = [thing for thing in scope.scene.things if kind.fits(thing)]
            if not things and not _held(kind, scope.scene):
                return Referents(problem=false(why.NO_SUCH_THING))
            if len(things) != 1 or _held(kind, scope.scene):
                return Referents(problem=unsure(why.MANY_SUCH))
            return Referents((Referent(things[0].box, things[0]),))
        case Some(kind):
            found = tuple(
                Referent(one.box, one, one.visible >= SEEN_FROM) for one in scope.scene.things if kind.fits(one)
            )
            if not found and not _held(kind, scope.scene):
                return Referents(problem=false(why.NO_SUCH_THING))
            return Referents(found, unsure(why.HALF_SEEN) if _held(kind, scope.scene) else None)


def _held(kind: Kind, scene: Scene) -> bool:
    return any(thing.holds is not None and kind.might_be(thing.holds) for thing in scene.things)


def _over(referents: Referents, findings: Iterable[tuple[Referent, Finding]]) -> Finding:
    """The finding that one of the subjects is so: those that need not be counted cannot make it true."""
    softened = [
        finding if subject.seen or not finding.is_true else unsure(why.HALF_SEEN) for subject, finding in findings
    ]
    if referents.problem is not None:
        softened.append(referents.problem)
    return any_of(softened, why.NOT_THERE)


def _count_is(what: Kind, scope: Scope, least: int, most: int, otherwise: str) -> Finding:
    fitting = [thing for thing in scope.scene.things if what.fits(thing)]
    low = sum(thing.visible >= SEEN_FROM for thing in fitting)
    high = len(fitting) + sum(t.holds is not None and what.might_be(t.holds) for t in scope.scene.things)
    if least <= low and high <= most:
        return TRUE
    if least > high or low > most:
        return false(otherwise)
    # At least one is claimed, and nothing that is held or hidden can undo it.
    return TRUE if otherwise == why.NOT_THERE and low >= least else unsure(why.HALF_SEEN)


def _shows(items: Sequence[Kind], scene: Scene) -> Finding:
    if _matched(items, [thing for thing in scene.things if thing.visible >= SEEN_FROM]):
        return TRUE
    maybe = [item for item in items if not _held(item, scene)]
    return unsure(why.HALF_SEEN) if _matched(maybe, scene.things) else false(why.NOT_THERE)


def _matched(items: Sequence[Kind], things: Sequence[Thing]) -> bool:
    """Whether each item can have a thing of its own; with six things at most, trying all is quick."""
    if len(items) > len(things):
        return False
    return any(all(item.fits(thing) for item, thing in zip(items, row, strict=True)) for row in _rows(items, things))


def _rows(items: Sequence[Kind], things: Sequence[Thing]) -> Iterable[tuple[Thing, ...]]:
    return permutations([thing for thing in things if any(item.fits(thing) for item in items)], len(items))


def _enumeration(what: Kind, items: Sequence[Kind], scene: Scene) -> Finding:
    fitting = [thing for thing in scene.things if what.fits(thing)]
    if len(fitting) == len(items) and _matched(items, fitting):
        return unsure(why.HALF_SEEN) if _held(what, scene) or any(t.visible < SEEN_FROM for t in fitting) else TRUE
    # What may or may not be counted could still make it true, unless an item is of no kind that there is.
    open_ends = _held(what, scene) or any(thing.visible < SEEN_FROM for thing in fitting)
    known = all(any(item.fits(thing) for thing in fitting) or _held(item, scene) for item in items)
    return unsure(why.HALF_SEEN) if open_ends and known else false(why.NOT_THE_ENUMERATION)


def _attribute(subject: Reference, what: Kind, scope: Scope) -> Finding:
    referents = referents_of(subject, scope)
    return _over(referents, [(one, _is_of(one, what)) for one in referents.found])


def _is_of(subject: Referent, what: Kind) -> Finding:
    if subject.thing is None:
        return unsure(why.NO_THING_THERE)
    misfit = what.misfit(subject.thing)
    return TRUE if misfit is None else false(why.WRONG[misfit])


def _related(a: Reference, relation: str, b: Reference, scope: Scope) -> Finding:
    ones, others = referents_of(a, scope), referents_of(b, scope)
    if relation == "inside" and isinstance(a, Some):
        # A star in the middle of a square is inside it, whether one says that the square holds it or not.
        for other in others.found:
            if other.thing is not None and other.thing.holds is not None and a.kind.might_be(other.thing.holds):
                return TRUE
    found = [
        (Referent(one.box, one.thing, one.seen and other.seen), _between(one, relation, other, scope))
        for one in ones.found
        for other in others.found
        if one.thing is None or other.thing is None or one.thing.number != other.thing.number
    ]
    problem = next((m.problem for m in (ones, others) if m.problem is not None and m.problem.is_false), None)
    return problem or _over(Referents(problem=ones.problem or others.problem), found)


def _between(one: Referent, relation: str, other: Referent, scope: Scope) -> Finding:
    if relation in SIDES:
        return whether(beside(one.box, relation, other.box), why.WRONG_RELATION)
    if one.thing is None or other.thing is None:
        return unsure(why.NO_THING_THERE)
    if relation == "inside":
        return whether(inside(one.thing, other.thing), why.WRONG_RELATION)
    return whether(is_nearest(one.thing, other.thing, scope.scene), why.WRONG_RELATION)


def _only_there(subject: Reference, relation: str, b: Reference, scope: Scope) -> Finding:
    ones, others = referents_of(subject, scope), referents_of(b, scope)
    for referents in (ones, others):
        if referents.problem is not None:
            return referents.problem
        if len(referents.found) != 1:
            return unsure(why.MANY_SUCH)
    one, other = ones.found[0], others.found[0]
    if one.thing is None or other.thing is None:
        return unsure(why.NO_THING_THERE)
    rest = [t for t in scope.scene.things if t.number not in (one.thing.number, other.thing.number)]
    found = [_related(subject, relation, b, scope)]
    for thing in rest:
        finding = _between(Referent(thing.box, thing), relation, other, scope)
        if not finding.is_false:
            certain = finding.is_true and thing.visible >= SEEN_FROM
            found.append(
                false(why.NOT_ALONE) if certain else unsure(why.HALF_SEEN if finding.is_true else why.TOO_CLOSE)
            )
    return all_of(found)


def _measured(claim: Measured, scope: Scope) -> Finding:
    a, b = (_spot(reference, scope) for reference in (claim.a, claim.b))
    for spot in (a, b):
        if isinstance(spot, Finding):
            return spot
    assert isinstance(a, Box), "the first reference is always given"
    others = [box for box in scope.regions.values() if box != a] or [
        thing.box for thing in scope.scene.things if thing.box != a
    ]
    return whether(holds(claim.fact, a, b if isinstance(b, Box) else None, others), why.WRONG_GEOMETRY)


def _spot(reference: Reference | None, scope: Scope) -> Box | Finding | None:
    """The box that is spoken of: that of the region which shows the thing, where there is one."""
    if reference is None:
        return None
    referents = referents_of(reference, scope)
    if referents.problem is not None:
        return referents.problem
    if len(referents.found) != 1:
        return unsure(why.MANY_SUCH)
    subject = referents.found[0]
    if subject.thing is None or isinstance(reference, Numbered | Boxed):
        return subject.box
    shown = [box for box in scope.regions.values() if thing_in(box, scope.scene) is subject.thing]
    return shown[0] if len(shown) == 1 else subject.box
