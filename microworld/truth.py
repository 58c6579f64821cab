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
from dataclasses import dataclass, field
from itertools import permutations

from microworld import geometry
from microworld import verdicts as why
from microworld.claims import (
    Absent,
    All,
    Attribute,
    Boxed,
    Claim,
    Count,
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
    Roll,
    Shows,
    Some,
    The,
)
from microworld.scenes import MARGIN, Scene, Thing, center_distance, inside
from microworld.verdicts import TRUE, Verdict, all_of, any_of, false, judged, unsure
from ostensive.records import Box

SEEN_FROM = 0.3
"""The share of a thing that has to be visible before it must be counted."""
MIN_OVERLAP = 0.5
"""Intersection over union from which on a box is the box of a thing: the usual limit of a hit in detection."""
_OVERLAP_LEAD = 0.1  # by which a box has to fit one thing better than any other


@dataclass(frozen=True, slots=True)
class View:
    """A scene, the boxes of its numbered regions, and what "it" means in this sentence."""

    scene: Scene
    regions: Mapping[int, Box] = field(default_factory=dict)
    it: Reference | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a reference may mean: a box, the thing in it if that is known, and whether it must be counted."""

    box: Box
    thing: Thing | None
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Meant:
    """All that a reference may mean. `problem` is the verdict when it means nothing, or nothing certain."""

    subjects: tuple[Subject, ...] = ()
    problem: Verdict | None = None


def thing_in(box: Box, scene: Scene) -> Thing | None:
    """The one thing that a box is about: the best overlap, if it is enough and no other thing fits nearly as well."""
    ranked = sorted(scene.things, key=lambda thing: box.overlap(thing.box), reverse=True)
    if not ranked or (best := box.overlap(ranked[0].box)) < MIN_OVERLAP:
        return None
    if len(ranked) > 1 and best - box.overlap(ranked[1].box) < _OVERLAP_LEAD:
        return None
    return ranked[0]


def decide(claim: Claim, view: View) -> Verdict:
    """The verdict on a claim."""
    match claim:
        case PlaceIs(place) | GroundIs(place):
            return judged(place == view.scene.place, why.WRONG_PLACE)
        case Exists(what):
            return _count_is(what, view, 1, len(view.scene.things), why.NOT_THERE)
        case Absent(what):
            return _count_is(what, view, 0, 0, why.THERE_AFTER_ALL)
        case Count(what, number):
            return _count_is(what, view, number, number, why.WRONG_COUNT)
        case Shows(items, place):
            there = _shows(items, view.scene)
            return there if place is None else all_of((judged(place == view.scene.place, why.WRONG_PLACE), there))
        case Roll(what, items):
            return _roll(what, items, view.scene)
        case Attribute(subject, what):
            return _attribute(subject, what, view)
        case OnlyOne(subject, what):
            return all_of((_attribute(subject, what, view), _count_is(what, view, 1, 1, why.NOT_ALONE)))
        case Related(a, relation, b):
            return _related(a, relation, b, view)
        case OnlyThere(subject, relation, b):
            return _only_there(subject, relation, b, view)
        case Measured():
            return _measured(claim, view)
        case All(parts):
            return all_of(decide(part, view) for part in parts)


def meant(reference: Reference, view: View) -> Meant:
    """What a reference may mean in this view."""
    match reference:
        case It():
            return (
                Meant(problem=unsure(why.NO_IT)) if view.it is None else meant(view.it, View(view.scene, view.regions))
            )
        case Boxed(box):
            return Meant((Subject(box, thing_in(box, view.scene)),))
        case Numbered(number):
            if number not in view.regions:
                return Meant(problem=unsure(why.NO_REGION, f"[{number}]"))
            box = view.regions[number]
            return Meant((Subject(box, thing_in(box, view.scene)),))
        case The(kind):
            things = [thing for thing in view.scene.things if kind.fits(thing)]
            if not things and not _held(kind, view.scene):
                return Meant(problem=false(why.NO_SUCH_THING))
            if len(things) != 1 or _held(kind, view.scene):
                return Meant(problem=unsure(why.MANY_SUCH))
            return Meant((Subject(things[0].box, things[0]),))
        case Some(kind):
            found = tuple(
                Subject(one.box, one, one.visible >= SEEN_FROM) for one in view.scene.things if kind.fits(one)
            )
            if not found and not _held(kind, view.scene):
                return Meant(problem=false(why.NO_SUCH_THING))
            return Meant(found, unsure(why.HALF_SEEN) if _held(kind, view.scene) else None)


def _held(kind: Kind, scene: Scene) -> bool:
    return any(thing.holds is not None and kind.might_be(thing.holds) for thing in scene.things)


def _over(meanings: Meant, verdicts: Iterable[tuple[Subject, Verdict]]) -> Verdict:
    """The verdict that one of the subjects is so: those that need not be counted cannot make it true."""
    softened = [
        verdict if subject.seen or not verdict.is_true else unsure(why.HALF_SEEN) for subject, verdict in verdicts
    ]
    if meanings.problem is not None:
        softened.append(meanings.problem)
    return any_of(softened, why.NOT_THERE)


def _count_is(what: Kind, view: View, least: int, most: int, otherwise: str) -> Verdict:
    fitting = [thing for thing in view.scene.things if what.fits(thing)]
    low = sum(thing.visible >= SEEN_FROM for thing in fitting)
    high = len(fitting) + sum(t.holds is not None and what.might_be(t.holds) for t in view.scene.things)
    if least <= low and high <= most:
        return TRUE
    if least > high or low > most:
        return false(otherwise)
    # At least one is claimed, and nothing that is held or hidden can undo it.
    return TRUE if otherwise == why.NOT_THERE and low >= least else unsure(why.HALF_SEEN)


def _shows(items: Sequence[Kind], scene: Scene) -> Verdict:
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


def _roll(what: Kind, items: Sequence[Kind], scene: Scene) -> Verdict:
    fitting = [thing for thing in scene.things if what.fits(thing)]
    if len(fitting) == len(items) and _matched(items, fitting):
        return unsure(why.HALF_SEEN) if _held(what, scene) or any(t.visible < SEEN_FROM for t in fitting) else TRUE
    # What may or may not be counted could still make it true, unless an item is of no kind that there is.
    open_ends = _held(what, scene) or any(thing.visible < SEEN_FROM for thing in fitting)
    known = all(any(item.fits(thing) for thing in fitting) or _held(item, scene) for item in items)
    return unsure(why.HALF_SEEN) if open_ends and known else false(why.NOT_THE_ROLL)


def _attribute(subject: Reference, what: Kind, view: View) -> Verdict:
    meanings = meant(subject, view)
    return _over(meanings, [(one, _is_of(one, what)) for one in meanings.subjects])


def _is_of(subject: Subject, what: Kind) -> Verdict:
    if subject.thing is None:
        return unsure(why.NO_THING_THERE)
    misfit = what.misfit(subject.thing)
    return TRUE if misfit is None else false(why.WRONG[misfit])


def _related(a: Reference, relation: str, b: Reference, view: View) -> Verdict:
    ones, others = meant(a, view), meant(b, view)
    if relation == "inside" and isinstance(a, Some):
        # A star in the middle of a square is inside it, whether one says that the square holds it or not.
        for other in others.subjects:
            if other.thing is not None and other.thing.holds is not None and a.kind.might_be(other.thing.holds):
                return TRUE
    found = [
        (Subject(one.box, one.thing, one.seen and other.seen), _between(one, relation, other, view))
        for one in ones.subjects
        for other in others.subjects
        if one.thing is None or other.thing is None or one.thing.number != other.thing.number
    ]
    problem = next((m.problem for m in (ones, others) if m.problem is not None and m.problem.is_false), None)
    return problem or _over(Meant(problem=ones.problem or others.problem), found)


def _between(one: Subject, relation: str, other: Subject, view: View) -> Verdict:
    if relation in geometry.Sided:
        return judged(geometry.beside(one.box, relation, other.box), why.WRONG_RELATION)
    if one.thing is None or other.thing is None:
        return unsure(why.NO_THING_THERE)
    if relation == "inside":
        return judged(inside(one.thing, other.thing), why.WRONG_RELATION)
    return judged(_nearest(one.thing, other.thing, view.scene), why.WRONG_RELATION)


def _nearest(one: Thing, other: Thing, scene: Scene) -> bool | None:
    """Whether `one` is, of all things but `other`, the nearest to `other`, with the margin of scenes."""
    rivals = [t for t in scene.things if t.number not in (one.number, other.number)]
    lead = min((center_distance(t, other) for t in rivals), default=float("inf")) - center_distance(one, other)
    return None if abs(lead) < MARGIN else lead > 0


def _only_there(subject: Reference, relation: str, b: Reference, view: View) -> Verdict:
    ones, others = meant(subject, view), meant(b, view)
    for meanings in (ones, others):
        if meanings.problem is not None:
            return meanings.problem
        if len(meanings.subjects) != 1:
            return unsure(why.MANY_SUCH)
    one, other = ones.subjects[0], others.subjects[0]
    if one.thing is None or other.thing is None:
        return unsure(why.NO_THING_THERE)
    rest = [t for t in view.scene.things if t.number not in (one.thing.number, other.thing.number)]
    found = [_related(subject, relation, b, view)]
    for thing in rest:
        verdict = _between(Subject(thing.box, thing), relation, other, view)
        if not verdict.is_false:
            certain = verdict.is_true and thing.visible >= SEEN_FROM
            found.append(
                false(why.NOT_ALONE) if certain else unsure(why.HALF_SEEN if verdict.is_true else why.TOO_CLOSE)
            )
    return all_of(found)


def _measured(claim: Measured, view: View) -> Verdict:
    a, b = (_spot(reference, view) for reference in (claim.a, claim.b))
    for spot in (a, b):
        if isinstance(spot, Verdict):
            return spot
    assert isinstance(a, Box), "the first reference is always given"
    others = [box for box in view.regions.values() if box != a] or [
        thing.box for thing in view.scene.things if thing.box != a
    ]
    return judged(geometry.holds(claim.fact, a, b if isinstance(b, Box) else None, others), why.WRONG_GEOMETRY)


def _spot(reference: Reference | None, view: View) -> Box | Verdict | None:
    """The box that is spoken of: that of the region which shows the thing, where there is one."""
    if reference is None:
        return None
    meanings = meant(reference, view)
    if meanings.problem is not None:
        return meanings.problem
    if len(meanings.subjects) != 1:
        return unsure(why.MANY_SUCH)
    subject = meanings.subjects[0]
    if subject.thing is None or isinstance(reference, Numbered | Boxed):
        return subject.box
    shown = [box for box in view.regions.values() if thing_in(box, view.scene) is subject.thing]
    return shown[0] if len(shown) == 1 else subject.box
