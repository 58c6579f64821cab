"""Choosing a threshold: what each one would keep, and how good that is, with intervals. Pure.

A critic's scores beside people's labels give precision (the share of what is kept that people accept), recall, F1 and
the kept share at every threshold. Intervals come from a bootstrap over images, not rows: candidates of one image share
its mistakes, and intervals over rows, or by a formula for the interval of a share, would be too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ostensive.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MIN_LABELS = 20
"""With fewer, precision is not known to within 20 points."""
MIN_KEPT = 10
"""Fewest labelled rows that a threshold has to keep for its precision to be believed when it is searched for."""
RESAMPLES = 1000
_LEVELS = (2.5, 97.5)  # percent: intervals of 95 %


@dataclass(frozen=True, slots=True)
class LabelledScore:
    """What a critic and what people said of one candidate."""

    accept_probability: float
    accepted: bool
    image_id: str


@dataclass(frozen=True, slots=True)
class Share:
    """A share, 0-1, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Point:
    """What the threshold `min_accept_probability` does to the labelled rows."""

    min_accept_probability: float
    kept: int
    kept_share: Share
    precision: Share
    recall: Share
    f1: Share


@dataclass(frozen=True, slots=True)
class Curve:
    """Every threshold that makes a difference, strictest last."""

    points: tuple[Point, ...]
    rows: int
    images: int
    accepted_share: Share  # of all labelled rows: what filtering at random would keep

    def at(self, min_accept_probability: float) -> Point | None:
        """The point of the least score from this threshold on; None where it keeps no labelled row."""
        return next((point for point in self.points if point.min_accept_probability >= min_accept_probability), None)


def check_labels(accepted: Sequence[bool], origin: str) -> None:
    """Raises `SettingsError` where labels are too few or all alike."""
    if len(accepted) < MIN_LABELS:
        raise SettingsError(
            f"{origin}: {len(accepted)} labels of this run's candidates; at least {MIN_LABELS} are needed to say what a"
            " threshold does: label more with `ostensive annotate RUN`"
        )
    if len(set(accepted)) == 1:
        what = "accepted" if accepted[0] else "rejected"
        raise SettingsError(
            f"{origin}: all {len(accepted)} labels are {what}, so no threshold can be told from another: label more"
            " with `ostensive annotate RUN`"
        )


def curve_of(rows: Sequence[LabelledScore], *, seed: int, resamples: int = RESAMPLES) -> Curve:
    """The curve of labelled scores, of which there are some accepted; the same rows in any order give the same one."""
    import numpy as np

    ordered = sorted(rows, key=lambda row: (-row.accept_probability, row.image_id, row.accepted))
    scores = np.array([row.accept_probability for row in ordered])
    accepted = np.array([row.accepted for row in ordered], dtype=float)
    images = sorted({row.image_id for row in ordered})
    place = {image_id: number for number, image_id in enumerate(images)}
    image_of = np.array([place[row.image_id] for row in ordered])
    ends = np.append(np.nonzero(np.diff(scores))[0], len(scores) - 1)  # last row of each distinct score

    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), size=resamples)
    found = _measures(np.ones((1, len(ordered))), accepted, ends)
    samples = _measures(drawn[:, image_of].astype(float), accepted, ends)
    kept = np.cumsum(np.ones(len(ordered), dtype=int))[ends]
    points = [
        Point(float(scores[end]), int(kept[number]), *(_share(found[name], samples[name], number) for name in _NAMES))
        for number, end in enumerate(ends)
    ]
    everything = len(ends) - 1  # the threshold that keeps all: its precision is the share of the accepted
    return Curve(
        points=tuple(reversed(points)),
        rows=len(ordered),
        images=len(images),
        accepted_share=_share(found["precision"], samples["precision"], everything),
    )


_NAMES = ("kept_share", "precision", "recall", "f1")


def _measures(
    weights: "npt.NDArray[np.float64]", accepted: "npt.NDArray[np.float64]", ends: "npt.NDArray[np.int64]"
) -> "dict[str, npt.NDArray[np.float64]]":
    """Each measure as `(resamples, thresholds)` float64, of `(resamples, rows)` weights; NaN where it is of nothing."""
    import numpy as np

    kept = np.cumsum(weights, axis=1)
    right = np.cumsum(weights * accepted, axis=1)
    all_kept, all_right = kept[:, -1:], right[:, -1:]
    kept, right = kept[:, ends], right[:, ends]
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "kept_share": kept / all_kept,
            "precision": right / kept,
            "recall": right / all_right,
            "f1": 2 * right / (kept + all_right),
        }


def _share(found: "npt.NDArray[np.float64]", samples: "npt.NDArray[np.float64]", number: int) -> Share:
    import numpy as np

    value = float(found[0, number])
    known = samples[:, number][~np.isnan(samples[:, number])]
    low, high = np.percentile(known, _LEVELS) if len(known) else (value, value)
    return Share(value, float(low), float(high))


def threshold_to_keep(scores: "Sequence[float] | npt.NDArray[np.float64]", share: float) -> float:
    """The threshold that keeps as near to `share` (0-1) of the scores as their ties allow; the stricter of two alike.

    `scores` are those of all candidates, not of the labelled alone.
    """
    import numpy as np

    values, counts = np.unique(np.asarray(scores), return_counts=True)
    kept = np.cumsum(counts[::-1])[::-1] / len(scores)  # share kept from each distinct score on
    best = len(values) - 1 - int(np.argmin(np.abs(kept - share)[::-1]))
    return float(values[best])


def threshold_for_precision(curve: Curve, precision: float) -> float:
    """The threshold that keeps most among those that reach `precision` on at least `MIN_KEPT` labelled rows.

    Raises `SettingsError` where none does.
    """
    believed = [point for point in curve.points if point.kept >= MIN_KEPT]
    for point in believed:
        if point.precision.value >= precision:
            return point.min_accept_probability
    best = max(believed, key=lambda point: (point.precision.value, point.kept))
    raise SettingsError(
        f"--precision {precision:g}: no threshold reaches it on {MIN_KEPT} labelled rows or more; the best is"
        f" {best.precision.value:.3f} at {best.min_accept_probability:.4g}, which keeps {best.kept_share.value:.1%}."
        " Ask for less, or train the critic on more labels"
    )


def kept_share(scores: Sequence[float], min_accept_probability: float) -> float:
    """Share of the scores, 0-1, from the threshold on."""
    return sum(score >= min_accept_probability for score in scores) / len(scores)
