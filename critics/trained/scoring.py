"""Many rows through a critic's model, from its logits to probabilities, and how far these can be taken at their word.

Rows are taken by windows of some images. Within a window they are sorted by length, so that little is padded; beyond
it they are not, so that the pictures of a window are all that has to be kept. What is found of a row does not depend on
its neighbours: padding is masked, and what remains is rounding in the last bits.

Calibration is two steps on the logit of accept against reject. What was trained with classes of equal weight believes
in as many accepted as rejected: the logarithm of the weights' ratio is taken off, which is exact for the loss's own
optimum. Then a temperature (Guo et al., On Calibration of Modern Neural Networks, ICML 2017) is fitted to held-out
labels; it changes no order. Isotonic regression makes steps of a few hundred labels, and ties of what was in order.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: what a backbone prepares is its own

import numpy as np

from critics.labels import Label
from critics.trained.inputs import CriticInput, Pictures
from critics.trained.model import CriticModel
from critics.trained.resampling import (
    accepted_in_bests,
    accepted_shares,
    average_precisions,
    image_samples,
    interval_of,
    measured,
    of_kept,
)
from ostensive.errors import OstensiveError
from ostensive.images.refusals import ImageChangedError, ImageRefusedError
from ostensive.intervals import Interval
from ostensive.models.batching import BatchSize, Steps, in_batches
from ostensive.models.devices import is_out_of_memory

_IMAGES_IN_WINDOW: Final = 64
_ROOM_TOKENS: Final = 64
_LOG_TEMPERATURE: Final = (math.log(0.05), math.log(20.0))
"""Bounds, for labels that are told apart without an error would have it grow or fall for ever."""
_BINS: Final = 10
_MAX_EXPONENT: Final = 60.0
THRESHOLD: Final = 0.5
"""At which precision, recall and F1 are given; another is chosen afterwards, by the corpus that is wanted."""
KEPT_SHARE: Final = 0.2
"""LSKD kept about a fifth."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a critic's model finds of a row."""

    accept_logit: float  # of class 1 less that of class 0, before any calibration
    ratings: Sequence[float]  # of each criterion, on the scale of the labels, 0 to 3; a regression may leave it


@dataclass(frozen=True, slots=True)
class TooLong:
    """A row whose text the model cannot take."""

    tokens: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Unseen:
    """A row whose image cannot be read any more."""

    detail: str


class CriticFailedError(OstensiveError):
    """The model of a critic cannot score a row, whatever the row: the run stops instead of losing every row to it."""


class Scorer:
    """Asks a critic's model about rows. `size` shrinks when memory runs out, and stays so."""

    def __init__(self, model: CriticModel, pictures: Pictures, size: BatchSize) -> None:
        self._model = model
        self._pictures = pictures
        self._size = size

    def predict(
        self, rows: Sequence[CriticInput], tell: Callable[[int], None] = lambda _done: None
    ) -> list[Prediction | TooLong | Unseen]:
        """What is found of each row, in order; `tell` is told how many are done now and then.

        Raises `CriticFailedError` when the model fails with a single row.
        """
        found: dict[int, Prediction | TooLong | Unseen] = {}
        for window in _windows(rows):
            fitting = []
            for place in window:
                over = self._kept_from_model(rows[place])
                if over is None:
                    fitting.append(place)
                else:
                    found[place] = over
            fitting.sort(key=lambda place: (len(rows[place].text), place))
            self._predict_window(rows, fitting, found)
            tell(len(found))
        return [found[place] for place in range(len(rows))]

    def _kept_from_model(self, row: CriticInput) -> TooLong | Unseen | None:
        try:
            return self.too_long(row)
        except (ImageChangedError, ImageRefusedError) as error:
            return Unseen(str(error))

    def _predict_window(
        self, rows: Sequence[CriticInput], places: Sequence[int], found: dict[int, Prediction | TooLong | Unseen]
    ) -> None:
        def prepare(batch: Sequence[int]) -> Any:
            pictures = [self._pictures.drawn(rows[place]) for place in batch]
            return self._model.prepare(pictures, [rows[place] for place in batch])

        for done in in_batches([places], self._size, Steps(prepare, self._work)):
            if isinstance(done.error, ImageChangedError | ImageRefusedError):
                found[done.rows[0]] = Unseen(str(done.error))
                continue
            if done.error is not None:
                raise _failure(rows[done.rows[0]], done.error) from done.error
            assert done.result is not None, "a batch has results or an error"
            found.update(zip(done.rows, done.result, strict=True))

    def too_long(self, row: CriticInput) -> TooLong | None:
        """How far the text of `row` is over what the model takes; None if it is not."""
        backbone = self._model.backbone
        most = backbone.max_tokens
        # A token is a byte at least, so that most texts need not be counted. The margin is for the image's tokens and
        # the template's; a model that limits its texts so closely is counted for.
        if most is None or len(row.text.encode()) + _ROOM_TOKENS <= most:
            return None
        tokens = backbone.token_count(row.text, self._pictures.drawn(row))
        return TooLong(tokens, most) if tokens > most else None

    def _work(self, inputs: Any) -> list[Prediction]:
        import torch

        with torch.inference_mode():
            outputs = self._model.forward(inputs)
            logits = (outputs.accept_logits[:, 1] - outputs.accept_logits[:, 0]).tolist()
            ratings = [one.tolist() for one in outputs.ratings]
        return [Prediction(logit, row) for logit, *row in zip(logits, *ratings, strict=True)]


def _windows(rows: Sequence[CriticInput]) -> Iterator[list[int]]:
    """The places of `rows`, those of some images at a time, each image's together."""
    by_image: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        by_image.setdefault(row.image.image_id, []).append(place)
    groups = list(by_image.values())
    for start in range(0, len(groups), _IMAGES_IN_WINDOW):
        yield [place for group in groups[start : start + _IMAGES_IN_WINDOW] for place in group]


def _failure(row: CriticInput, error: Exception) -> OstensiveError:
    if isinstance(error, OstensiveError):
        return error
    if is_out_of_memory(error):
        return CriticFailedError(
            f"row {row.row_id}: out of memory with one row at a time; set precision=bfloat16 or another device, or use"
            " a smaller critic"
        )
    message = " ".join(str(error).split())[:300]
    return CriticFailedError(
        f"row {row.row_id} of {row.image.source}: the critic's model fails: {type(error).__name__}: {message}; score"
        " without this image, or with another critic"
    )


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits become probabilities."""

    logit_offset: float = 0.0  # taken off the logit
    temperature: float = 1.0  # what is left is divided by it

    def probability(self, accept_logit: float) -> float:
        """The probability, 0-1, that a row with this logit is acceptable."""
        scaled = (accept_logit - self.logit_offset) / self.temperature
        return 1 / (1 + math.exp(-max(-_MAX_EXPONENT, min(_MAX_EXPONENT, scaled))))


def fit_temperature(accept_logits: Sequence[float], accepted: Sequence[bool], logit_offset: float = 0.0) -> Calibration:
    """The calibration with the least cross-entropy on held-out rows, of which there is at least one."""
    from scipy.optimize import minimize_scalar

    def entropy(log_temperature: float) -> float:
        return cross_entropy(accept_logits, accepted, Calibration(logit_offset, math.exp(log_temperature)))

    best = minimize_scalar(entropy, bounds=_LOG_TEMPERATURE, method="bounded", options={"xatol": 1e-6})
    return Calibration(logit_offset, math.exp(float(best.x)))


def cross_entropy(accept_logits: Sequence[float], accepted: Sequence[bool], calibration: Calibration) -> float:
    """The mean cross-entropy, in nats, of calibrated probabilities: small where they are right and sure of it."""
    scaled = (np.asarray(accept_logits, np.float64) - calibration.logit_offset) / calibration.temperature
    return float(np.logaddexp(0.0, np.where(np.asarray(accepted), -scaled, scaled)).mean())


def calibration_error(probabilities: Sequence[float], accepted: Sequence[bool]) -> float:
    """The expected calibration error, 0-1: over ten bins of equal width, how far shares are from mean probabilities."""
    found, right = np.asarray(probabilities, np.float64), np.asarray(accepted, np.float64)
    bins = np.minimum((found * _BINS).astype(int), _BINS - 1)
    insides = [bins == number for number in np.unique(bins)]
    return float(sum(inside.mean() * abs(found[inside].mean() - right[inside].mean()) for inside in insides))


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """How much is in a split of the labels."""

    rows: int
    images: int
    accepted: int


@dataclass(frozen=True, slots=True)
class RatingError:
    """The root of the mean squared error of the rating of a criterion, on the scale 0 to 3."""

    criterion: str
    error: float
    error_of_mean: float  # of always giving the mean rating


@dataclass(frozen=True, slots=True)
class FigureIntervals:
    """The 95 % intervals of figures, of 1,000 samples of the split's images."""

    accepted: Interval  # the share of all rows
    precision: Interval
    recall: Interval
    f1: Interval
    average_precision: Interval
    accepted_in_best_fifth: Interval


@dataclass(frozen=True, slots=True)
class Figures:
    """What a critic reaches on a split of the labels. Shares and probabilities are 0-1."""

    counts: SplitCounts
    precision: float  # of those at or above 0.5, the accepted share; 0 where there are none
    recall: float
    f1: float
    average_precision: float  # by order alone; the share of accepted rows is what chance reaches
    accepted_in_best_fifth: float  # share of accepted among the fifth with the highest score
    calibration_error: float
    calibration_error_before: float  # without temperature
    ratings: tuple[RatingError, ...]
    intervals: FigureIntervals


def counts_of(labels: Sequence[Label]) -> SplitCounts:
    """The counts of a split."""
    images = {label.image_id for label in labels}
    return SplitCounts(len(labels), len(images), sum(label.accepted for label in labels))


def figures_of(
    found: Sequence[Prediction], labels: Sequence[Label], calibration: Calibration, rated: Sequence[str]
) -> Figures:
    """The figures of what was found of rows with `labels`; of each class there is one at least.

    `rated` are the criteria that the ratings are of.
    """
    from sklearn.metrics import precision_recall_fscore_support

    accepted = [label.accepted for label in labels]
    logits = [one.accept_logit for one in found]
    probabilities = [calibration.probability(logit) for logit in logits]
    before = [Calibration(calibration.logit_offset).probability(logit) for logit in logits]
    kept = [probability >= THRESHOLD for probability in probabilities]
    precision, recall, f1, _ = precision_recall_fscore_support(accepted, kept, average="binary", zero_division=0)
    ratings = []
    for place, criterion in enumerate(rated):
        wanted = np.asarray([label.target(criterion) for label in labels])
        off = np.asarray([one.ratings[place] for one in found]) - wanted
        ratings.append(RatingError(criterion, float(np.sqrt(np.mean(off**2))), float(np.std(wanted))))
    return Figures(
        counts=counts_of(labels),
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
        average_precision=average_precision(logits, accepted),
        accepted_in_best_fifth=accepted_in_best(logits, accepted, KEPT_SHARE),
        calibration_error=calibration_error(probabilities, accepted),
        calibration_error_before=calibration_error(before, accepted),
        ratings=tuple(ratings),
        intervals=_intervals(logits, kept, labels),
    )


def _intervals(logits: Sequence[float], kept: Sequence[bool], labels: Sequence[Label]) -> FigureIntervals:
    accepted = [label.accepted for label in labels]
    samples = image_samples([label.image_id for label in labels])
    measures = (
        accepted_shares(accepted),
        *of_kept(kept, accepted),
        average_precisions(logits, accepted),
        accepted_in_bests(logits, accepted, KEPT_SHARE),
    )
    return FigureIntervals(*(interval_of(measured(one, samples), 0.0) for one in measures))


def average_precision(scores: Sequence[float], accepted: Sequence[bool]) -> float:
    """Precision averaged over the accepted rows, best score first; rows with one score count as one step."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(list(accepted), list(scores)))


def accepted_in_best(scores: Sequence[float], accepted: Sequence[bool], share: float) -> float:
    """The accepted share, 0-1, of the `share` of rows with the highest scores, one row at least."""
    count = max(1, round(share * len(scores)))
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")[:count]
    return float(np.asarray(accepted, np.float64)[order].mean())
