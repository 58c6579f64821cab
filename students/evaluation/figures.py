"""Figures of results, each as its benchmark defines it, in a form that can be resampled and compared.

A result is a plain dictionary, as it stands in the file of results. What could not be scored is no part of a figure;
it is counted beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final  # Any: JSON values

import numpy as np

from students.evaluation.measure import Measure, average, share
from students.evaluation.resampling import Array, ratio
from students.evaluation.text_figures import reply_measures
from students.evaluation.vcr import ANSWER, RATIONALE

Result = Mapping[str, Any]
BOTH_PARTS: Final = "Q->AR"


def measures(metric: str, results: Sequence[Result]) -> list[Measure]:
    """The figures of results that are told by `metric`, one of `students.evaluation.formats.Metric`."""
    scored = [result for result in results if "lost" not in result]
    return [one for one in _MEASURES[metric](scored) if len(one.stats)]


def by_kind(results: Sequence[Result]) -> list[Measure]:
    """The share of right items of each kind, where items have one."""
    scored = [result for result in results if "right" in result and result.get("kind")]
    kinds = sorted({result["kind"] for result in scored})
    return [share(kind, ((one["id"], one["right"]) for one in scored if one["kind"] == kind)) for kind in kinds]


def chances(metric: str, results: Sequence[Result]) -> dict[str, float]:
    """What a model that chooses blindly would come to, by the name of the figure, where that is known."""
    if not results:
        return {}
    if metric == "agreement":
        return {"comparison": 0.0}
    if metric not in ("accuracy", "parts", "yes-no", "ranking"):
        return {}
    each = [len(one["answer"]) / len(one["scores"]) for one in results]
    blind = sum(each) / len(each)
    if metric == "parts":
        return {ANSWER: blind, RATIONALE: blind, BOTH_PARTS: blind**2}
    return {"Acc@50" if metric == "ranking" else "accuracy": blind}


def _accuracy(results: Sequence[Result]) -> list[Measure]:
    return [share("accuracy", ((one["id"], one["right"]) for one in results))]


def _parts(results: Sequence[Result]) -> list[Measure]:
    """VCR: each part by itself, and both, which count where both were scored."""
    right = {(one["group"], one["part"]): bool(one["right"]) for one in results}
    parts = [
        share(part, ((group, is_right) for (group, of), is_right in right.items() if of == part))
        for part in (ANSWER, RATIONALE)
    ]
    groups = [group for group, part in right if part == ANSWER and (group, RATIONALE) in right]
    both = ((group, right[group, ANSWER] and right[group, RATIONALE]) for group in groups)
    return [*parts, share(BOTH_PARTS, both)]


def _yes_no(results: Sequence[Result]) -> list[Measure]:
    """Accuracy, how often yes is chosen, and F1 of yes."""
    ids = tuple(one["id"] for one in results)
    counts = [
        (float(said and is_yes), float(said), float(is_yes))
        for one in results
        for said, is_yes in [(one["chosen"] == 0, one["answer"] == [0])]
    ]
    stats = np.array(counts).reshape(-1, 3)
    said_yes = share("said yes", ((one["id"], one["chosen"] == 0) for one in results))
    return [*_accuracy(results), said_yes, Measure("F1 of yes", ids, stats, _f1)]


def _f1(sums: Array) -> Array:
    """Of true positives, said yes, is yes: 2 tp / (said + is)."""
    return ratio(np.stack([2 * sums[:, 0], sums[:, 1] + sums[:, 2]], axis=1))


def _agreement(results: Sequence[Result]) -> list[Measure]:
    return [average("comparison", ((one["id"], 100 * one["agreement"]) for one in results))]


def _ranking(results: Sequence[Result]) -> list[Measure]:
    return [average("Acc@50", ((one["id"], one["recall"]) for one in results))]


def _loss(results: Sequence[Result]) -> list[Measure]:
    """The mean over all tokens, as trainers give it."""
    stats = np.array([(-sum(one["log_likelihoods"]), float(sum(one["tokens"]))) for one in results]).reshape(-1, 2)
    return [Measure("loss", tuple(one["id"] for one in results), stats, ratio)]


_MEASURES: Final[Mapping[str, Callable[[Sequence[Result]], list[Measure]]]] = {
    "accuracy": _accuracy,
    "parts": _parts,
    "yes-no": _yes_no,
    "agreement": _agreement,
    "ranking": _ranking,
    "replies": reply_measures,
    "loss": _loss,
}
