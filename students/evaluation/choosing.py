"""What follows from the scores of an item: which choice is taken, and how good that is. All of it is pure."""

from collections.abc import Sequence
from typing import Any, Final  # Any: JSON values

import numpy as np

from students.evaluation.formats import Metric
from students.evaluation.items import ChoiceItem
from students.evaluation.scoring import Scores

_TIE_BREAK_SEED: Final = 1  # of Sherlock's script for the leaderboard
_TIE_BREAK_SCALE: Final = 1e-9


def chosen(scores: Sequence[float]) -> int | None:
    """The place of the highest score; None where two share it, for that is no choice."""
    highest = max(scores)
    places = [place for place, score in enumerate(scores) if score == highest]
    return places[0] if len(places) == 1 else None


def recall(scores: Sequence[float], right: Sequence[int]) -> float:
    """The share of right choices among the highest so many (VisualCOMET, Acc@50, as its script counts it)."""
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    return len(set(order[: len(right)]) & set(right)) / len(right)


def agreement(scores: Sequence[float], ratings: Sequence[Sequence[float]]) -> float:
    """How far scores order choices as annotators do, -1 to 1, 0 at chance (Sherlock, comparison).

    Of each annotator: the share of pairs not rated alike that the scores put in the same order, less a half, twice;
    then the mean over annotators. Ties of scores are broken by noise of 1e-9 from a fixed seed, as in the script of the
    leaderboard. An annotator who rates all alike gives 0.
    """
    noise = np.random.RandomState(_TIE_BREAK_SEED).random_sample(len(scores)) * _TIE_BREAK_SCALE
    broken = np.asarray(scores, dtype=np.float64) + noise
    return float(np.mean([_pairwise(broken, np.asarray(one)) for one in ratings]))


def _pairwise(scores: Any, ratings: Any) -> float:
    first, second = np.triu_indices(len(ratings), 1)
    counted = ratings[first] != ratings[second]
    if not counted.any():
        return 0.0
    same = (ratings[first] < ratings[second]) == (scores[first] < scores[second])
    return float((same[counted].mean() - 0.5) * 2)


def choice_result(item: ChoiceItem, scores: Scores, metric: Metric) -> dict[str, Any]:
    """The result of an item as it is written."""
    question = item.question
    result: dict[str, Any] = {"id": question.item_id, "kind": question.kind, "scores": list(scores.values)}
    if item.group:
        result |= {"group": item.group, "part": item.part}
    if scores.tokens:
        result |= {"log_likelihoods": list(scores.log_likelihoods), "tokens": list(scores.tokens)}
    if metric == "agreement":
        return {
            **result,
            "answer": [list(one) for one in item.ratings],
            "agreement": agreement(scores.values, item.ratings),
        }
    if metric == "ranking":
        return {**result, "answer": list(item.right), "recall": recall(scores.values, item.right)}
    if metric == "loss":
        return result
    taken = chosen(scores.values)
    return {**result, "answer": list(item.right), "chosen": taken, "right": taken in item.right}
