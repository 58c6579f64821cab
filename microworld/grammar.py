"""Writes true sentences about a scene, in varied wording: captions, narratives, region phrases, statements.

A sentence is drawn in two steps, what is told (`facts`) and how (`forms`), and carries its meaning. Questions and
rationales are in `questions`. Templates filled at random from the scene would not do: without the claim between, which
is decided, nobody could tell which of them come out false.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from microworld.claims import All, Claim, Kind, PlaceIs
from microworld.facts import FACTS, fact
from microworld.nouns import description_of, full_description_of, with_article, write_noun
from microworld.scenes import Scene, Thing
from microworld.sentences import write_statement
from microworld.truth import Scope, scope_of
from ostensive.records import Region

_STATEMENTS: dict[str, float] = {
    "place": 1,
    "ground": 0.5,
    "exists": 2,
    "absent": 1,
    "count": 2,
    "shows": 2,
    "enumeration": 1,
    "attribute": 4,
    "only one": 1,
    "related": 4,
    "nearest": 1,
    "inside": 0.5,
    "only there": 1,
}
_CAPTIONS: dict[str, float] = {"shows": 5, "related": 3, "exists": 1, "count": 1, "nearest": 0.5}
_OF_REGIONS: dict[str, float] = {"attribute": 4, "related": 4, "nearest": 1, "only one": 1, "only there": 1}
assert set(_STATEMENTS) == set(FACTS), "every fact has a chance to be told"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and what it claims."""

    text: str
    claim: Claim


@dataclass(frozen=True, slots=True)
class Phrase:
    """What a region shows, with an article and without a full stop, and what that says of the thing."""

    text: str
    kind: Kind


def statement(scene: Scene, rng: random.Random, regions: Sequence[Region] = ()) -> Sentence:
    """One true sentence of any form; with regions, about `[k]`, where any of them shows a thing."""
    scope = scope_of(scene, regions)
    return _drawn(scope, _OF_REGIONS if scope.numbers else _STATEMENTS, rng)


def caption(scene: Scene, rng: random.Random) -> Sentence:
    """One true sentence about what is to be seen, often with the place."""
    scope = scope_of(scene)
    sentence = _drawn(scope, _CAPTIONS, rng)
    if not _states_place(sentence.claim) and rng.random() < 0.7:
        return _written(All((PlaceIs(scene.place), sentence.claim)), rng) or sentence
    return sentence


def narrative(scene: Scene, rng: random.Random, *, sentences: int = 4) -> tuple[Sentence, ...]:
    """At most so many true sentences that go together: the place, what is there, and how it stands. No two alike."""
    scope = scope_of(scene)
    forms = [
        "shows" if rng.random() < 0.6 else "enumeration",
        "attribute",
        "related",
        "count",
        "only one",
        "nearest",
        "absent",
    ]
    weights = [4, 4, 5, 2, 2, 1, 1]
    plan = ["place" if rng.random() < 0.7 else "ground"]
    plan += [forms[0], *sorted(rng.choices(forms[1:], weights[1:], k=max(0, 2 * sentences)), key=forms.index)]
    chosen: dict[Claim, Sentence] = {}
    for form in _spread(plan, sentences, rng):
        claim = fact(scope, form, rng)
        written = None if claim is None else _written(claim, rng)
        if written is not None and written.claim not in chosen:
            chosen[written.claim] = written
    return tuple(chosen.values())


def region_phrase(thing: Thing, rng: random.Random) -> Phrase:
    """What a region shows: all there is to see of the thing in it, or most of that."""
    while True:
        kind = full_description_of(thing) if rng.random() < 0.6 else description_of(thing, rng)
        noun = write_noun(kind, rng)
        if noun is not None:
            return Phrase(with_article(noun), kind)


def _drawn(scope: Scope, chances: dict[str, float], rng: random.Random) -> Sentence:
    forms = list(chances)
    for _ in range(50):
        claim = fact(scope, rng.choices(forms, list(chances.values()))[0], rng)
        written = None if claim is None else _written(claim, rng)
        if written is not None:
            return written
    written = _written(PlaceIs(scope.scene.place), rng)  # true of every scene, even of an empty one
    assert written is not None, "a place can always be said"
    return written


def _written(claim: Claim, rng: random.Random) -> Sentence | None:
    text = write_statement(claim, rng)
    return None if text is None else Sentence(text, claim)


def _spread(plan: list[str], count: int, rng: random.Random) -> list[str]:
    """`count` forms of the plan in its order, its first two always among them."""
    rest = sorted(rng.sample(range(2, len(plan)), max(0, min(count, len(plan)) - 2)))
    return [*plan[:2], *(plan[at] for at in rest)][:count]


def _states_place(claim: Claim) -> bool:
    return getattr(claim, "place", None) is not None
