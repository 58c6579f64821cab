"""What is true of specimens: which there are, which of an expert's concepts are visible, whether explanations are true.

All is decided from the scene. A part that is covered can neither be confirmed nor denied: what is said of it is not
checkable, as a reader of the picture could not check it either. "Because" asks for more than truth: what the expert
does not name of that species is no reason for it, however true.
"""

import random
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from microworld import findings as why
from microworld.claims import Boxed, It, Kind, Reference, Some
from microworld.findings import TRUE, Finding, all_of, false, unsure, whether
from microworld.scenes import MIN_VISIBLE, Scene, Thing
from microworld.species import (
    NAMES,
    SPECIES,
    Concept,
    PartVisibility,
    Species,
    part_visibility,
    species_named,
    species_of,
)
from microworld.species_words import SpeciesClaim
from microworld.truth import Scope, referents_of

Standing: TypeAlias = Literal["visible", "hidden", "absent"]
NO_SPECIMEN: Final = "no specimen there"
WRONG_SPECIES: Final = "wrong species"
COVERED: Final = "a part that is covered"
NO_MARK: Final = "no mark of that species"


@dataclass(frozen=True, slots=True)
class ConceptStanding:
    """A concept of an expert's list, and how it stands in one picture."""

    concept: Concept
    standing: Standing


@dataclass(frozen=True, slots=True)
class Specimen:
    """A thing of a species in a picture, and its expert's concepts in the list's order."""

    species: str
    thing: int  # its number in the scene
    concepts: tuple[ConceptStanding, ...]

    def standing(self, standing: Standing) -> tuple[Concept, ...]:
        """The concepts of the list that stand so."""
        return tuple(one.concept for one in self.concepts if one.standing == standing)


def specimens_in(scene: Scene) -> tuple[Specimen, ...]:
    """Every specimen of a scene, in the order of its things."""
    found = [(thing, species_of(thing)) for thing in scene.things]
    return tuple(_specimen(scene, thing, species) for thing, species in found if species is not None)


def _specimen(scene: Scene, thing: Thing, species: Species) -> Specimen:
    seen = part_visibility(scene.things, thing)
    concepts = tuple(ConceptStanding(one, standing_of(one.what, thing, seen)) for one in species.concepts)
    return Specimen(species.name, thing.number, concepts)


def standing_of(what: Kind, thing: Thing, seen: PartVisibility) -> Standing:
    """Whether a concept is to be seen on a thing: hidden is what lies under another thing, there or not."""
    if not seen.shows(what):
        return "hidden"
    return "visible" if what.fits(thing) else "absent"


def the_specimen(scene: Scene) -> Reference | None:
    """What "it" means in a text about species: the one specimen, where there is one."""
    found = specimens_in(scene)
    return Boxed(scene.things[found[0].thing].box) if len(found) == 1 else None


def decide_species(claim: SpeciesClaim, scope: Scope) -> Finding:
    """The finding on a sentence about a specimen."""
    thing = subject_of(claim, scope)
    if isinstance(thing, Finding):
        return thing
    seen = part_visibility(scope.scene.things, thing)
    findings = [_mark(what, thing, seen) for what in claim.marks]
    if claim.species is not None:
        listed = {concept.what for concept in species_named(claim.species).concepts}
        findings.append(_named(claim.species, thing, seen))
        findings += [whether(what in listed, NO_MARK) for what in claim.marks]
    return all_of(findings)


def subject_of(claim: SpeciesClaim, scope: Scope) -> Thing | Finding:
    """The thing that a sentence is about, or the finding when it means none, or none certain."""
    if isinstance(claim.subject, It) and scope.it is None:
        found = specimens_in(scope.scene)
        if len(found) == 1:
            return scope.scene.things[found[0].thing]
        return unsure(why.MANY_SUCH) if found else false(NO_SPECIMEN)
    assert not isinstance(claim.subject, Some), "the forms of species speak of one thing"
    referents = referents_of(claim.subject, scope)
    if referents.problem is not None:
        return referents.problem
    return referents.found[0].thing or unsure(why.NO_THING_THERE)


def _named(name: str, thing: Thing, seen: PartVisibility) -> Finding:
    if seen.body < MIN_VISIBLE:
        return unsure(why.HALF_SEEN)
    species = species_of(thing)
    if species is None:
        return false(NO_SPECIMEN)
    return whether(species.name == name, WRONG_SPECIES)


def _mark(what: Kind, thing: Thing, seen: PartVisibility) -> Finding:
    if not seen.shows(what):
        return unsure(COVERED)
    misfit = what.misfit(thing)
    return TRUE if misfit is None else false(why.WRONG[misfit])


_TRIES = 60
_MARKS = tuple(dict.fromkeys(concept.what for species in SPECIES for concept in species.concepts))


def explanation(specimen: Specimen, rng: random.Random, *, most: int = 3) -> SpeciesClaim:
    """The species, and at least one and at most so many of its concepts that are to be seen, in any order."""
    seen = [concept.what for concept in specimen.standing("visible")]
    assert seen, "of every specimen the body is to be seen"
    return SpeciesClaim(It(), specimen.species, tuple(rng.sample(seen, min(rng.randint(1, most), len(seen)))))


def corrupt_species(claim: SpeciesClaim, scope: Scope, rng: random.Random) -> SpeciesClaim | None:
    """A claim of the same form that is false in the scene, or None where none is found."""
    for _ in range(_TRIES):
        changed = _changed(claim, rng)
        if decide_species(changed, scope).is_false:
            return changed
    return None


def _changed(claim: SpeciesClaim, rng: random.Random) -> SpeciesClaim:
    if claim.species is not None and (not claim.marks or rng.random() < 0.3):
        return replace(claim, species=rng.choice(NAMES))
    at = rng.randrange(len(claim.marks))
    other = rng.choice(_MARKS)
    return replace(claim, marks=(*claim.marks[:at], other, *claim.marks[at + 1 :]))
