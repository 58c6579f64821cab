"""Grades a corpus by the oracle: how many answers and rationales are true, false or not checkable, and why.

The share that counts is that of the true among the decided; how much could be decided stands beside it, because a
corpus of which little can be checked is not thereby good. The interval is Wilson's: near 0 and 1, where such shares
lie, the normal approximation leaves the range, and a bootstrap of thousands of rows costs more than it tells.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builders.localized.records import Qar
from builders.localized.stage import CANDIDATES
from builders.table import recipe_kind
from critics.stage import JUDGED
from microworld.findings import Finding
from microworld.folder import read_truth
from microworld.oracle import judge_qar
from microworld.scenes import Scene
from ostensive.errors import SettingsError
from ostensive.intervals import Interval, wilson
from ostensive.records import Judged, Region, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder, existing_run, kept_records
from ostensive.yaml_text import read_yaml

_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class GradedRow:
    """A row of a corpus as it is graded: the triple, and all regions of its image."""

    qar: Qar
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How often one reason was given for a finding that is not true."""

    value: str  # "false" or "not checkable"
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Tally:
    """The findings on one part of all rows."""

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


@dataclass(frozen=True, slots=True)
class RunGrades:
    """What the oracle says of a run: of the candidates as the teacher wrote them, and of the rows that were kept."""

    candidates: Grade
    kept: Grade


def grade(rows: Iterable[GradedRow], truth: Mapping[str, Scene]) -> Grade:
    """The grade of a corpus, `truth` giving the scene of each image by its `image_id`.

    Rows of other images are counted and left out.
    """
    answers: Counter[Finding] = Counter()
    rationales: Counter[Finding] = Counter()
    whole: Counter[Finding] = Counter()
    without_truth = 0
    for row in rows:
        scene = truth.get(row.qar.image_id)
        if scene is None:
            without_truth += 1
            continue
        found = judge_qar(row.qar, row.regions, scene)
        for counts, finding in ((answers, found.answer), (rationales, found.rationale), (whole, found.whole)):
            # Without the words it is about, so that equal reasons are counted together.
            counts[Finding(finding.value, finding.reason)] += 1
    return Grade(whole.total(), without_truth, _tally(answers), _tally(rationales), _tally(whole))


def _tally(counts: Counter[Finding]) -> Tally:
    by_value: Counter[str] = Counter()
    for finding, count in counts.items():
        by_value[finding.value] += count
    reasons = [ReasonCount(one.value, one.reason, count) for one, count in counts.items() if not one.is_true]
    ranked = tuple(sorted(reasons, key=lambda one: (-one.count, one.value, one.reason)))
    return Tally(by_value["true"], by_value["false"], by_value["not checkable"], ranked)


def grade_run(run: Path | str, *, images: Path | str) -> RunGrades:
    """Grades the triples of `run`, made from the folder `images` that `ostensive microworld render` wrote.

    Raises `SettingsError` where there is no run, one of another recipe, no truth, or nothing to grade yet.
    """
    folder, truth = existing_run(run), read_truth(Path(images))
    kind = recipe_kind(str(read_yaml(folder.recipe_path).get("recipe")))
    if kind.candidate is not Qar:
        raise SettingsError(f"{run}: a run of {kind.name}; the oracle grades triples of the recipe localized")
    if not folder.partition_paths(JUDGED):
        raise SettingsError(f"{run}: no candidate of this run is judged yet; run `ostensive build` first")
    regions = regions_in(folder)

    def graded(rows: Iterable[Qar]) -> Grade:
        return grade((GradedRow(qar, regions[qar.image_id]) for qar in rows), truth)

    paths = folder.partition_paths(CANDIDATES)
    candidates = (qar for path in paths for qar in partitions.read_kept(path, Qar))
    return RunGrades(graded(candidates), graded(one.candidate for one in kept_records(folder, Judged[Qar])))


def regions_in(folder: RunFolder) -> dict[str, tuple[Region, ...]]:
    """The regions of each image that a run has put into words."""
    return {text.image_id: text.regions for text in kept_records(folder, Verbalization)}


def grade_lines(grades: RunGrades) -> Iterator[str]:
    """The grades as a person reads them."""
    for name, found in (("candidates", grades.candidates), ("kept rows", grades.kept)):
        yield f"{name}: {found.rows:,} judged" + (
            f", {found.without_truth:,} of images without truth" if found.without_truth else ""
        )
        for part, tally in (("answers", found.answers), ("rationales", found.rationales), ("both", found.whole)):
            yield f"  {part:<11}{_shares(tally)}"
        for one in found.whole.reasons[:_REASONS_SHOWN]:
            yield f"    {one.count:,} {one.value}: {one.reason}"


def _shares(tally: Tally) -> str:
    counts = f"{tally.true:,} true, {tally.false:,} false, {tally.not_checkable:,} not checkable"
    share, interval = tally.true_share, tally.true_share_95
    if share is None or interval is None:
        return counts
    return f"{counts}; {share:.1%} of the decided are true (95 %: {interval.low:.1%} to {interval.high:.1%})"
