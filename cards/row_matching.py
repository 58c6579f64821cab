"""Which rows of two corpora are the same: pure arithmetic over arrays of numbers, one a row."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cards.column_hashes import Hashes, mixed

Places = npt.NDArray[np.int64]

_REPEAT: Final = np.uint64(0xA0761D6478BD642F)


@dataclass(frozen=True, slots=True)
class Matching:
    """Places of two sequences, counted from 0: those that match, in pairs, and those of each that match none."""

    first: Places  # in order
    second: Places  # beside each of `first`
    only_first: Places  # in order
    only_second: Places  # in order


def match(first: Hashes, second: Hashes) -> Matching:
    """Pairs of places with equal numbers; of numbers that stand several times, the first with the first, and so on."""
    _, here, there = np.intersect1d(_distinct(first), _distinct(second), assume_unique=True, return_indices=True)
    order = np.argsort(here)
    return Matching(here[order], there[order], _others(len(first), here), _others(len(second), there))


def match_rest(before: Matching, first: Hashes, second: Hashes) -> Matching:
    """The same of what `before` left over, by other numbers: `first` are those of its `only_first`, in order."""
    found = match(first, second)
    return Matching(
        before.only_first[found.first],
        before.only_second[found.second],
        before.only_first[found.only_first],
        before.only_second[found.only_second],
    )


def _others(length: int, taken: Places) -> Places:
    left = np.ones(length, np.bool_)
    left[taken] = False
    return np.flatnonzero(left)


def _distinct(numbers: Hashes) -> Hashes:
    """The numbers with those that stand again made others, by how often they stood before."""
    order = np.argsort(numbers, kind="stable")
    in_order = numbers[order]
    is_new = np.ones(len(numbers), np.bool_)
    is_new[1:] = in_order[1:] != in_order[:-1]
    if is_new.all():
        return numbers
    places = np.arange(len(numbers))
    repeats = places - np.maximum.accumulate(np.where(is_new, places, 0))
    found = np.empty_like(numbers)
    found[order] = np.where(is_new, in_order, mixed(in_order + repeats.astype(np.uint64) * _REPEAT))
    return found
