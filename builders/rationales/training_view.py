"""What a student of this recipe is trained on, and how rounds add up: ILLUME, section 3.3, "Continual Learning".

A round samples, keeps what fits, and trains on all that fitted so far beside plain questions with answers. Of the
repository, accumulation stops with an error from the second round on, and rows without a rationale lack the answer:
here both are pure functions with tests. How a run goes on from an earlier one is in `builders/rounds.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from builders.dedupe import comparable
from builders.rationales.items import Item
from builders.rationales.records import Rationale


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

    ILLUME, equation 1 and section 4.1: about ten, and the weight b = n(without) / n(with). The draw depends on seed and
    items alone, not on their order. Where there is nothing to replay, b would be 0 and no rationale would be learned;
    it is 1 then.
    """
    if replay < 0:
        raise ValueError(f"replay: a number from 0 on is expected, not {replay!r}")
    explained = accumulated((), fitting)
    has_one = {(row.image_id, row.question, row.answer) for row in explained}
    plain = {(item.image_id, item.question, item.answer): item for item in items}
    free = [plain[key] for key in sorted(plain.keys() - has_one)]
    count = min(len(free), round(replay * len(explained)))
    drawn = Random(seed).sample(free, count)  # noqa: S311 - a draw, no secret
    rows = [
        *(TrainingRow(row.image_id, row.annotation_id, row.question, row.answer, row.rationale) for row in explained),
        *(TrainingRow(item.image_id, item.annotation_id, item.question, item.answer, None) for item in drawn),
    ]
    return TrainingView(tuple(rows), count / len(explained) if count else 1.0)


def accumulated(before: Sequence[Rationale], now: Sequence[Rationale]) -> tuple[Rationale, ...]:
    """All that fitted so far, in order, each rationale of a question once: the one that came first."""
    kept: dict[tuple[str, str, str, str], Rationale] = {}
    for row in (*before, *now):
        kept.setdefault((row.image_id, row.question, row.answer, comparable(row.rationale)), row)
    return tuple(kept.values())
