"""Grades a corpus by the oracle: how many answers and rationales are true, false or not checkable, and why.

The share that counts is that of the true among the decided; how much could be decided stands beside it, because a
corpus of which little can be checked is not thereby good. The interval is Wilson's: near 0 and 1, where such shares
lie, the normal approximation leaves the range, and a bootstrap of thousands of rows costs more than it tells.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from microworld.oracle import judge_qar
from microworld.scenes import Scene
from microworld.taught import Taught
from microworld.verdicts import Verdict
from ostensive.records import Qar, Region

_Z_95 = 1.959963984540054  # of the standard normal distribution, two-sided
_NOTHING_TAUGHT = Taught()


@dataclass(frozen=True, slots=True)
class GradedRow:
    """A row of a corpus as it is graded: the triple, and all regions of its image."""

    qar: Qar
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How often one reason was given for a verdict that is not true."""

    outcome: str  # "false" or "not checkable"
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval of a share, both ends 0-1."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Tally:
    """The verdicts on one part of all rows."""

    true: int
    false: int
    not_checkable: int
    reasons: tuple[ReasonCount, ...]  # most frequent first

    @property
    def decided(self) -> int:
        return self.true + self.false

    @property
    def decided_share(self) -> float | None:
        """The share of rows that could be decided, 0-1; None when there are no rows."""
        total = self.decided + self.not_checkable
        return self.decided / total if total else None

    @property
    def true_share(self) -> float | None:
        """The share of the true among the decided, 0-1; None when nothing could be decided."""
        return self.true / self.decided if self.decided else None

    @property
    def true_share_95(self) -> Interval | None:
        """Wilson's interval of `true_share`; None when nothing could be decided."""
        return wilson(self.true, self.decided) if self.decided else None


@dataclass(frozen=True, slots=True)
class Grade:
    """What the oracle says of a corpus: `rows` were judged, those `without_truth` have no scene to judge by."""

    rows: int
    without_truth: int
    answers: Tally
    rationales: Tally
    whole: Tally  # true when both parts are, false when one is


def grade(rows: Iterable[GradedRow], truth: Mapping[str, Scene], taught: Taught = _NOTHING_TAUGHT) -> Grade:
    """The grade of a corpus, `truth` giving the scene of each image by its `image_id`.

    Rows of other images are counted and left out. `taught` lets the scripted teacher's wordings be read.
    """
    answers: Counter[Verdict] = Counter()
    rationales: Counter[Verdict] = Counter()
    whole: Counter[Verdict] = Counter()
    without_truth = 0
    for row in rows:
        scene = truth.get(row.qar.image_id)
        if scene is None:
            without_truth += 1
            continue
        verdict = judge_qar(row.qar, row.regions, scene, taught)
        answers[_bare(verdict.answer)] += 1
        rationales[_bare(verdict.rationale)] += 1
        whole[_bare(verdict.whole)] += 1
    return Grade(whole.total(), without_truth, _tally(answers), _tally(rationales), _tally(whole))


def wilson(hits: int, total: int) -> Interval:
    """The 95 % score interval of a share (E. B. Wilson, Journal of the American Statistical Association 22, 1927)."""
    if not 0 <= hits <= total or total == 0:
        raise ValueError(f"hits of total: 0 <= hits <= total and total > 0 are expected, not {hits} of {total}")
    share, square = hits / total, _Z_95**2
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = _Z_95 * math.sqrt(share * (1 - share) / total + square / (4 * total**2)) / (1 + square / total)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def _bare(verdict: Verdict) -> Verdict:
    """The verdict without the words it is about, so that equal reasons are counted together."""
    return Verdict(verdict.outcome, verdict.reason)


def _tally(counts: Counter[Verdict]) -> Tally:
    by_outcome: Counter[str] = Counter()
    for verdict, count in counts.items():
        by_outcome[verdict.outcome] += count
    reasons = [ReasonCount(one.outcome, one.reason, count) for one, count in counts.items() if not one.is_true]
    ranked = tuple(sorted(reasons, key=lambda one: (-one.count, one.outcome, one.reason)))
    return Tally(by_outcome["true"], by_outcome["false"], by_outcome["not checkable"], ranked)
