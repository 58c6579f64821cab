"""How good a critic is, by plain arithmetic on what it said of rows whose label is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from critics.labels import Label
from critics.trained.calibration import Calibration, calibration_error
from critics.trained.scoring import Found

THRESHOLD: Final = 0.5
"""At which precision, recall and F1 are given; another is chosen afterwards, by the corpus that is wanted."""
KEPT_SHARE: Final = 0.2
"""LSKD kept about a fifth."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the labels."""

    rows: int
    images: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a critic reaches on a part of the labels. Shares and probabilities are 0-1."""

    part: Part
    precision: float  # of those at or above 0.5, the accepted share; 0 where there are none
    recall: float
    f1: float
    average_precision: float  # by order alone; the share of accepted rows is what chance reaches
    accepted_in_best_fifth: float  # share of accepted among the fifth with the highest score
    calibration_error: float
    calibration_error_before: float  # without temperature
    qa_error: float  # root of the mean squared error of the rating, on the scale 0 to 3
    rationale_error: float
    qa_error_of_mean: float  # of always saying the mean rating
    rationale_error_of_mean: float


def part_of(labels: Sequence[Label]) -> Part:
    """The counts of a part."""
    images = {label.image_id for label in labels}
    return Part(len(labels), len(images), sum(label.accepted for label in labels))


def figures_of(found: Sequence[Found], labels: Sequence[Label], calibration: Calibration) -> Figures:
    """The figures of what was found of rows with `labels`; of each class there is one at least."""
    accepted = [label.accepted for label in labels]
    probabilities = [calibration.probability(one.accept_logit) for one in found]
    uncalibrated = Calibration(calibration.logit_offset)
    before = [uncalibrated.probability(one.accept_logit) for one in found]
    logits = [one.accept_logit for one in found]
    kept = [right for right, probability in zip(accepted, probabilities, strict=True) if probability >= THRESHOLD]
    precision = sum(kept) / len(kept) if kept else 0.0
    recall = sum(kept) / sum(accepted)
    both = precision + recall
    return Figures(
        part=part_of(labels),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / both if both else 0.0,
        average_precision=average_precision(logits, accepted),
        accepted_in_best_fifth=accepted_in_best(logits, accepted, KEPT_SHARE),
        calibration_error=calibration_error(probabilities, accepted),
        calibration_error_before=calibration_error(before, accepted),
        qa_error=_root_error([one.qa_rating for one in found], [label.target("qa") for label in labels]),
        rationale_error=_root_error(
            [one.rationale_rating for one in found], [label.target("rationale") for label in labels]
        ),
        qa_error_of_mean=_spread([label.target("qa") for label in labels]),
        rationale_error_of_mean=_spread([label.target("rationale") for label in labels]),
    )


def average_precision(scores: Sequence[float], accepted: Sequence[bool]) -> float:
    """Precision averaged over the accepted rows, best score first; rows with one score count as one step."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(list(accepted), list(scores)))


def accepted_in_best(scores: Sequence[float], accepted: Sequence[bool], share: float) -> float:
    """The accepted share, 0-1, of the `share` of rows with the highest scores, one row at least."""
    count = max(1, round(share * len(scores)))
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")[:count]
    return float(np.asarray(accepted, np.float64)[order].mean())


def _root_error(said: Sequence[float], wanted: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(said) - np.asarray(wanted)))))


def _spread(wanted: Sequence[float]) -> float:
    return float(np.std(np.asarray(wanted)))
