"""What more labels would bring, from critics that were trained on parts of the labels that there are. Pure.

The error of a learner falls with what it learns from about as a power law, error = a * labels ** -b (Hestness et al.,
Deep Learning Scaling is Predictable, Empirically, 2017, arXiv:1712.00409; Viering and Loog, The Shape of Learning
Curves: a Review, 2022, arXiv:2103.10948). The law is fitted to the errors at three sizes or so, by least squares of
logarithms, and read at twice and four times the largest. It has no offset, for three points cannot tell one: where
labels themselves err, so that no critic is ever right about all, it promises too much.

Intervals are of samples of the test images, the same ones at every size. They do not hold how much another seed of the
training would change; small test splits make them wide all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from critics.trained.inputs import Example
from critics.trained.resampling import (
    Measure,
    Samples,
    accepted_in_bests,
    average_precisions,
    image_samples,
    interval_of,
    measured,
)
from critics.trained.scoring import KEPT_SHARE
from ostensive.fingerprint import fingerprint
from ostensive.intervals import Interval

TIMES: Final = (2, 4)
"""How many times the labels are extrapolated to."""
MAX_WIDTH: Final = 0.2
"""Widest interval of a gain, as a share, that still says something: 20 points."""
MIN_IMAGES: Final = 20
"""Fewest test images of whose samples an interval is believed: of three, all samples may well be alike."""
BEST_FIFTH, AVERAGE_PRECISION = "accepted in the best fifth", "average precision"


@dataclass(frozen=True, slots=True)
class SizedScores:
    """A critic that was trained on so many labels, and its logits of the rows of the test split, in their order."""

    labels: int
    images: int
    accept_logits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reached:
    """What a critic on so many labels reached, 0-1."""

    labels: int
    images: int
    value: float
    value_95: Interval


@dataclass(frozen=True, slots=True)
class Promise:
    """What `times` the labels would bring by the law, as a share: 0.04 is four points."""

    times: int
    gain: float
    gain_95: Interval

    @property
    def is_told(self) -> bool:
        """Whether the interval is narrow enough for the gain to say something."""
        return self.gain_95.high - self.gain_95.low <= MAX_WIDTH


@dataclass(frozen=True, slots=True)
class MeasureCurve:
    """One measure over the number of labels, fewest first."""

    measure: str
    reached: tuple[Reached, ...]
    exponent: float  # b of the law; errors fall where it is positive
    promises: tuple[Promise, ...]


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Critics on parts of the training labels, measured on the labels of the test split."""

    rows: int
    images: int
    measures: tuple[MeasureCurve, ...]


def nested_part(examples: Sequence[Example], share: float, *, seed: int) -> tuple[Example, ...]:
    """About `share` (0-1) of the examples by whole images, in their order; smaller shares are parts of larger ones."""
    images = sorted(
        {one.image.image_id for one in examples}, key=lambda image_id: fingerprint([seed, "learning curve", image_id])
    )
    counts = dict.fromkeys(images, 0)
    for one in examples:
        counts[one.image.image_id] += 1
    taken, rows = set[str](), 0
    for image_id in images:
        if rows >= share * len(examples):
            break
        taken.add(image_id)
        rows += counts[image_id]
    return tuple(one for one in examples if one.image.image_id in taken)


def learning_curve(
    sizes: Sequence[SizedScores], accepted: Sequence[bool], image_ids: Sequence[str], *, seed: int
) -> LearningCurve | None:
    """The curve of critics that were measured on the same rows; None where there are fewer than two sizes.

    `accepted` and `image_ids` are of those rows, of which some are accepted.
    """
    ordered = sorted(sizes, key=lambda one: one.labels)
    if len({one.labels for one in ordered}) < 2:
        return None
    samples = image_samples(image_ids, seed=seed)
    # The error of a critic that is right about all that was counted is taken for half a row's.
    fifth = max(1, round(KEPT_SHARE * len(accepted)))
    by_name: Mapping[str, tuple[list[Measure], int]] = {
        BEST_FIFTH: ([accepted_in_bests(one.accept_logits, accepted, KEPT_SHARE) for one in ordered], fifth),
        AVERAGE_PRECISION: ([average_precisions(one.accept_logits, accepted) for one in ordered], len(accepted)),
    }
    curves = [
        _measure_curve(name, ordered, measures, samples=samples, least_error=0.5 / rows)
        for name, (measures, rows) in by_name.items()
    ]
    return LearningCurve(len(accepted), len(set(image_ids)), tuple(curves))


def _measure_curve(
    name: str,
    sizes: Sequence[SizedScores],
    measures: Sequence[Measure],
    *,
    samples: "np.ndarray[tuple[int, int], np.dtype[np.int64]]",
    least_error: float,
) -> MeasureCurve:
    whole = np.ones((1, samples.shape[1]), np.int64)
    values = np.array([float(measure(whole)[0]) for measure in measures])
    sampled = np.stack([measured(measure, samples) for measure in measures], axis=1)  # (samples, sizes)
    labels = np.array([one.labels for one in sizes], np.float64)
    law, laws = (fit(labels, np.maximum(1 - found, least_error)) for found in (values[None], sampled))
    promises = []
    for times in TIMES:
        gain = float(law.gain(labels[-1], times)[0])
        promises.append(Promise(times, gain, interval_of(laws.gain(labels[-1], times), gain)))
    reached = [
        Reached(one.labels, one.images, float(value), interval_of(sampled[:, number], float(value)))
        for number, (one, value) in enumerate(zip(sizes, values, strict=True))
    ]
    return MeasureCurve(name, tuple(reached), float(law.exponent[0]), tuple(promises))


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """error = exp(log_factor) * labels ** -exponent; one law or many, each `(laws,)` float64."""

    log_factor: Samples
    exponent: Samples

    def error(self, labels: float) -> Samples:
        """The error at so many labels, at most 1."""
        return np.asarray(np.minimum(1.0, np.exp(self.log_factor - self.exponent * np.log(labels))), np.float64)

    def gain(self, labels: float, times: int) -> Samples:
        """By how much the error falls from so many labels to `times` as many."""
        return self.error(labels) - self.error(labels * times)


def fit(labels: Samples, errors: Samples) -> PowerLaw:
    """The laws by least squares of logarithms of `(laws, sizes)` errors, which are above 0, at `(sizes,)` labels."""
    logs = np.log(labels)
    off = logs - logs.mean()
    log_errors = np.log(errors)
    slope = (log_errors * off).sum(axis=1) / (off**2).sum()
    return PowerLaw(log_errors.mean(axis=1) - slope * logs.mean(), -slope)


def curve_lines(curve: LearningCurve) -> Iterator[str]:
    """What was reached with how many labels and what more would bring, a line a measure."""
    for one in curve.measures:
        reached = ", ".join(f"{point.labels:,} labels: {point.value:.1%}" for point in one.reached)
        yield f"{one.measure}, {reached}; {_promise_words(one.promises, curve.images)}"


def _promise_words(promises: Sequence[Promise], images: int) -> str:
    told = [one for one in promises if one.is_told and images >= MIN_IMAGES]
    if not told:
        first = promises[0]
        return (
            "what more would bring cannot be told from so few (twice as many, 95 %:"
            f" {_points(first.gain_95.low)} to {_points(first.gain_95.high)} points)"
        )
    names = {2: "twice", 4: "four times"}
    words = [
        f"{names[one.times]} as many would bring about {_points(one.gain)} points (95 %: {_points(one.gain_95.low)} to"
        f" {_points(one.gain_95.high)})"
        for one in told
    ]
    return ", ".join(words)


def _points(share: float) -> str:
    return f"{100 * share:+.0f}"
