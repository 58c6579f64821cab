"""How sure a share is that was counted: near 0 and 1, where the shares of corpora and models lie, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

RESAMPLES: Final = 1000
LEVELS: Final = (2.5, 97.5)
"""Percent, of intervals of 95 %."""
_AT_ONCE: Final = 100  # samples of a bootstrap in memory


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval of a share, both ends 0-1."""

    low: float
    high: float


def wilson(hits: int, total: int) -> Interval:
    """The 95 % score interval of a share (E. B. Wilson, Journal of the American Statistical Association 22, 1927)."""
    from scipy.stats import binomtest

    found = binomtest(hits, total).proportion_ci(0.95, "wilson")
    return Interval(float(found.low), float(found.high))


def over_groups(hits: Sequence[int], totals: Sequence[int], *, seed: int = 0) -> Interval:
    """The 95 % interval of the share of all hits, of rows that come in groups, such as the rows of an image.

    `hits` and `totals` are counts of each group, of which there is one at least, and each has a row. Rows of a group
    share its mistakes, so that whole groups are drawn: a bootstrap of 1,000 samples. Where all rows are hits, or none,
    no sample says otherwise; the interval is then Wilson's, of as many rows as there are groups.
    """
    import numpy as np

    right, all_rows = np.asarray(hits, np.float64), np.asarray(totals, np.float64)
    groups = len(all_rows)
    if right.sum() in (0, all_rows.sum()):
        return wilson(groups if right.sum() else 0, groups)
    rng, shares = np.random.default_rng(seed), []
    for _ in range(RESAMPLES // _AT_ONCE):
        drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=_AT_ONCE)
        shares.append((drawn @ right) / (drawn @ all_rows))
    low, high = np.percentile(np.concatenate(shares), LEVELS)
    return Interval(float(low), float(high))
