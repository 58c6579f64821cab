"""Which candidates people are asked about next, by the scores of critics. Pure.

- **doubt**: where a critic is least sure (uncertainty sampling: Lewis and Gale 1994, "A sequential algorithm for
  training text classifiers"; Settles 2009, "Active learning literature survey", section 3.1). With two classes the
  least confident, the smallest margin and the highest entropy are one order.
- **disagreement**: where critics, or two trainings of one, differ most (query by committee: Seung, Opper and
  Sompolinsky 1992). Scores of different critics are not on one scale, so their ranks are compared.

What is found among candidates chosen so says nothing of all of them. Therefore some images are held out: drawn by lot,
whole, their candidates by lot too; no critic learns from them, and critics are measured by them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from critics.labels import Drawn
from ostensive.fingerprint import fingerprint

Choice = Literal["differing", "doubt", "disagreement", "mixed"]
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)
_DIGITS: Final = 15  # hexadecimal, of a hash: as many as a float holds


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A candidate, and what the critics that were asked for find of it, each 0-1, in the order of the critics."""

    row_id: str
    image_id: str
    accept_probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ChosenRow:
    """A candidate that is to be judged, and by what it was chosen."""

    row_id: str
    image_id: str
    drawn: Drawn


def is_held_out(image_id: str, *, seed: int, share: float) -> bool:
    """Whether an image is one of the `share` (0-1) that are held out.

    It follows from the image and the seed alone, so that it stays when a sample grows; it does not depend on the order
    in which images are drawn (`assignment.shuffled`).
    """
    return int(fingerprint(["held out", seed, image_id])[:_DIGITS], 16) < share * 16**_DIGITS


def by_lot(rows: Iterable[ScoredRow], seed: int) -> list[ScoredRow]:
    """The rows in an order that follows from `seed` and their ids alone."""
    return sorted(rows, key=lambda row: fingerprint(["drawn", seed, row.row_id]))


def by_doubt(rows: Iterable[ScoredRow], least_sure: float) -> list[ScoredRow]:
    """The rows by how near the first critic's probability is to `least_sure` (0-1), the nearest first."""
    return sorted(rows, key=lambda row: (abs(row.accept_probabilities[0] - least_sure), row.row_id))


def by_disagreement(rows: Sequence[ScoredRow]) -> list[ScoredRow]:
    """The rows by how far apart the critics rank them, the farthest first: the spread of ranks, each 0-1."""
    if not rows:
        return []
    ranks = [_ranks([row.accept_probabilities[place] for row in rows]) for place in range(_critics_of(rows))]
    spread = {row.row_id: max(of_row) - min(of_row) for row, of_row in zip(rows, zip(*ranks, strict=True), strict=True)}
    return sorted(rows, key=lambda row: (-spread[row.row_id], row.row_id))


def _critics_of(rows: Sequence[ScoredRow]) -> int:
    return len(rows[0].accept_probabilities)


def _ranks(values: Sequence[float]) -> list[float]:
    """The place of each value among all, 0-1; equal values share the middle of their places."""
    from scipy.stats import rankdata

    return [(float(rank) - 0.5) / len(values) for rank in rankdata(values)]


def in_turns(
    orders: Mapping[Drawn, Sequence[ScoredRow]],
    count: int,
    *,
    per_image: int,
    judged: Mapping[str, int] | None = None,
    seen: Collection[str] = (),
) -> list[ChosenRow]:
    """The first `count` rows of several orders, by turns one of each; of an image at most `per_image`.

    `judged` says how many of an image were chosen before, and `seen` which rows. A row stands for the order that gave
    it first.
    """
    taken: dict[str, int] = dict(judged or {})
    known = set(seen)
    waiting = {drawn: iter(order) for drawn, order in orders.items()}
    chosen: list[ChosenRow] = []
    while waiting and len(chosen) < count:
        for drawn in list(waiting):
            if len(chosen) == count:
                break
            row = next(
                (row for row in waiting[drawn] if row.row_id not in known and taken.get(row.image_id, 0) < per_image),
                None,
            )
            if row is None:
                del waiting[drawn]
                continue
            known.add(row.row_id)
            taken[row.image_id] = taken.get(row.image_id, 0) + 1
            chosen.append(ChosenRow(row.row_id, row.image_id, drawn))
    return chosen
