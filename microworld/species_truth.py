"""What is true of specimens: which there are, which of an expert's concepts are to be seen, whether sentences are true.

All is decided from the scene. A part that is covered can neither be confirmed nor denied: what is said of it is not
checkable, as a reader of the picture could not check it either. "Because" asks for more than truth: what the expert
does not name of that species is no reason for it, however true.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from microworld import verdicts as why
from microworld.claims import Boxed, It, Kind, Reference, Some
from microworld.scenes import MIN_VISIBLE, Scene, Thing
from microworld.species import Concept, Species, species_named, species_of
from microworld.species_parts import PartsSeen, parts_seen
from microworld.species_words import SpeciesClaim
from microworld.truth import View, meant
from microworld.verdicts import TRUE, Verdict, all_of, false, judged, unsure

Standing: TypeAlias = Literal["visible", "hidden", "absent"]
NO_SPECIMEN: Final = "no specimen there"
WRONG_SPECIES: Final = "wrong species"
COVERED: Final = "a part that is covered"
NO_MARK: Final = "no mark of that species"


@dataclass(frozen=True, slots=True)
class SeenConcept:
    """A concept of an expert's list, and how it stands in one picture."""

    concept: Concept
    standing: Standing


@dataclass(frozen=True, slots=True)
class Specimen:
    """A thing of a species in a picture, and its expert's concepts in the list's order."""

    species: str
    thing: int  # its number in the scene
    concepts: tuple[SeenConcept, ...]

    def standing(self, standing: Standing) -> tuple[Concept, ...]:
        """The concepts of the list that stand so."""
        return tuple(one.concept for one in self.concepts if one.standing == standing)


def specimens_in(scene: Scene) -> tuple[Specimen, ...]:
    """Every specimen of a scene, in the order of its things."""
    found = [(thing, species_of(thing)) for thing in scene.things]
    return tuple(_specimen(scene, thing, species) for thing, species in found if species is not None)


def _specimen(scene: Scene, thing: Thing, species: Species) -> Specimen:
    seen = parts_seen(scene.things, thing)
    concepts = tuple(SeenConcept(one, standing_of(one.what, thing, seen)) for one in species.concepts)
    return Specimen(species.name, thing.number, concepts)


def standing_of(what: Kind, thing: Thing, seen: PartsSeen) -> Standing:
    """Whether a concept is to be seen on a thing: hidden is what lies under another thing, there or not."""
    if not seen.shows(what):
        return "hidden"
    return "visible" if what.fits(thing) else "absent"


def the_specimen(scene: Scene) -> Reference | None:
    """What "it" means in a text about species: the one specimen, where there is one."""
    found = specimens_in(scene)
    return Boxed(scene.things[found[0].thing].box) if len(found) == 1 else None


def decide_species(claim: SpeciesClaim, view: View) -> Verdict:
    """The verdict on a sentence about a specimen."""
    thing = subject_of(claim, view)
    if isinstance(thing, Verdict):
        return thing
    seen = parts_seen(view.scene.things, thing)
    verdicts = [_mark(what, thing, seen) for what in claim.marks]
    if claim.species is not None:
        listed = {concept.what for concept in species_named(claim.species).concepts}
        verdicts.append(_named(claim.species, thing, seen))
        verdicts += [judged(what in listed, NO_MARK) for what in claim.marks]
    return all_of(verdicts)


def subject_of(claim: SpeciesClaim, view: View) -> Thing | Verdict:
    """The thing that a sentence is about, or the verdict when it means none, or none certain."""
    if isinstance(claim.subject, It) and view.it is None:
        found = specimens_in(view.scene)
        if len(found) == 1:
            return view.scene.things[found[0].thing]
        return unsure(why.MANY_SUCH) if found else false(NO_SPECIMEN)
    assert not isinstance(claim.subject, Some), "the forms of species speak of one thing"
    meanings = meant(claim.subject, view)
    if meanings.problem is not None:
        return meanings.problem
    return meanings.subjects[0].thing or unsure(why.NO_THING_THERE)


def _named(name: str, thing: Thing, seen: PartsSeen) -> Verdict:
    if seen.body < MIN_VISIBLE:
        return unsure(why.HALF_SEEN)
    species = species_of(thing)
    if species is None:
        return false(NO_SPECIMEN)
    return judged(species.name == name, WRONG_SPECIES)


def _mark(what: Kind, thing: Thing, seen: PartsSeen) -> Verdict:
    if not seen.shows(what):
        return unsure(COVERED)
    misfit = what.misfit(thing)
    return TRUE if misfit is None else false(why.WRONG[misfit])
