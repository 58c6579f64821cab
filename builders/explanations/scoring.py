"""How well a text fits one thing and nothing else: the InfoNCE score of SelfSynthX, in the logarithm.

A concept is scored against the descriptions of its image, with those of all other images as negatives. The sum over
the negatives of a concept is kept as a logarithm for each image, and the sums over all others but one are put together
from the left and from the right. Taking an image's own part from the sum of all cancels at a temperature of 0.01, where
the parts lie many powers of ten apart; joining all negatives for each image anew, as the published code does, takes
time and memory by the square of their number.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

COSINE_DECIMALS = 6
"""To which cosines are rounded: the batch in which a text is embedded moves them by about 1e-7."""


def cosines(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> Array:
    """Cosines of unit vectors, `(len(left), len(right))`, rounded."""
    found = left.astype(np.float64) @ right.astype(np.float64).T
    return np.asarray(np.round(found, COSINE_DECIMALS), dtype=np.float64)


def log_sums(logits: Array, axis: int = 0) -> Array:
    """The logarithm of the sum of the exponentials of `logits` along an axis; -inf for the sum of nothing."""
    if logits.shape[axis] == 0:
        return np.full(np.delete(logits.shape, axis), -np.inf)
    greatest = logits.max(axis=axis, keepdims=True)
    greatest[np.isneginf(greatest)] = 0.0
    with np.errstate(divide="ignore"):  # the logarithm of a sum of zeros is -inf, as it should be
        sums = np.log(np.exp(logits - greatest).sum(axis=axis, keepdims=True)) + greatest
    return np.asarray(np.squeeze(sums, axis=axis), dtype=np.float64)


def log_sums_of_others(parts: Array) -> Array:
    """For each row of `parts`, `(rows, columns)`, the `log_sums` over all rows but itself; -inf for a row alone."""
    nothing = np.full((1, parts.shape[1]), -np.inf)
    before = np.concatenate([nothing, np.logaddexp.accumulate(parts, axis=0)])[: len(parts)]
    after = np.concatenate([nothing, np.logaddexp.accumulate(parts[::-1], axis=0)])[: len(parts)][::-1]
    return np.asarray(np.logaddexp(before, after), dtype=np.float64)


def infonce_scores(positives: Array, log_negatives: Array, temperature: float) -> Array:
    """The score of each column of `positives`, 0 at most; SelfSynthX as coded, step 1.2:

    `score(b) = sum over a of log(exp(s(a,b)/t) / (exp(s(a,b)/t) + sum over c of exp(s(b,c)/t)))`. `positives` are the
    cosines `s(a,b)`, `(texts, scored)`; `log_negatives` the logarithms of the sums over c, `(scored,)`.
    """
    logits = positives / temperature
    return np.asarray((logits - np.logaddexp(logits, log_negatives[np.newaxis, :])).sum(axis=0), dtype=np.float64)
