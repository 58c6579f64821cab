"""`ostensive microworld`: grades a run on rendered scenes by the oracle, and trains the tiny models of that world."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostensive import partitions
from ostensive.errors import SettingsError
from ostensive.microworld.folder import read_truth
from ostensive.microworld.grade import Grade, GradedRow, Tally, grade
from ostensive.records import Judged, Qar, Verbalization
from ostensive.runfolder import RunFolder

_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class RunGrades:
    """What the oracle says of a run: of the candidates as the teacher wrote them, and of the rows that were kept."""

    candidates: Grade
    kept: Grade


def grade_run(run: Path | str, *, images: Path | str) -> RunGrades:
    """Grades the triples of `run`, made from the folder `images` that `ostensive microworld render` wrote.

    Raises `SettingsError` where there is no run, no truth, or nothing to grade yet.
    """
    from builders.localized.scripted import taught_wordings
    from ostensive.microworld.taught import taught_from

    folder, truth = RunFolder(Path(run)), read_truth(Path(images))
    if not folder.read_state():
        raise SettingsError(f"{run}: there is no run here; give the folder that was --out of `ostensive build`")
    if not folder.partition_paths("judged"):
        raise SettingsError(f"{run}: no candidate of this run is judged yet; run `ostensive build` first")
    taught = taught_from(taught_wordings())
    texts = {text.image_id: text for text in _kept(folder, "verbalized", Verbalization)}

    def rows(found: Iterator[Qar]) -> Iterator[GradedRow]:
        return (GradedRow(qar, texts[qar.image_id].regions) for qar in found)

    accepted = (judged.candidate for judged in _kept(folder, "judged", Judged[Qar]))
    return RunGrades(grade(rows(_kept(folder, "candidates", Qar)), truth, taught), grade(rows(accepted), truth, taught))


def _kept(folder: RunFolder, stage: str, record: Any) -> Iterator[Any]:  # Any: a record class, and its records
    for path in folder.partition_paths(stage):
        yield from partitions.read_kept(path, record)


def train_models(
    out: Path,
    *,
    stages: Sequence[str] = (),
    minutes: Sequence[str] = (),
    seed: int = 0,
    threads: int | None = None,
) -> dict[str, Any]:  # Any: JSON values
    """Trains the tiny models into `out`, or goes on; returns what is recorded of each stage.

    `stages` are all where none is named; `minutes` are texts such as `seeing=16`. Raises `SettingsError` for a stage
    that is not known and for minutes that are none.
    """
    from ostensive.microworld.training.train import MINUTES, STAGES, Plan, Stage, train

    def known(name: str, option: str) -> Stage:
        for stage in STAGES:
            if stage == name:
                return stage
        raise SettingsError(f"{option}: there is no stage {name!r}; there are {', '.join(STAGES)}")

    times = dict(MINUTES)
    for text in minutes:
        name, equals, number = text.partition("=")
        try:
            times[known(name.strip(), "--minutes")] = float(number)
        except ValueError:
            equals = ""
        if not equals or not float(number) > 0:
            raise SettingsError(f"--minutes {text}: STAGE=MINUTES is expected, such as seeing=16")
    chosen = tuple(known(name, "--stage") for name in stages) or STAGES
    return train(Plan(out, chosen, minutes=times, seed=seed, threads=threads))


def grade_lines(grades: RunGrades) -> Iterator[str]:
    """The grades as a person reads them."""
    for name, found in (("candidates", grades.candidates), ("kept rows", grades.kept)):
        yield f"{name}: {found.rows:,} judged" + (
            f", {found.without_truth:,} of images without truth" if found.without_truth else ""
        )
        for part, tally in (("answers", found.answers), ("rationales", found.rationales), ("both", found.whole)):
            yield f"  {part:<11}{_shares(tally)}"
        for one in found.whole.reasons[:_REASONS_SHOWN]:
            yield f"    {one.count:,} {one.outcome}: {one.reason}"


def _shares(tally: Tally) -> str:
    counts = f"{tally.true:,} true, {tally.false:,} false, {tally.not_checkable:,} not checkable"
    share, interval = tally.true_share, tally.true_share_95
    if share is None or interval is None:
        return counts
    return f"{counts}; {share:.1%} of the decided are true (95 %: {interval.low:.1%} to {interval.high:.1%})"
