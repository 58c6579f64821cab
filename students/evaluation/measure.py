"""A figure over items, in a form that can be resampled."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ostensive.intervals import Interval, wilson
from students.evaluation.resampling import Array, Combine, bootstrap, mean


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure over items: `stats` is `(items, columns)`, of whose sum `combine` makes the figure."""

    name: str
    ids: tuple[str, ...]  # of the items, or of what several items count as together
    stats: Array
    combine: Combine = mean
    is_share: bool = False  # of items that are right: each is 0 or 1

    @property
    def value(self) -> float:
        """The figure of all items."""
        return float(self.combine(self.stats.sum(0, keepdims=True))[0])

    @property
    def interval(self) -> Interval:
        """Its 95 % interval: Wilson's of a share, by bootstrap of all others."""
        if self.is_share:
            return wilson(round(float(self.stats[:, 0].sum())), len(self.stats))
        return bootstrap(self.stats, self.combine)


def share(name: str, rows: Iterable[tuple[str, bool]]) -> Measure:
    """The share of items that are right."""
    return Measure(name, *_columns((item, float(is_right)) for item, is_right in rows), is_share=True)


def average(name: str, rows: Iterable[tuple[str, float]]) -> Measure:
    """The mean over items."""
    return Measure(name, *_columns(rows))


def _columns(rows: Iterable[tuple[str, float]]) -> tuple[tuple[str, ...], Array]:
    known = list(rows)
    stats = np.array([(value, 1.0) for _, value in known], dtype=np.float64).reshape(-1, 2)
    return tuple(item for item, _ in known), stats
