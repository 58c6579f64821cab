"""`ostensive microworld`: grades and annotates a run on rendered scenes by the oracle, and trains its tiny models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from critics.annotation.serving import CANDIDATES, AnnotateOptions, open_run, open_store, read_recipe, stock
from microworld.folder import read_truth
from microworld.grade import Grade, GradedRow, Tally, grade
from ostensive.errors import SettingsError
from ostensive.records import Judged, Qar, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder

_REASONS_SHOWN = 3
_ORACLE = "oracle"  # the source of its judgements
ALL_OF_200 = AnnotateOptions(per_image=1000)
"""Every triple of 200 images."""


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
    from microworld.taught import taught_from

    folder, truth = open_run(run), read_truth(Path(images))
    if not folder.partition_paths("judged"):
        raise SettingsError(f"{run}: no candidate of this run is judged yet; run `ostensive build` first")
    taught = taught_from(taught_wordings())
    texts = {text.image_id: text for text in _kept(folder, "verbalized", Verbalization)}

    def rows(found: Iterator[Qar]) -> Iterator[GradedRow]:
        return (GradedRow(qar, texts[qar.image_id].regions) for qar in found)

    accepted = (judged.candidate for judged in _kept(folder, "judged", Judged[Qar]))
    return RunGrades(grade(rows(_kept(folder, "candidates", Qar)), truth, taught), grade(rows(accepted), truth, taught))


@dataclass(frozen=True, slots=True)
class OracleSaid:
    """How the oracle annotated a run."""

    notes: list[str]  # on what was there to judge
    judged: int  # triples
    undecided: int  # triples that the oracle cannot decide, of which nobody says anything
    accepted: int  # triples that no annotator rejects
    labels: str | None  # their file; None where nothing was judged


def annotate_run(
    run: Path | str,
    *,
    images: Path | str,
    annotators: int = 2,
    noise: float = 0.05,
    options: AnnotateOptions = ALL_OF_200,
) -> OracleSaid:
    """Lets `annotators` who know the truth of the folder `images` judge triples of `run`, as people do on the page.

    Each errs with the probability `noise` (0-1) on each question. What they say is stored and exported like what people
    say, in the names "oracle 1", "oracle 2" and so on. Raises `SettingsError` as `grade_run` does, and where triples of
    the run were judged by people, with whom the oracle is not to be mixed up.
    """
    from builders.localized.scripted import taught_wordings
    from critics.annotation.export import export, triple_judgements
    from critics.annotation.store import ForeignJudgement
    from critics.labels import labels_from
    from microworld.annotators import rated
    from microworld.oracle import judge_qar
    from microworld.taught import taught_from

    folder, truth, taught = open_run(run), read_truth(Path(images)), taught_from(taught_wordings())
    names = [f"{_ORACLE} {number}" for number in range(1, annotators + 1)]
    with open_store(folder) as store:
        people = {one.annotator for one in store.standing("triple") if one.source != _ORACLE}
        if people:
            raise SettingsError(
                f"{run}: {', '.join(sorted(people))} judged triples of this run; let the oracle judge another run"
            )
        notes = stock(folder, store, read_recipe(folder), options)
        items = {item.item_id: item for item in store.items("triple")}
        regions = {text.image_id: text.regions for text in _kept(folder, "verbalized", Verbalization)}
        rows = [row for row in _kept(folder, CANDIDATES, Qar) if row.row_id in items]
        unknown = [row for row in rows if row.image_id not in truth]
        if unknown:
            raise SettingsError(
                f"{images}: does not hold the scenes of {run}: nothing is known of the image"
                f" {unknown[0].image_id[:12]}...; give the folder that the run was built from"
            )
        for name in names:
            store.enter_annotator(name)
        undecided, judgements = 0, []
        for row in rows:
            verdict = judge_qar(row, regions[row.image_id], truth[row.image_id], taught)
            if not verdict.whole.decided:
                undecided += 1
                continue
            for name in names:
                answers = rated(verdict, row.row_id, name, noise=noise)
                judgements.append(ForeignJudgement(items[row.row_id], name, answers))
        store.record_imported(judgements, _ORACLE)
        labels = labels_from(triple_judgements(store.standing("triple")))
        exported = export(folder, store)
    accepted = sum(label.accepted for label in labels if label.row_id in items)
    return OracleSaid(
        notes, len(rows) - undecided, undecided, accepted, str(exported.labels) if exported.labels else None
    )


def oracle_lines(said: OracleSaid) -> Iterator[str]:
    """What the oracle did, as a person reads it."""
    yield from said.notes
    share = f", {said.accepted / said.judged:.1%} of them accepted" if said.judged else ""
    yield f"{said.judged:,} triples judged{share}; {said.undecided:,} could not be decided and were left out"
    if said.labels:
        yield f"labels: {said.labels}"


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
    from microworld.training.train import MINUTES, STAGES, Plan, Stage, train

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
