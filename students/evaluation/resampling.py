"""How sure a figure is, and a difference of two over the same items: by resampling the items.

A figure is a function of sums over items, so that BLEU, a mean and F1 are resampled alike: an item is a row of numbers,
and a figure is made of the sum of the rows that were drawn. Draws come from a seed, and are the same on every machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ostensive.intervals import Interval

Array = npt.NDArray[np.float64]
Combine = Callable[[Array], Array]
"""A figure of each row of sums, `(draws, columns)` to `(draws,)`."""
DRAWS: Final = 2_000  # of an interval: its ends then move by about a tenth of its width
PERMUTATIONS: Final = 10_000  # the least p-value is 1 in so many
_SEED: Final = 0
_CELLS: Final = 8_000_000  # of a block of draws: 64 MB


@dataclass(frozen=True, slots=True)
class Difference:
    """How much the second of two figures is above the first, with a 95 % interval and a two-sided p-value."""

    value: float
    interval: Interval
    p_value: float
    test: str


def bootstrap(stats: Array, combine: Combine, *, draws: int = DRAWS) -> Interval:
    """The 95 % percentile interval of a figure.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. `stats` is `(items, columns)`, at
    least one item.
    """
    figures = np.concatenate([combine(counts @ stats) for counts in _drawn_counts(len(stats), draws)])
    return _percentiles(figures)


def paired_bootstrap(first: Array, second: Array, combine: Combine, *, draws: int = DRAWS) -> Interval:
    """The 95 % interval of the figure of `second` less that of `first`; rows of both are of the same items.

    Each draw takes the same items of both (Koehn, "Statistical Significance Tests for Machine Translation Evaluation",
    2004, section 4).
    """
    differences = [combine(counts @ second) - combine(counts @ first) for counts in _drawn_counts(len(first), draws)]
    return _percentiles(np.concatenate(differences))


def paired_permutation(first: Array, second: Array, combine: Combine, *, permutations: int = PERMUTATIONS) -> float:
    """The two-sided p-value of the difference if the two were exchangeable item by item.

    Approximate randomisation (Noreen, "Computer-Intensive Methods for Testing Hypotheses", 1989): results of an item
    are swapped by a coin, and p is (1 + differences at least as large) / (1 + permutations).
    """
    found = abs(float((combine(second.sum(0)[None]) - combine(first.sum(0)[None]))[0]))
    generator = np.random.default_rng(_SEED)
    change = second - first
    total_first, total_second = first.sum(0), second.sum(0)
    as_large = 0
    block = max(1, _CELLS // max(1, len(first)))
    for start in range(0, permutations, block):
        swapped = generator.random((min(block, permutations - start), len(first)), dtype=np.float32) < 0.5
        moved = swapped.astype(np.float64) @ change
        differences = combine(total_second - moved) - combine(total_first + moved)
        # Sums in another order differ in the last bits: what is equal has to count as at least as large.
        as_large += int((np.abs(differences) >= found - 1e-9 * max(1.0, found)).sum())
    return (1 + as_large) / (1 + permutations)


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """McNemar's exact test (Psychometrika 12, 1947, as a binomial test): the two-sided p-value for right and wrong.

    Only items count of which one of the two alone is right; 1 where there is none.
    """
    from scipy.stats import binomtest

    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    return 1.0 if gained + lost == 0 else float(binomtest(gained, gained + lost).pvalue)


def mean(sums: Array) -> Array:
    """Of rows `(value, 1)`."""
    return np.asarray(ratio(sums), dtype=np.float64)


def ratio(sums: Array) -> Array:
    """The first column over the second; 0 where that is 0."""
    return np.divide(sums[:, 0], sums[:, 1], out=np.zeros(len(sums)), where=sums[:, 1] > 0)


def _drawn_counts(items: int, draws: int) -> "list[Array]":
    """How often each item is drawn, `(draws, items)`, in blocks."""
    generator = np.random.default_rng(_SEED)
    block = max(1, _CELLS // max(1, items))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    even = np.full(items, 1 / items)
    return [generator.multinomial(items, even, size).astype(np.float64) for size in sizes]


def _percentiles(figures: Array) -> Interval:
    low, high = np.percentile(figures, [2.5, 97.5])
    return Interval(float(low), float(high))
