"""What a student of this recipe is trained on, and how rounds add up: ILLUME, section 3.3, "Continual Learning".

A round samples, keeps what fits, and trains on all that fitted so far beside plain questions with answers. Of the
repository, accumulation stops with an error from the second round on, and rows without a rationale lack the answer:
here both are pure functions with tests. How a run goes on from an earlier one is in `builders/rounds.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from builders.dedupe import comparable
from builders.rationales.items import Item
from builders.rationales.records import Rationale
from ostensive.rationale_replay import explanation_weight, replayed_items


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A question about an image with its answer, and with its rationale where it has one."""

    image_id: str
    annotation_id: str
    question: str
    answer: str
    rationale: str | None


@dataclass(frozen=True, slots=True)
class TrainingView:
    """What one round is trained on: loss = that of the answers of all rows + `explanation_weight` x the rationales'."""

    rows: tuple[TrainingRow, ...]  # those with a rationale first
    explanation_weight: float


def training_view(
    fitting: Sequence[Rationale], items: Iterable[Item], *, replay: float = 10.0, seed: int = 0
) -> TrainingView:
    """The rows with a fitting rationale, and `replay` times as many without, drawn from items that have none.

    Draw and weight are those of `ostensive.rationale_replay`. Raises `ValueError` for a negative `replay`.
    """
    explained = accumulated((), fitting)
    with_rationale = {(row.image_id, row.question, row.answer) for row in explained}
    drawn = replayed_items(
        {(item.image_id, item.question, item.answer): item for item in items},
        with_rationale,
        explained=len(explained),
        replay=replay,
        seed=seed,
    )
    rows = [
        *(TrainingRow(row.image_id, row.annotation_id, row.question, row.answer, row.rationale) for row in explained),
        *(TrainingRow(item.image_id, item.annotation_id, item.question, item.answer, None) for item in drawn),
    ]
    return TrainingView(tuple(rows), explanation_weight(len(drawn), len(explained)))


def accumulated(before: Sequence[Rationale], now: Sequence[Rationale]) -> tuple[Rationale, ...]:
    """All that fitted so far, in order, each rationale of a question once: the one that came first."""
    kept: dict[tuple[str, str, str, str], Rationale] = {}
    for row in (*before, *now):
        kept.setdefault((row.image_id, row.question, row.answer, comparable(row.rationale)), row)
    return tuple(kept.values())
