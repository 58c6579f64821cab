"""Results of several models over the same items, side by side: what is gained, how sure that is, and by which test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.intervals import Interval
from ostensive.user_paths import shown_path
from students.evaluation.figures import measures
from students.evaluation.measure import Measure
from students.evaluation.resampling import Difference, mcnemar, paired_bootstrap, paired_permutation
from students.evaluation.results import read_lines, read_summary

MCNEMAR, PERMUTATION = "McNemar, exact", "paired permutation"


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure of a result after another, over the items that both scored."""

    name: str
    file: str
    items: int
    before: float
    after: float
    difference: Difference

    def values(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "file": self.file,
            "items": self.items,
            "before": self.before,
            "after": self.after,
            "difference": self.difference.value,
            "interval_95": [self.difference.interval.low, self.difference.interval.high],
            "p_value": self.difference.p_value,
            "test": self.difference.test,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What files of results come to beside the first of them."""

    baseline: str
    task: str
    left_out: int  # items that not all files scored, where these were to be left out
    compared: tuple[Compared, ...]


@dataclass(frozen=True, slots=True)
class _Results:
    path: Path
    summary: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]

    @property
    def scored(self) -> dict[str, Mapping[str, Any]]:
        return {line["id"]: line for line in self.lines if "lost" not in line}


def compare(paths: Sequence[Path], *, shared: bool = False) -> Comparison:
    """Each file of results beside the first.

    Raises `SettingsError` for fewer than two, for files of different tasks, and where one scored items that another did
    not, unless `shared` leaves those out.
    """
    if len(paths) < 2:
        raise SettingsError("compare: two files of results at least are expected, the one before and the one after")
    results = [_Results(path, read_summary(path), read_lines(path)) for path in paths]
    first, *others = results
    for other in others:
        _check_same(first, other, shared=shared)
    common = set.intersection(*(set(one.scored) for one in results))
    if not common:
        raise SettingsError(f"{shown_path(first.path)}: no item was scored in all files; there is nothing to compare")
    left_out = len(set.union(*(set(one.scored) for one in results))) - len(common)
    before = _measures(first, common)
    compared = [
        Compared(
            name=name,
            file=shown_path(other.path),
            items=len(measure.ids),
            before=before[name].value,
            after=measure.value,
            difference=difference(before[name], measure),
        )
        for other in others
        for name, measure in _measures(other, common).items()
        if name in before
    ]
    return Comparison(shown_path(first.path), str(first.summary["task"]), left_out, tuple(compared))


def difference(first: Measure, second: Measure) -> Difference:
    """How much a figure of the same items, in the same order, is above another."""
    assert first.ids == second.ids, "the same items, in one order"
    value = second.value - first.value
    interval: Interval = paired_bootstrap(first.stats, second.stats, first.combine)
    if first.is_share:
        p_value = mcnemar(first.stats[:, 0] > 0, second.stats[:, 0] > 0)
        return Difference(value, interval, p_value, MCNEMAR)
    return Difference(value, interval, paired_permutation(first.stats, second.stats, first.combine), PERMUTATION)


def _check_same(first: _Results, other: _Results, *, shared: bool) -> None:
    where = f"{shown_path(first.path)} and {shown_path(other.path)}"
    for key in ("task", "metric"):
        if first.summary[key] != other.summary[key]:
            raise SettingsError(f"{where}: are of {first.summary[key]} and {other.summary[key]}; one task is expected")
    for key in ("scoring", "per", "words"):
        if first.summary.get(key) != other.summary.get(key) and first.summary["metric"] in ("loss", "replies"):
            raise SettingsError(f"{where}: differ in {key}, so that their figures cannot be compared")
    one, two = first.scored, other.scored
    changed = sum(one[name].get("answer") != two[name].get("answer") for name in one.keys() & two.keys())
    if changed:
        raise SettingsError(
            f"{where}: have other right answers for {changed} items; one file and one seed are expected"
        )
    alone = len(one.keys() ^ two.keys())
    if alone and not shared:
        raise SettingsError(
            f"{where}: {alone} items were scored in one of them alone, {len(one.keys() & two.keys())} in both;"
            " --shared compares these"
        )


def _measures(results: _Results, common: set[str]) -> dict[str, Measure]:
    """The figures over the items that all scored, in the order of their ids."""
    scored = results.scored
    lines = [scored[name] for name in sorted(common)]
    return {one.name: one for one in measures(str(results.summary["metric"]), lines)}
