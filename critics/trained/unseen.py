"""Which labels a trained critic has not learned from: only by those can it be judged what its scores are worth."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from critics.labels import Label

RECORD: Final = "training.json"
IMAGES: Final = "trained_images"
"""The key in the record of the images whose triples the weights were learned from, as the beginnings of their ids."""
_ID_LENGTH: Final = 16


def images_record(image_ids: Iterable[str]) -> list[str]:
    """What is written under `IMAGES`."""
    return sorted({image_id[:_ID_LENGTH] for image_id in image_ids})


def unseen_labels(critic: Path, labels: Sequence[Label]) -> list[Label] | None:
    """Those of `labels` that are of other images than the critic in the folder `critic` learned from.

    Whole images, because triples of one image share its mistakes. None where the critic does not say what it learned
    from.
    """
    try:
        learned_from = set(json.loads((critic / RECORD).read_text("utf-8"))[IMAGES])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a critic from elsewhere
    return [label for label in labels if label.image_id[:_ID_LENGTH] not in learned_from]
