"""Judgements on their way out: one Parquet row an answer, and the labels that critics are trained on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from critics.annotation.agreement import QuestionAgreement, task_agreement
from critics.annotation.store import AnnotationStore, Standing, existing_store, open_store
from critics.annotation.tasks import TASKS
from critics.labels import RATINGS, CriteriaJudgement, CriterionRating, Label, Rating, labels_from, write_labels
from ostensive import arrow
from ostensive.errors import SettingsError
from ostensive.files import replacing
from ostensive.run.agreements import AnnotatorAgreement, write_agreements
from ostensive.run.folder import RunFolder

EXPORT_FOLDER: Final = "annotations"
"""Where exports lie in a run folder."""


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer to one question, as it stands."""

    task: str
    item_id: str  # of a candidate of the run: its row id
    image_id: str
    annotator: str
    question: str
    answer: str
    swapped: bool  # whether the two sides of the item were shown in the other order; `answer` is in the item's own
    source: str  # "page", or the name of the file that was imported
    judged_at: str  # ISO 8601, UTC
    drawn: str  # how the item was drawn: one of `critics.labels.DRAWN`
    held_out: bool  # of an image that no critic learns from
    round_number: int  # in which it was put up, from 1; 0 where it is not known


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of an export, and how much is in them. `labels` is None where no candidate was judged."""

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
                item.draw.drawn,
                item.draw.held_out,
                item.draw.round_number,
            )


def label_judgements(store: AnnotationStore) -> list[CriteriaJudgement]:
    """What people say of candidates by the criteria of a task, as labels are made from it.

    Of the first task in the table that makes labels and was judged at all: two tasks have different criteria.
    """
    for task in TASKS.values():
        if task.makes_labels and (standing := store.standing(task.name)):
            return [
                CriteriaJudgement(
                    one.item.item_id,
                    one.item.image_id,
                    one.annotator,
                    tuple(CriterionRating(asked.name, _rating(one.answers[asked.name])) for asked in task.questions),
                    one.item.draw,
                )
                for one in standing
            ]
    return []


def export(run: RunFolder, store: AnnotationStore) -> Exported:
    """Writes `annotations/judgements.parquet` and, where there are labels, `labels.parquet` into the run folder.

    Beside them goes how far the annotators agree, for the card of the corpus.
    """
    standing = [one for task in TASKS for one in store.standing(task)]
    judgements = run.path / EXPORT_FOLDER / "judgements.parquet"
    with replacing(judgements) as temporary:
        arrow.write_parquet(arrow.to_table(list(answer_rows(standing)), AnswerRow), temporary)
    labels = labels_from(label_judgements(store))
    if labels:
        write_labels(labels_path(run), labels)
    write_agreements(run.path, agreements_of(store))
    return Exported(judgements, labels_path(run) if labels else None, len(standing), len(labels))


def agreements_of(store: AnnotationStore) -> list[AnnotatorAgreement]:
    """How far annotators agree on each question that two of them judged anything of, without their names."""
    found = []
    for name, task in TASKS.items():
        answers = store.answers(name)
        annotators = len({annotator for by_annotator in answers.values() for annotator in by_annotator})
        found += [
            AnnotatorAgreement(
                name, one.question, one.items, annotators, one.same_share, one.alpha_nominal, one.alpha_ordinal
            )
            for one in task_agreement(task, answers)
            if one.items
        ]
    return found


def labels_path(run: RunFolder) -> Path:
    """Where the labels of a run are exported to."""
    return run.path / EXPORT_FOLDER / "labels.parquet"


def run_labels(run: RunFolder) -> list[Label]:
    """The labels that follow from what people have said of a run's candidates up to now; needs no export.

    Raises `SettingsError` where nobody has judged any.
    """
    labels = []
    if open_store(run).path.exists():
        with open_store(run) as store:
            labels = labels_from(label_judgements(store))
    if not labels:
        raise SettingsError(f"{run.path}: no candidate of this run was judged yet; label with `ostensive annotate RUN`")
    return labels


def agreement(out: Path | str) -> dict[str, list[QuestionAgreement]]:
    """How far annotators of a run agree, by task and question; raises `SettingsError` where nobody judged anything."""
    with existing_store(out) as store:
        answers = {name: store.answers(name) for name in TASKS}
    if not any(answers.values()):
        raise SettingsError(f"{out}: nothing was judged here yet; label with `ostensive annotate RUN`")
    return {name: task_agreement(TASKS[name], given) for name, given in answers.items() if given}


def _rating(answer: str) -> Rating:
    return next(rating for rating in RATINGS if rating == answer)  # the store holds no other
