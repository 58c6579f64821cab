"""Writes explanations of specimens: true ones, that name the species and visible marks of it, and false ones like them.

As in `corrupting`, one thing is changed at random and the result is judged.
"""

import random
from dataclasses import replace

from microworld.claims import It
from microworld.species import NAMES, SPECIES
from microworld.species_truth import Specimen, decide_species
from microworld.species_words import SpeciesClaim
from microworld.truth import View

_TRIES = 60
_MARKS = tuple(dict.fromkeys(concept.what for species in SPECIES for concept in species.concepts))


def explanation(specimen: Specimen, rng: random.Random, *, most: int = 3) -> SpeciesClaim:
    """The species, and at least one and at most so many of its concepts that are to be seen, in any order."""
    seen = [concept.what for concept in specimen.standing("visible")]
    assert seen, "of every specimen the body is to be seen"
    return SpeciesClaim(It(), specimen.species, tuple(rng.sample(seen, min(rng.randint(1, most), len(seen)))))


def corrupt_species(claim: SpeciesClaim, view: View, rng: random.Random) -> SpeciesClaim | None:
    """A claim of the same form that is false in the scene, or None where none is found."""
    for _ in range(_TRIES):
        changed = _changed(claim, rng)
        if decide_species(changed, view).is_false:
            return changed
    return None


def _changed(claim: SpeciesClaim, rng: random.Random) -> SpeciesClaim:
    if claim.species is not None and (not claim.marks or rng.random() < 0.3):
        return replace(claim, species=rng.choice(NAMES))
    at = rng.randrange(len(claim.marks))
    other = rng.choice(_MARKS)
    return replace(claim, marks=(*claim.marks[:at], other, *claim.marks[at + 1 :]))
