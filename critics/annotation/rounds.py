"""Rounds of a run's annotation: what each adds, what of it is held out, and that no image changes sides. Pure.

The first round is usually LSKD's: a fair sample of the images, of each the candidates that differ most. Once a critic
has scored the run, each further round is chosen by its scores. A round is known by what it was chosen by, the versions
of the critics too: asking again by the same scores adds nothing, or as much as a larger number asks for.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final  # Any: candidates of any recipe

from critics.annotation.assignment import shuffled
from critics.annotation.choosing import Choice, ChosenRow, ScoredRow, by_disagreement, by_doubt, by_lot, in_turns
from critics.annotation.choosing import is_held_out as drawn_held_out
from critics.annotation.items import Item
from critics.annotation.scored_rows import CriticScores
from critics.labels import Drawn
from ostensive.fingerprint import fingerprint

USUAL_HELD_OUT: Final = 0.2
_DIFFERING: Final = "differing"


@dataclass(frozen=True, slots=True)
class Sample:
    """What a run has to judge, and what of it was put up before."""

    image_of: Mapping[str, str]  # of each candidate, by row id
    items: Sequence[Item]  # put up before, of candidates that the run has
    held_out_images: Mapping[str, bool]  # of the images that were ever put up
    rounds: Mapping[str, int]  # their numbers, by what they were chosen by
    seed: int
    held_out_share: float | None  # None: the usual one, where there is a round by scores or something is held out

    def share(self, choose: Choice) -> float:
        """The share of the images, 0-1, that is held out."""
        if self.held_out_share is not None:
            return self.held_out_share
        return USUAL_HELD_OUT if choose != _DIFFERING or any(self.held_out_images.values()) else 0.0

    def is_held_out(self, image_id: str, share: float) -> bool:
        """Whether an image is; one that was put up before stays on its side."""
        known = self.held_out_images.get(image_id)
        return drawn_held_out(image_id, seed=self.seed, share=share) if known is None else known

    def number(self, chosen_by: str) -> int:
        """The number of the round, or the next one."""
        return self.rounds.get(chosen_by) or max(self.rounds.values(), default=0) + 1

    def by_lot(self, image_ids: Sequence[str], per_image: int) -> list[ChosenRow]:
        """Candidates of these images drawn by lot, at most `per_image` of each."""
        wanted, seen = set(image_ids), {item.item_id for item in self.items}
        rows = [ScoredRow(row_id, image_id, ()) for row_id, image_id in self.image_of.items() if image_id in wanted]
        lots: Mapping[Drawn, list[ScoredRow]] = {"random": by_lot(rows, self.seed)}
        return in_turns(lots, len(rows), per_image=per_image, seen=seen)


@dataclass(frozen=True, slots=True)
class NewRound:
    """What a round adds, in the order in which it is given out."""

    chosen_by: str
    number: int
    rows: Sequence[ChosenRow]
    held_out_images: frozenset[str]
    critics: tuple[str, ...] = field(default=())

    def is_held_out(self, image_id: str) -> bool:
        """Whether no critic is to learn from an image of it."""
        return image_id in self.held_out_images


def differing_round(
    sample: Sample, choose: Callable[[Sequence[str]], Sequence[Any]], *, images: int, per_image: int
) -> NewRound:
    """What is missing of a fair sample of `images` images; `choose` picks from the row ids of images, in their order.

    Of what is held out candidates are drawn by lot.
    """
    share = sample.share(_DIFFERING)
    # What scores chose of an image is no sample of it.
    have = {
        item.image_id for item in sample.items if item.draw.held_out or item.draw.drawn in (_DIFFERING, "elsewhere")
    }
    order = [one for one in shuffled(sorted(set(sample.image_of.values())), sample.seed)[:images] if one not in have]
    held_out = frozenset(one for one in order if sample.is_held_out(one, share))
    seen = {item.item_id for item in sample.items}
    of_image: dict[str, list[str]] = {one: [] for one in order if one not in held_out}
    for row_id, image_id in sample.image_of.items():
        if image_id in of_image and row_id not in seen:
            of_image[image_id].append(row_id)
    chosen = choose([row_id for rows in of_image.values() for row_id in rows])
    found = [ChosenRow(row.row_id, row.image_id, _DIFFERING) for row in chosen]
    found += sample.by_lot(sorted(held_out), per_image)
    place = {image_id: number for number, image_id in enumerate(order)}
    found.sort(key=lambda row: place[row.image_id])
    return NewRound(_DIFFERING, sample.number(_DIFFERING), found, held_out)


def scored_round(sample: Sample, scores: CriticScores, *, choose: Choice, images: int, per_image: int) -> NewRound:
    """What is missing of a round of as many candidates as `images` images have, chosen by scores."""
    chosen_by = fingerprint([choose, scores.critics, scores.versions])[:16]
    number, share = sample.number(chosen_by), sample.share(choose)
    before = [item for item in sample.items if item.draw.round_number == number]
    held_before = {item.image_id for item in before if item.draw.held_out}
    wanted_images = round(share * images)
    unseen = sorted(set(sample.image_of.values()) - sample.held_out_images.keys())
    lots = [one for one in shuffled(unseen, sample.seed) if sample.is_held_out(one, share)]
    held_out = frozenset(lots[: max(0, wanted_images - len(held_before))])
    chosen_before = Counter(item.image_id for item in before if not item.draw.held_out)
    wanted = (images - wanted_images) * per_image - chosen_before.total()
    seen = {item.item_id for item in sample.items}
    rows = [
        row
        for row in scores.rows
        if row.row_id in sample.image_of and row.row_id not in seen and not sample.is_held_out(row.image_id, share)
    ]
    chosen = in_turns(
        _orders(rows, scores, choose, sample.seed), max(0, wanted), per_image=per_image, judged=chosen_before
    )
    found = [*chosen, *sample.by_lot(sorted(held_out), per_image)]
    # By lot, so that the place of an image does not tell what it is there for.
    order = shuffled(sorted({row.image_id for row in found}), sample.seed)
    place = {image_id: at for at, image_id in enumerate(order)}
    found.sort(key=lambda row: (place[row.image_id], row.row_id))
    return NewRound(chosen_by, number, found, held_out, scores.critics)


def _orders(rows: list[ScoredRow], scores: CriticScores, choose: Choice, seed: int) -> dict[Drawn, list[ScoredRow]]:
    if choose == "disagreement":
        return {"disagreement": by_disagreement(rows)}
    doubt = by_doubt(rows, scores.least_sure)
    return {"doubt": doubt, "random": by_lot(rows, seed)} if choose == "mixed" else {"doubt": doubt}
