"""The oracle in the place of people: annotators who know the truth, but are at times unsure or wrong, as people are.

With them labelling, the training of a critic and the choice of a threshold can be rehearsed before anybody is asked.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builders.localized.records import Qar
from builders.representatives import annotated_run
from critics.annotation.export import export, label_judgements
from critics.annotation.foreign import ForeignJudgement
from critics.annotation.stock import AnnotateOptions, stock
from critics.annotation.store import open_store
from critics.labels import Rating, labels_from
from microworld.folder import read_truth
from microworld.grade import regions_in
from microworld.oracle import QarFinding, judge_qar
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.run.folder import kept_records

MAYBE_SHARE = 0.2
"""How often a "maybe" is said of what is right."""
TASK = "triple"
"""What the oracle plays; it answers the questions of no other."""
ALL_OF_200 = AnnotateOptions(task=TASK, per_image=1000)
"""Every triple of 200 images."""
_ORACLE = "oracle"  # the source of its judgements


@dataclass(frozen=True, slots=True)
class OracleAnnotation:
    """How the oracle annotated a run."""

    notes: list[str]  # on what was there to judge
    judged: int  # triples
    undecided: int  # triples that the oracle cannot decide, of which nobody says anything
    accepted: int  # triples that no annotator rejects
    labels: str | None  # their file; None where nothing was judged


def ratings_of(finding: QarFinding, row_id: str, annotator: str, *, noise: float) -> dict[str, Rating]:
    """What an annotator says of a triple, `qa` and `rationale`: wrong with the probability `noise` (0-1) on each.

    The rationale of a rejected answer is rejected too. The same annotator says the same of a triple each time.
    """
    rng = random.Random(fingerprint([row_id, annotator]))  # noqa: S311 - no secret

    def rating(is_right: bool) -> Rating:
        if is_right == (rng.random() < noise):
            return "reject"
        return "maybe" if rng.random() < MAYBE_SHARE else "accept"

    qa = rating(not finding.answer.is_false)
    rationale = rating(not finding.rationale.is_false)
    return {"qa": qa, "rationale": "reject" if qa == "reject" else rationale}


def annotate_run(
    run: Path | str,
    *,
    images: Path | str,
    annotators: int = 2,
    noise: float = 0.05,
    options: AnnotateOptions = ALL_OF_200,
) -> OracleAnnotation:
    """Lets `annotators` who know the truth of the folder `images` judge triples of `run`, as people do on the page.

    Each errs with the probability `noise` (0-1) on each question. What they say is stored and exported like what people
    say, in the names "oracle 1", "oracle 2" and so on. Raises `SettingsError` as `grade_run` does, and where triples of
    the run were judged by people, with whom the oracle is not to be mixed up.
    """
    judged_run, truth = annotated_run(run), read_truth(Path(images))
    folder = judged_run.folder
    names = [f"{_ORACLE} {number}" for number in range(1, annotators + 1)]
    with open_store(folder) as store:
        people = {one.annotator for one in store.standing(TASK) if one.source != _ORACLE}
        if people:
            raise SettingsError(
                f"{run}: {', '.join(sorted(people))} judged triples of this run; let the oracle judge another run"
            )
        notes = stock(judged_run, store, options)
        items = {item.item_id: item for item in store.items(TASK)}
        rows = [row for row in kept_records(folder, Qar) if row.row_id in items]
        unknown = [row for row in rows if row.image_id not in truth]
        if unknown:
            raise SettingsError(
                f"{images}: does not hold the scenes of {run}: nothing is known of the image"
                f" {unknown[0].image_id[:12]}...; give the folder that the run was built from"
            )
        for name in names:
            store.enter_annotator(name)
        regions = regions_in(folder)
        findings = [(row, judge_qar(row, regions[row.image_id], truth[row.image_id])) for row in rows]
        decided = [(row, finding) for row, finding in findings if finding.whole.decided]
        judgements = [
            ForeignJudgement(items[row.row_id], name, ratings_of(finding, row.row_id, name, noise=noise))
            for row, finding in decided
            for name in names
        ]
        store.record_imported(judgements, _ORACLE)
        labels = labels_from(label_judgements(store))
        exported = export(folder, store)
    accepted = sum(label.accepted for label in labels if label.row_id in items)
    path = str(exported.labels) if exported.labels else None
    return OracleAnnotation(notes, len(decided), len(rows) - len(decided), accepted, path)


def annotation_lines(found: OracleAnnotation) -> Iterator[str]:
    """What the oracle did, as a person reads it."""
    yield from found.notes
    share = f", {found.accepted / found.judged:.1%} of them accepted" if found.judged else ""
    yield f"{found.judged:,} triples judged{share}; {found.undecided:,} could not be decided and were left out"
    if found.labels:
        yield f"labels: {found.labels}"
