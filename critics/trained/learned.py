"""Which images a critic learned from, and the labels by which it can be judged all the same.

A training has images for three purposes: the weights are learned from some; held-out ones choose the round whose
weights are taken and the temperature, which is little, but makes figures on them a little too good; test images only
measure the outcome, and are unseen like all that were never labelled.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from critics.labels import Label
from ostensive.json_text import parse_json

RECORD: Final = "training.json"
TRAINED_IMAGES, HELD_OUT_IMAGES = "trained_images", "held_out_images"
"""The keys of the record under which the images of a training stand, as the beginnings of their ids."""
_ID_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class LearnedImages:
    """The images of a training, as the beginnings of their ids."""

    trained: frozenset[str]  # the weights were learned from their rows
    held_out: frozenset[str]  # they chose the round whose weights were taken, and the temperature: a milder use

    def had(self, image_id: str) -> bool:
        """Whether the training had this image in any way but to measure its outcome."""
        return image_id[:_ID_LENGTH] in self.trained or image_id[:_ID_LENGTH] in self.held_out


def images_of(train: Iterable[str], held_out: Iterable[str]) -> LearnedImages:
    """What a training had of images, from the ids of both splits."""
    return LearnedImages(*(frozenset(one[:_ID_LENGTH] for one in ids) for ids in (train, held_out)))


def learned_images(critic: Path) -> LearnedImages | None:
    """Which images the critic in the folder `critic` learned from; None where it does not say.

    So it is of a folder that is gone, and of a critic from elsewhere.
    """
    try:
        record = parse_json((critic / RECORD).read_text("utf-8"), strict=False)
        return LearnedImages(frozenset(record[TRAINED_IMAGES]), frozenset(record[HELD_OUT_IMAGES]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class UnseenLabels:
    """Labels by which it can be judged what a critic's scores are worth."""

    labels: tuple[Label, ...]
    has_held_out: bool  # whether those of held-out images are among them, for lack of others
    left_out: int  # labels of images that were learned from
    left_out_images: int


def unseen_labels(learned: LearnedImages, labels: Sequence[Label], *, enough: int) -> UnseenLabels:
    """Those of `labels` that are of other images than a critic learned from.

    Whole images, because rows of one image share its mistakes. Held-out images are left out like those that were
    trained on, as long as `enough` labels of both kinds remain; otherwise they come in, and that is said.
    """
    strict = [label for label in labels if not learned.had(label.image_id)]
    has_enough = len(strict) >= enough and len({label.accepted for label in strict}) == 2
    mild = [label for label in labels if label.image_id[:_ID_LENGTH] not in learned.trained]
    taken = strict if has_enough else mild
    ids = {label.row_id for label in taken}
    left_out = [label for label in labels if label.row_id not in ids]
    return UnseenLabels(
        labels=tuple(taken),
        has_held_out=len(taken) > len(strict),
        left_out=len(left_out),
        left_out_images=len({label.image_id for label in left_out}),
    )
