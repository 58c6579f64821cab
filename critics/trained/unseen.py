"""Which labels a trained critic has not learned from: only by those can it be judged what its scores are worth."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from critics.labels import Label
from critics.trained.examples import read_examples, split
from critics.trained.settings import TrainSettings
from ostensive.errors import OstensiveError
from ostensive.fingerprint import fingerprint
from ostensive.runfolder import RunFolder

RECORD: Final = "training.json"


def unseen_labels(critic: Path, run: RunFolder, labels: Sequence[Label]) -> list[Label] | None:
    """Those of `labels` that were held out or tested on when the critic in the folder `critic` was trained.

    The parts are drawn again as they were then; None where that cannot be done, because the labels or the candidates
    are no longer those of the training.
    """
    try:
        record = json.loads((critic / RECORD).read_text("utf-8"))
        settings = TrainSettings.model_validate(record["settings"])
        labels_hash = record["figures"]["labels_hash"]
        examples = read_examples(run, labels)
        if fingerprint([asdict(example.label) for example in examples]) != labels_hash:
            return None
        parts = split(
            examples, held_out_share=settings.held_out_share, test_share=settings.test_share, seed=settings.seed
        )
    except (OSError, ValueError, KeyError, TypeError, OstensiveError):
        return None  # a critic from elsewhere, or labels that cannot have been those
    return [example.label for example in (*parts.held_out, *parts.test)]
