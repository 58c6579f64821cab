"""What is claimed, what was measured of it, and what follows: differences between arms, with their intervals.

An arm is one way of doing it (a base model, a corpus that is filtered), a measure is what is counted of it. Seeds are
pooled: hits and totals of a share are summed, and means are weighted by their counts. An interval of 95 % is of the
questions, images or sentences that were drawn, and of the seeds together; the spread over seeds is told beside.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from math import hypot, sqrt
from pathlib import Path
from statistics import fmean

from ostensive.intervals import Interval, wilson

_Z = 1.959964  # two-sided 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure of one arm with one seed: a share of `count` where `deviation` is None, else a mean of `count`."""

    claim: str
    arm: str
    measure: str
    value: float
    count: int
    deviation: float | None = None  # standard deviation of one of the `count`


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a paper leads one to expect: that `arm` has more of `measure` than `than`, or less of it."""

    arm: str
    than: str
    measure: str
    less: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of a paper, what the paper measured, and how it is measured here."""

    name: str
    title: str
    source: str  # section, table or equation
    published: str  # the paper's own figures
    how: str
    expectations: tuple[Expectation, ...]
    note: str = ""  # what is to be borne in mind of the figures
    is_curve: bool = False  # drawn over its measures, a line an arm


@dataclass(frozen=True, slots=True)
class Method:
    """The claims of one paper, and what measures all of them with one seed in a folder, in that order."""

    name: str
    title: str
    claims: tuple[Claim, ...]
    measure: Callable[[Path, int], Iterable[Figure]]


@dataclass(frozen=True, slots=True)
class Pooled:
    """A measure of one arm over all seeds."""

    value: float
    count: int
    interval: Interval
    by_seed: tuple[float, ...]
    deviation: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one arm has than another; `interval` is of 95 %."""

    value: float
    low: float
    high: float

    @property
    def is_told(self) -> bool:
        """Whether it could be told from none."""
        return self.low > 0 or self.high < 0


def pooled(figures: Sequence[Figure]) -> Pooled:
    """The figures of one arm and measure, a seed each, as one; raises `ValueError` where there is none."""
    count = sum(figure.count for figure in figures)
    if not count:
        raise ValueError("nothing was counted")
    value = sum(figure.value * figure.count for figure in figures) / count
    by_seed = tuple(figure.value for figure in figures)
    if any(figure.deviation is None for figure in figures):
        return Pooled(value, count, wilson(round(value * count), count), by_seed, None)
    within = sum(figure.count * (figure.deviation or 0.0) ** 2 for figure in figures)
    between = sum(figure.count * (figure.value - value) ** 2 for figure in figures)
    deviation = sqrt((within + between) / count)
    half = _Z * deviation / sqrt(count)
    return Pooled(value, count, Interval(value - half, value + half), by_seed, deviation)


def difference(one: Pooled, other: Pooled) -> Difference:
    """One less the other, as of independent samples, with the interval of Newcombe (1998, method 10) from both.

    For means it is the usual normal interval, since theirs are symmetric.
    """
    value = one.value - other.value
    low = value - hypot(one.value - one.interval.low, other.interval.high - other.value)
    high = value + hypot(one.interval.high - one.value, other.value - other.interval.low)
    return Difference(value, low, high)


def share(claim: str, arm: str, measure: str, hits: Iterable[bool]) -> Figure:
    """The share of `hits`."""
    found = list(hits)
    return Figure(claim, arm, measure, sum(found) / max(1, len(found)), len(found))


def mean(claim: str, arm: str, measure: str, values: Iterable[float]) -> Figure:
    """The mean of `values` with their deviation."""
    found = list(values)
    middle = fmean(found) if found else 0.0
    deviation = sqrt(fmean((value - middle) ** 2 for value in found)) if found else 0.0
    return Figure(claim, arm, measure, middle, len(found), deviation)


def write_figures(path: Path, figures: Sequence[Figure]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"  {json.dumps(asdict(figure))}" for figure in figures)
    path.write_text(f"[\n{lines}\n]\n", "utf-8")


def read_figures(path: Path) -> list[Figure]:
    return [Figure(**row) for row in json.loads(path.read_text("utf-8"))]
