"""Judgements on their way out: one Parquet row an answer, and the labels that follow from those of triples."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from critics.annotation.store import STORE_NAME, AnnotationStore, Standing
from critics.annotation.tasks import TASKS
from critics.labels import RATINGS, Label, Rating, TripleJudgement, labels_from, write_labels
from ostensive import arrow
from ostensive.errors import SettingsError
from ostensive.files import replacing
from ostensive.run.folder import RunFolder

EXPORT_FOLDER: Final = "annotations"
"""Where exports lie in a run folder."""


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer to one question, as it stands."""

    task: str
    item_id: str  # of a triple: its row id
    image_id: str
    annotator: str
    question: str
    answer: str
    swapped: bool  # whether the two sides of the item were shown in the other order; `answer` is in the item's own
    source: str  # "page", or the name of the file that was imported
    judged_at: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of an export, and how much is in them. `labels` is None where no triple was judged."""

    judgements: Path
    labels: Path | None
    judgement_count: int
    label_count: int


def answer_rows(standing: Iterable[Standing]) -> Iterator[AnswerRow]:
    """The answers of judgements, in the order of the questions."""
    for one in standing:
        moment = datetime.fromtimestamp(one.judged_at, UTC).isoformat(timespec="milliseconds")
        item = one.item
        for question in TASKS[item.task].questions:
            answer = one.answers[question.name]
            yield AnswerRow(
                item.task,
                item.item_id,
                item.image_id,
                one.annotator,
                question.name,
                answer,
                one.swapped,
                one.source,
                moment,
            )


def triple_judgements(standing: Iterable[Standing]) -> list[TripleJudgement]:
    """Those of triples, as labels are made from them."""
    return [
        TripleJudgement(
            one.item.item_id,
            one.item.image_id,
            one.annotator,
            _rating(one.answers["qa"]),
            _rating(one.answers["rationale"]),
        )
        for one in standing
        if one.item.task == "triple"
    ]


def export(run: RunFolder, store: AnnotationStore) -> Exported:
    """Writes `annotations/judgements.parquet` and, where triples were judged, `labels.parquet` into the run folder."""
    import pyarrow.parquet as pq

    standing = [one for task in TASKS for one in store.standing(task)]
    judgements = run.path / EXPORT_FOLDER / "judgements.parquet"
    with replacing(judgements) as temporary:
        pq.write_table(arrow.to_table(list(answer_rows(standing)), AnswerRow), temporary, compression="zstd")
    labels = labels_from(triple_judgements(standing))
    if labels:
        write_labels(labels_path(run), labels)
    return Exported(judgements, labels_path(run) if labels else None, len(standing), len(labels))


def labels_path(run: RunFolder) -> Path:
    """Where the labels of a run are exported to."""
    return run.path / EXPORT_FOLDER / "labels.parquet"


def run_labels(run: RunFolder) -> list[Label]:
    """The labels that follow from what people have said of a run's triples up to now; needs no export.

    Raises `SettingsError` where nobody has judged any.
    """
    path = run.path / STORE_NAME
    labels = []
    if path.exists():
        with AnnotationStore(path) as store:
            labels = labels_from(triple_judgements(store.standing("triple")))
    if not labels:
        raise SettingsError(f"{run.path}: no triple of this run was judged yet; label with `ostensive annotate RUN`")
    return labels


def _rating(answer: str) -> Rating:
    return next(rating for rating in RATINGS if rating == answer)  # the store holds no other
