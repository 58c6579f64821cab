"""What an explanation says of a specimen, and what of that is true: the ground for scoring explanations.

The method this serves asks a large model whether there is an explanation at all, and how well it goes with the expert's
concepts. Here both are counted: which concepts a text cites, whether each is to be seen, whether the expert names it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from microworld.oracle import judge_species_text
from microworld.scenes import Scene
from microworld.sentences import MAX_TOKENS, sentences_of, tokens_of
from microworld.species import concept_words
from microworld.species_parts import parts_seen
from microworld.species_truth import Standing, specimens_in, standing_of, subject_of, the_specimen
from microworld.species_words import read_species
from microworld.truth import View
from microworld.verdicts import Verdict
from ostensive.records import Region


@dataclass(frozen=True, slots=True)
class Citation:
    """A concept that a text says of the specimen: how it stands in the picture, and whether the expert names it."""

    words: str
    standing: Standing
    listed: bool  # in the list of the species that the specimen is of

    @property
    def holds(self) -> bool:
        """Whether it is a visible concept of the expert's list: what an explanation is to be made of."""
        return self.standing == "visible" and self.listed


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a text makes of a picture with one specimen."""

    named: tuple[str, ...]  # the species that it says the specimen is, each once
    label_is_right: bool  # it names that species, and no other
    cited: tuple[Citation, ...]  # each concept once, in the order of the text
    whole: Verdict  # on every sentence of it

    @property
    def is_there(self) -> bool:
        """Whether anything is given to see: over many texts, the share of explanations that exist."""
        return bool(self.cited)

    @property
    def holding_share(self) -> float | None:
        """The share of the cited concepts that are visible and the expert's, 0-1; None where none is cited."""
        return sum(one.holds for one in self.cited) / len(self.cited) if self.cited else None


def judge_explanation(text: str, scene: Scene, regions: Sequence[Region] = ()) -> Explanation:
    """What `text` says of the specimen of `scene`; raises `ValueError` where there is not exactly one.

    Sentences about other things count for `whole` alone.
    """
    found = specimens_in(scene)
    if len(found) != 1:
        raise ValueError(f"scene {scene.seed} has {len(found)} specimens; explanations are judged where there is one")
    view = View(scene, {region.number: region.box for region in regions}, the_specimen(scene))
    read = [read_species(sentence) for sentence in sentences_of(tokens_of(text)) if len(sentence) <= MAX_TOKENS]
    thing = scene.things[found[0].thing]
    claims = [claim for claim in read if claim is not None and subject_of(claim, view) == thing]
    named = tuple(dict.fromkeys(claim.species for claim in claims if claim.species is not None))
    listed, seen = {one.concept.what for one in found[0].concepts}, parts_seen(scene.things, thing)
    cited = tuple(
        Citation(concept_words(mark), standing_of(mark, thing, seen), mark in listed)
        for mark in dict.fromkeys(mark for claim in claims for mark in claim.marks)
    )
    whole = judge_species_text(text, scene, regions, it=view.it)
    return Explanation(named, named == (found[0].species,), cited, whole)
