"""The stage `selected` of a later round: an image has the concepts that were selected for it in the round before.

SelfSynthX selects concepts once and asks for new answers in every round, so that nothing is described again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self  # Any: JSON values

from builders.explanations.comparing import SELECTED
from builders.explanations.describing import NO_LABEL, SEVERAL_LABELS, labels_of
from builders.explanations.records import Selected
from builders.rounds import ParentRecords, RoundSettings
from critics.label_names import plain_label
from ostensive.records import ImageRecord
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Kept, Outcome, Stage

NOT_BEFORE: Final = "no concepts in the round before"
OTHER_LABEL: Final = "another label than in the round before"
REASONS: Final = (NO_LABEL, SEVERAL_LABELS, NOT_BEFORE, OTHER_LABEL)
"""Every reason for which an image does not take part in a later round."""
_STAGE_VERSION = 1


class TakeOverStage(Stage[ImageRecord, Selected]):
    """From images to the concepts that they had before."""

    name = SELECTED
    record_in = ImageRecord
    record_out = Selected
    uses_annotations = True

    def __init__(self, rounds: RoundSettings) -> None:
        self._before = ParentRecords[Selected](rounds, Selected)

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"version": _STAGE_VERSION, "before": self._before.identity}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:  # noqa: ARG002 - of a stage
        with self._before.opened():
            yield self

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Selected]]:
        return [self._taken_over(row.image_id, labels_of(evidence[row.image_id].annotations)) for row in rows]

    def _taken_over(self, image_id: str, labels: Sequence[str]) -> Outcome[Selected]:
        if len(labels) != 1:
            return Dropped(SEVERAL_LABELS if labels else NO_LABEL, "; ".join(labels)[:200])
        before = self._before.of(image_id)
        if not before:
            return Dropped(NOT_BEFORE)
        if plain_label(before[0].label) != plain_label(labels[0]):
            return Dropped(OTHER_LABEL, f"{labels[0]}, before {before[0].label}"[:200])
        return Kept(tuple(before))
