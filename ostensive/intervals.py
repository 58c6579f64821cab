"""How sure a share is that was counted: near 0 and 1, where the shares of corpora and models lie, too."""

from dataclasses import dataclass


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
