"""Grades a corpus by the oracle: how many answers and rationales are true, false or not checkable, and why.

The share that counts is that of the true among the decided; how much could be decided stands beside it, because a
corpus of which little can be checked is not thereby good. Intervals are over images
(`ostensive.intervals.over_groups`): the rows of one image share what a teacher and a critic mistake in it.

What a trained critic kept of images that it learned from says little about the critic. Where a run has such critics,
the images that none of them learned from, or was stopped by, are graded by themselves, and first.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builders.localized.records import Qar
from builders.localized.stage import CANDIDATES
from builders.table import load, recipe_kind
from critics.stage import JUDGED
from critics.table import critics_of, leaves
from critics.trained.learned import LearnedImages, learned_images
from critics.trained.settings import TrainedSettings
from microworld.findings import Finding
from microworld.folder import read_truth
from microworld.oracle import judge_qar
from microworld.scenes import Scene
from ostensive.errors import SettingsError
from ostensive.intervals import Interval, over_groups
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
    images: int  # of the decided rows
    true_share_95: Interval | None  # of `true_share`, over images; None when nothing could be decided
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


@dataclass(frozen=True, slots=True)
class Grade:
    """What the oracle says of a corpus: `rows` were judged, those `without_truth` have no scene to judge by."""

    rows: int
    without_truth: int
    answers: Tally
    rationales: Tally
    whole: Tally  # true when both parts are, false when one is


@dataclass(frozen=True, slots=True)
class PartGrades:
    """What the oracle says of the candidates as the teacher wrote them, and of the rows that were kept."""

    candidates: Grade
    kept: Grade


@dataclass(frozen=True, slots=True)
class RunGrades:
    """What the oracle says of a run, first of the images that its trained critics did not learn from."""

    unseen: PartGrades | None  # None where the run has no trained critic, or one that does not say what it learned from
    candidates: Grade  # of all images
    kept: Grade
    trained_critics: tuple[str, ...]
    unknown_critics: tuple[str, ...]  # those that do not say what they learned from
    learned_images: int  # of the candidates' images: those that a critic learned from or was stopped by


def grade(rows: Iterable[GradedRow], truth: Mapping[str, Scene]) -> Grade:
    """The grade of a corpus, `truth` giving the scene of each image by its `image_id`.

    Rows of other images are counted and left out.
    """
    findings: tuple[list[tuple[str, Finding]], ...] = ([], [], [])
    without_truth = 0
    for row in rows:
        scene = truth.get(row.qar.image_id)
        if scene is None:
            without_truth += 1
            continue
        found = judge_qar(row.qar, row.regions, scene)
        for part, finding in zip(findings, (found.answer, found.rationale, found.whole), strict=True):
            # Without the words it is about, so that equal reasons are counted together.
            part.append((row.qar.image_id, Finding(finding.value, finding.reason)))
    return Grade(len(findings[0]), without_truth, *map(_tally, findings))


def _tally(findings: Sequence[tuple[str, Finding]]) -> Tally:
    counts = Counter(finding for _, finding in findings)
    by_value = Counter(finding.value for _, finding in findings)
    reasons = [ReasonCount(one.value, one.reason, count) for one, count in counts.items() if not one.is_true]
    ranked = tuple(sorted(reasons, key=lambda one: (-one.count, one.value, one.reason)))
    decided = Counter(image_id for image_id, finding in findings if finding.decided)
    true = Counter(image_id for image_id, finding in findings if finding.is_true)
    images = sorted(decided)
    interval = over_groups([true[one] for one in images], [decided[one] for one in images]) if images else None
    return Tally(by_value["true"], by_value["false"], by_value["not checkable"], len(images), interval, ranked)


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
    critics = [one for one in leaves(critics_of(load(str(folder.recipe_path)))) if isinstance(one, TrainedSettings)]
    learned = {one.title: learned_images(Path(one.model)) for one in critics}
    known = [one for one in learned.values() if one is not None]

    def graded(rows: Iterable[Qar]) -> Grade:
        return grade((GradedRow(qar, regions[qar.image_id]) for qar in rows), truth)

    paths = folder.partition_paths(CANDIDATES)
    candidates = [qar for path in paths for qar in partitions.read_kept(path, Qar)]
    kept = [one.candidate for one in kept_records(folder, Judged[Qar])]
    unseen = None
    if critics and len(known) == len(critics):
        unseen = PartGrades(*(graded(_unseen(rows, known)) for rows in (candidates, kept)))
    seen = {qar.image_id for qar in candidates if any(one.had(qar.image_id) for one in known)}
    return RunGrades(
        unseen=unseen,
        candidates=graded(candidates),
        kept=graded(kept),
        trained_critics=tuple(learned),
        unknown_critics=tuple(name for name, one in learned.items() if one is None),
        learned_images=len(seen),
    )


def _unseen(rows: Iterable[Qar], learned: Sequence[LearnedImages]) -> Iterator[Qar]:
    return (qar for qar in rows if not any(one.had(qar.image_id) for one in learned))


def regions_in(folder: RunFolder) -> dict[str, tuple[Region, ...]]:
    """The regions of each image that a run has put into words."""
    return {text.image_id: text.regions for text in kept_records(folder, Verbalization)}


def grade_lines(grades: RunGrades) -> Iterator[str]:
    """The grades as a person reads them, those of images that no critic learned from before those of all."""
    whole = PartGrades(grades.candidates, grades.kept)
    if grades.unknown_critics:
        names = ", ".join(grades.unknown_critics)
        yield f"all images; it is not known which of them {names} learned from, so the kept rows may be too good:"
    elif grades.unseen is not None and grades.learned_images == 0:
        yield f"no image of this run is one that {', '.join(grades.trained_critics)} learned from:"
    elif grades.unseen is not None:
        names = ", ".join(grades.trained_critics)
        yield f"images that {names} did not learn from and was not stopped by:"
        yield from _part_lines(grades.unseen)
        yield f"all images, mixed: with {grades.learned_images:,} that {names} learned from or was stopped by:"
    yield from _part_lines(whole)


def _part_lines(grades: PartGrades) -> Iterator[str]:
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
    images = "1 image" if tally.images == 1 else f"{tally.images:,} images"
    return (
        f"{counts}; {share:.1%} of the {tally.decided:,} decided of {images} are true (95 %: {interval.low:.1%} to"
        f" {interval.high:.1%})"
    )
