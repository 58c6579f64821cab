"""What figures are added up in: sums that do not depend on the order of what is added, and what they come to.

Numbers are added as whole millionths, because a sum of floats depends on its order.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final  # Any: pyarrow and numpy arrays, whose shapes are stated

import numpy as np
import pyarrow as pa

from cards.distributions import Frequencies, Histogram
from cards.statistics.words import openings_of, telling_words, words_of

_MOST_BINS: Final = 24
_LISTED: Final = 50
_SHARE_BINS: Final = 20


def mean(total: int, count: int) -> float | None:
    """Rounded to four digits; None of nothing."""
    return round(total / count, 4) if count else None


@dataclass(slots=True)
class NumberTally:
    """How often each whole number from 0 up was met."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, values: Iterable[int]) -> None:
        """Counts more of them."""
        self.counts.update(values)

    @property
    def total(self) -> int:
        """The sum of all numbers."""
        return sum(value * count for value, count in self.counts.items())

    @property
    def mean(self) -> float | None:
        """None where no number was met."""
        return mean(self.total, self.counts.total())

    def histogram(self, name: str, unit: str) -> Histogram:
        """A bin a number as far as there are at most 24, else bins of one width.

        Of values far above the others (beyond twice the number that 99 in 100 do not exceed), the last bin has all, so
        that one long text does not squeeze all others into one bin.
        """
        most = max(self.counts, default=0)
        usual = self._not_exceeded_by(0.99)
        end = most if most <= max(2 * usual, _MOST_BINS - 1) else usual
        width = _round_width((end + 1) / _MOST_BINS)
        edges = [*range(0, end + width, width)]
        if edges[-1] <= end:
            edges.append(edges[-1] + width)
        if most >= edges[-1]:
            edges.append(most + 1)
        bins = np.searchsorted(edges, list(self.counts), side="right") - 1
        counts = np.bincount(bins, weights=list(self.counts.values()), minlength=len(edges) - 1)
        return Histogram(name, unit, tuple(map(float, edges)), tuple(map(int, counts)))

    def _not_exceeded_by(self, share: float) -> int:
        wanted, passed = share * self.counts.total(), 0
        for value in sorted(self.counts):
            passed += self.counts[value]
            if passed >= wanted:
                return value
        return 0


def _round_width(least: float) -> int:
    """The least of 1, 2, 5, 10, 20, 50, ... that is not below `least`."""
    if least <= 1:
        return 1
    ten = 10 ** math.floor(math.log10(least))
    return int(next(ten * factor for factor in (1, 2, 5, 10) if ten * factor >= least))


@dataclass(slots=True)
class ShareTally:
    """How shares, 0-1, are spread, and what they come to."""

    count: int = 0
    millionths: int = 0
    bins: Any = field(default_factory=lambda: np.zeros(_SHARE_BINS, dtype=np.int64))  # (20,) int64

    def add(self, values: Any) -> None:
        """Counts more of them: (n,) float64; what lies outside counts in the outermost bin."""
        self.count += len(values)
        self.millionths += int(np.rint(values * 1e6).astype(np.int64).sum())
        places = np.clip((values * _SHARE_BINS).astype(np.int64), 0, _SHARE_BINS - 1)
        self.bins += np.bincount(places, minlength=_SHARE_BINS)

    @property
    def mean(self) -> float | None:
        """None where there was no share."""
        return round(self.millionths / 1e6 / self.count, 4) if self.count else None

    def histogram(self, name: str, unit: str) -> Histogram:
        """In twenty bins."""
        edges = tuple(place / _SHARE_BINS for place in range(_SHARE_BINS + 1))
        return Histogram(name, unit, edges, tuple(map(int, self.bins)))


@dataclass(slots=True)
class TextTally:
    """How long the texts of one name are, which words they hold, and, where `begins`, how they begin.

    `has_tags` where texts may mention regions. What words are, `cards.statistics.words` says.
    """

    begins: bool = False
    has_tags: bool = False
    lengths: NumberTally = field(default_factory=NumberTally)
    openings: Counter[str] = field(default_factory=Counter)
    first_words: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)

    def add(self, texts: list[str]) -> None:
        """Counts more of them."""
        found = words_of(pa.array(texts, pa.string()), has_tags=self.has_tags)
        self.lengths.add(found.counts.tolist())
        if self.begins:
            self.openings.update(openings_of(found, 2))
            self.first_words.update(openings_of(found, 1))
        self.words.update(telling_words(found))

    def frequencies(self, name: str) -> tuple[Frequencies, ...]:
        """First words, first two words, and the most frequent words, each where there is any."""
        found = (
            frequencies_of(f"first word of the {name}", self.first_words),
            frequencies_of(f"first two words of the {name}", self.openings),
            frequencies_of(f"frequent words of the {name}", self.words),
        )
        return tuple(one for one in found if one.total)


def frequencies_of(name: str, counts: Counter[str]) -> Frequencies:
    """The 50 most frequent, those of one frequency in alphabetical order."""
    ordered = sorted(((value, count) for value, count in counts.items() if value), key=lambda one: (-one[1], one[0]))
    return Frequencies(name, dict(ordered[:_LISTED]), sum(count for _, count in ordered[_LISTED:]))
