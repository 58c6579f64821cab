"""Measures of a critic on samples of the images of a split, for intervals: a bootstrap over images.

Rows of one image share its mistakes, so that whole images are drawn. A sample is a row of weights: how often each row
of the split is in it. Weights are `(samples, rows)` int64, what comes out is `(samples,)` float64. Pure.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ostensive.intervals import LEVELS, RESAMPLES, Interval

Weights = npt.NDArray[np.int64]
Samples = npt.NDArray[np.float64]
Measure = Callable[[Weights], Samples]
_AT_ONCE = 100  # samples measured at a time


def image_samples(image_ids: Sequence[str], *, seed: int = 0, resamples: int = RESAMPLES) -> Weights:
    """Samples of rows of these images, as many images in each as there are; the order of the rows changes none."""
    images = sorted(set(image_ids))
    place = {image_id: number for number, image_id in enumerate(images)}
    drawn = np.random.default_rng(seed).multinomial(len(images), np.full(len(images), 1 / len(images)), resamples)
    return drawn[:, [place[image_id] for image_id in image_ids]]


def measured(measure: Measure, weights: Weights) -> Samples:
    """The measure of every sample, some samples at a time."""
    parts = [measure(weights[start : start + _AT_ONCE]) for start in range(0, len(weights), _AT_ONCE)]
    return np.concatenate(parts)


def interval_of(samples: Samples, value: float) -> Interval:
    """The 95 % interval of a measure whose value is `value`; samples of which it is not defined (NaN) are left out."""
    known = samples[~np.isnan(samples)]
    low, high = np.percentile(known, LEVELS) if len(known) else (value, value)
    return Interval(float(low), float(high))


def accepted_shares(accepted: Sequence[bool]) -> Measure:
    """The accepted share of all rows."""
    right = np.asarray(accepted, np.float64)
    return lambda weights: (weights @ right) / weights.sum(axis=1)


def accepted_in_bests(scores: Sequence[float], accepted: Sequence[bool], share: float) -> Measure:
    """The accepted share of the `share` of rows with the highest scores, one row at least."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    right = np.asarray(accepted, np.float64)[order]

    def measure(weights: Weights) -> Samples:
        ordered = weights[:, order]
        count = np.maximum(1, np.round(share * ordered.sum(axis=1)))
        before = np.cumsum(ordered, axis=1) - ordered
        taken = np.clip(count[:, None] - before, 0, ordered)
        return np.asarray((taken @ right) / count, np.float64)

    return measure


def average_precisions(scores: Sequence[float], accepted: Sequence[bool]) -> Measure:
    """Precision averaged over the accepted rows, best score first; rows with one score count as one step."""
    values = np.asarray(scores, np.float64)
    order = np.argsort(-values, kind="stable")
    right = np.asarray(accepted, np.float64)[order]
    ends = np.append(np.nonzero(np.diff(values[order]))[0], len(values) - 1)

    def measure(weights: Weights) -> Samples:
        ordered = weights[:, order]
        kept = np.cumsum(ordered, axis=1)[:, ends]
        found = np.cumsum(ordered * right, axis=1)[:, ends]
        steps = np.diff(found, axis=1, prepend=0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(kept > 0, found / kept, 0.0)
            return np.asarray((precision * steps).sum(axis=1) / found[:, -1], np.float64)

    return measure


def of_kept(kept: Sequence[bool], accepted: Sequence[bool]) -> tuple[Measure, Measure, Measure]:
    """Precision, recall and F1 of the kept rows; precision is 0 where none is kept."""
    chosen, right = np.asarray(kept, np.float64), np.asarray(accepted, np.float64)

    def counts(weights: Weights) -> Iterator[Samples]:
        yield weights @ (chosen * right)
        yield weights @ chosen
        yield weights @ right

    def precision(weights: Weights) -> Samples:
        both, all_kept, _ = counts(weights)
        return np.asarray(both / np.maximum(all_kept, 1), np.float64)

    def recall(weights: Weights) -> Samples:
        both, _, all_right = counts(weights)
        with np.errstate(invalid="ignore"):
            return np.asarray(both / all_right, np.float64)

    def f1(weights: Weights) -> Samples:
        both, all_kept, all_right = counts(weights)
        with np.errstate(invalid="ignore"):
            return np.asarray(2 * both / (all_kept + all_right), np.float64)

    return precision, recall, f1
