"""Critics on parts of the training labels, for the learning curve: one after another, each kept once it is done."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from critics.trained.inputs import Example, LabelSplits
from critics.trained.learning_curve import LearningCurve, SizedScores, learning_curve, nested_part
from ostensive.files import write_text
from ostensive.fingerprint import fingerprint
from ostensive.json_text import parse_json

_MIN_LABELS: Final = 10
"""Fewest labels of a part: with fewer a class may have one label, and a round one step."""

TrainPart = Callable[[Sequence[Example], Path, str], Sequence[float]]
"""Trains on these examples in this folder, by this fingerprint, and gives the logits of the test split's rows."""


def curve_of_parts(
    splits: LabelSplits,
    shares: Sequence[float],
    train: TrainPart,
    *,
    whole: Sequence[float],
    seed: int,
    folder: Path,
    made_from: str,
    tell: Callable[[str], None],
) -> LearningCurve | None:
    """The curve of critics on `shares` (0-1) of the training examples and of the one on all, whose logits are `whole`.

    What an earlier call finished in `folder` is only read. A part that is too small to train on, or of one class, is
    told and left out; None where fewer than two sizes are left. Raises `StorageError`.
    """
    sizes = [_sized(splits.train, whole)]
    for number, share in enumerate(sorted(shares), 1):
        part = nested_part(splits.train, share, seed=seed)
        name = f"learning curve, critic {number} of {len(shares)}, on {len(part):,} of {len(splits.train):,} labels"
        if len(part) < _MIN_LABELS or len({one.label.accepted for one in part}) == 1:
            tell(f"{name}: left out, these are too few or of one kind")
            continue
        identity = fingerprint([made_from, "learning curve", share])
        record, place = folder / f"share-{share:g}.json", folder / f"share-{share:g}"
        logits = _finished(record, identity)
        if logits is None:
            tell(name)
            logits = list(train(part, place, identity))
            write_text(record, json.dumps({"made_from": identity, "accept_logits": logits}))
        shutil.rmtree(place, ignore_errors=True)  # its weights are of no further use, and large
        sizes.append(_sized(part, logits))
    accepted = [one.label.accepted for one in splits.test]
    return learning_curve(sizes, accepted, [one.label.image_id for one in splits.test], seed=seed)


def _sized(examples: Sequence[Example], accept_logits: Sequence[float]) -> SizedScores:
    return SizedScores(len(examples), len({one.label.image_id for one in examples}), tuple(accept_logits))


def _finished(path: Path, identity: str) -> list[float] | None:
    try:
        record = parse_json(path.read_text("utf-8"), strict=False)
        logits: list[float] | None = record["accept_logits"] if record["made_from"] == identity else None
    except (OSError, ValueError, KeyError):
        return None  # not there yet
    return logits
