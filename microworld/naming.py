"""Names of things: the least that has to be said so that one thing is meant and no other."""

import random
from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from itertools import combinations

from microworld.claims import ASPECTS, Aspect, HeldKind, Kind, kind_of, only
from microworld.scenes import Scene, Thing

# What somebody says first comes first; that a thing is plain, bare or holds nothing is said only if nothing else helps.
_TELLING: tuple[Aspect, ...] = ("shape", "colour", "size", "pattern", "pose", "hat", "holds")


def fits_one(kind: Kind, scene: Scene) -> bool:
    """Whether exactly one thing is of this kind, and no held thing could be meant by it."""
    if any(thing.holds is not None and kind.might_be(thing.holds) for thing in scene.things):
        return False
    return sum(kind.fits(thing) for thing in scene.things) == 1


def sayable(kind: Kind) -> bool:
    """Whether a noun phrase can say it: of a bare thing not what it holds, of an empty-handed one not its hat."""
    if kind.hat == "none":
        return kind.holds is None
    return kind.holds != "nothing" or kind.hat is None


@lru_cache(maxsize=4096)
def names_of(scene: Scene, thing: Thing, without: Collection[Aspect] = ()) -> tuple[Kind, ...]:
    """Every shortest name: the attribute combinations of the least size that fit `thing` alone, best first.

    `without` leaves aspects out: who asks for a colour does not name it.
    """
    full = kind_of(thing)
    aspects = [aspect for aspect in _TELLING if getattr(full, aspect) is not None and aspect not in without]
    for size in range(1, len(aspects) + 1):
        kinds = [only(full, *names) for names in combinations(aspects, size)]
        found = [kind for kind in kinds if sayable(kind) and fits_one(kind, scene)]
        if found:
            return tuple(sorted(found, key=lambda kind: (kind.shape is None and "shape" not in without, _empty(kind))))
    return ()


def name_of(scene: Scene, thing: Thing) -> Kind | None:
    """The shortest attribute combination that fits this thing alone, one with its shape if there is one, or None."""
    return next(iter(names_of(scene, thing)), None)


def some_name(scene: Scene, thing: Thing, rng: random.Random, without: Collection[Aspect] = ()) -> Kind | None:
    """A name of `thing`, with now and then more said than is needed; None where nothing fits it alone."""
    names = names_of(scene, thing, tuple(without))
    if not names:
        return None
    # Mostly the first: people call things by their shapes.
    name = names[0] if rng.random() < 0.7 else rng.choice(names)
    return more_said(name, thing, rng, without)


def more_said(kind: Kind, thing: Thing, rng: random.Random, without: Collection[Aspect] = ()) -> Kind:
    """`kind` with its shape and perhaps some more of what is so of `thing`."""
    full = kind_of(thing)
    chances = {"shape": 0.85, "colour": 0.5, "size": 0.25, "pattern": 0.15, "pose": 0.3, "hat": 0.15, "holds": 0.15}
    for aspect in ASPECTS:
        if aspect not in without and rng.random() < chances[aspect] * (0.3 if _plain(full, aspect) else 1):
            fuller = replace(kind, **{aspect: getattr(full, aspect)})
            kind = fuller if sayable(fuller) else kind
    return kind


def said_of(thing: Thing, rng: random.Random) -> Kind:
    """A description of `thing` that need not fit it alone: shape and colour nearly always, the rest now and then."""
    full = kind_of(thing)
    start = only(full, "shape", "colour") if rng.random() < 0.8 else only(full, "shape")
    return more_said(start, thing, rng)


def all_said_of(thing: Thing) -> Kind:
    """All there is to see of a thing, its missing hat and empty hands left out."""
    full = kind_of(thing)
    bare = replace(full, hat=None if full.hat == "none" else full.hat)
    return replace(bare, holds=bare.holds if isinstance(bare.holds, HeldKind) else None)


def _plain(kind: Kind, aspect: str) -> bool:
    return getattr(kind, aspect) in ("plain", "none", "nothing")


def _empty(kind: Kind) -> int:
    return sum(_plain(kind, aspect) for aspect in kind.said)
