"""Which rows of a run its report shows: pure, and the same rows whatever the order in which they come by.

A page has room for some thousand rows, and a run may have a million. So rows pass by once, and of each group (the best
and the worst by what critics said, each reason for which a row was lost, a sample of all) the first few are kept.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from cards.lineage import State

_SAMPLE, _BEST, _WORST = "sample", "best", "worst"
Key = tuple[float, str]


@dataclass(frozen=True, slots=True)
class RowSummary:
    """As much of a row as it takes to choose it. `accept_probability` is the least of its critics', None without."""

    row_id: str
    image_id: str
    index: int  # of the partitions that hold it
    state: State
    stage: str
    reason: str
    accept_probability: float | None


@dataclass(frozen=True, slots=True)
class ChosenRows:
    """The rows to show, those that are to be there in any case first, and of how many they were chosen."""

    rows: tuple[RowSummary, ...]
    total: int
    by_fate: Counter[tuple[State, str, str]]  # of all rows: state, stage and reason


@dataclass(slots=True)
class _First:
    """The rows of a group that come first by a key."""

    count: int
    found: list[tuple[Key, RowSummary]] = field(default_factory=list)

    def add(self, key: Key, row: RowSummary) -> None:
        self.found.append((key, row))
        if len(self.found) > 2 * self.count + 1000:
            self._cut()

    def rows(self) -> list[RowSummary]:
        self._cut()
        return [row for _, row in self.found]

    def _cut(self) -> None:
        self.found.sort(key=lambda one: one[0])
        del self.found[self.count :]


class RowChooser:
    """Chooses `count` of the rows that it is told of; ties and the sample are drawn by `seed`."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self._groups: dict[str | tuple[str, str], _First] = {}
        self._total: Counter[tuple[State, str, str]] = Counter()

    def add(self, row: RowSummary) -> None:
        """Takes a row into account; no row may come twice."""
        self._total[row.state, row.stage, row.reason] += 1
        lot = hashlib.sha256(f"{self._seed}/report/{row.row_id}".encode()).hexdigest()
        self._add(_SAMPLE, (0.0, lot), row)
        if row.accept_probability is not None:
            if not row.reason:
                self._add(_BEST, (-row.accept_probability, lot), row)
            self._add(_WORST, (row.accept_probability, lot), row)
        if row.reason:
            self._add((row.stage, row.reason), (0.0, lot), row)

    def _add(self, group: str | tuple[str, str], key: Key, row: RowSummary) -> None:
        self._groups.setdefault(group, _First(self._count)).add(key, row)

    def result(self) -> ChosenRows:
        """Those that are shown: in turn one of the best, of the worst, two of the sample, one of each reason's turn."""
        reasons = [self._groups[key].rows() for key in sorted(key for key in self._groups if isinstance(key, tuple))]
        by_reason = _interleaved(reasons)
        named = {name: self._groups[name].rows() if name in self._groups else [] for name in (_BEST, _WORST, _SAMPLE)}
        sample = named[_SAMPLE]
        order = _interleaved([by_reason, named[_BEST], sample[::2], named[_WORST], sample[1::2]])
        distinct = {row.row_id: row for row in order}
        return ChosenRows(tuple(distinct.values())[: self._count], self._total.total(), self._total)


def _interleaved(groups: Sequence[Sequence[RowSummary]]) -> list[RowSummary]:
    """The first of each group, then the second of each, and so on."""
    return [row for row in chain.from_iterable(zip_longest(*groups)) if row is not None]
