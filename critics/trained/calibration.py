"""From a model's logit to a probability that can be taken at its word, and how far it can.

Two steps, both on the logit of accept against reject. What was trained with classes of equal weight believes in as
many accepted as rejected: the logarithm of the weights' ratio is taken off, which is exact for the loss's own optimum.
Then a temperature (Guo et al., On Calibration of Modern Neural Networks, ICML 2017) is fitted to held-out labels; it
changes no order. Isotonic regression was given up: a few hundred labels make steps of it, and ties where the order was
known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_LOG_TEMPERATURE: Final = (math.log(0.05), math.log(20.0))
"""Bounds, for labels that are told apart without an error would have it grow or fall for ever."""
_BINS: Final = 10
_MAX_EXPONENT: Final = 60.0

Floats = npt.NDArray[np.float64]


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
    error = 0.0
    for number in range(_BINS):
        inside = bins == number
        if inside.any():
            error += inside.mean() * abs(found[inside].mean() - right[inside].mean())
    return float(error)
