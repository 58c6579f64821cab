"""Which concepts of a label are kept for an image, and, from the second round on, which of several answers is."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from builders.explanations.scoring import Array, infonce_scores, log_sums
from critics.lexicon import words_of

_words = lru_cache(maxsize=2**16)(words_of)  # of concepts, which are the same for every image


def chosen_concepts(scores: Array, cosine_sums: Array, *, threshold_std: float, min_concepts: int) -> list[int]:
    """The places of the concepts that are kept, best first (SelfSynthX as coded, step 1.2).

    Those stay whose score is more than `threshold_std` standard deviations above the mean of the label's concepts, and
    at least the best `min_concepts`, or as many as there are. The deviation is that of a sample, 0 of a single concept.
    Among equal scores, as all are where there are no negatives, the greater sum of cosines comes first.
    """
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], -cosine_sums[place], place))
    if not order:
        return []
    deviation = float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
    least = float(np.mean(scores)) + threshold_std * deviation
    passed = sum(bool(scores[place] > least) for place in order)
    return order[: max(passed, min_concepts)]


def unselected(all_concepts: Sequence[str], selected: Sequence[str]) -> list[str]:
    """The distinct concepts of a data set that are not selected for an image, in their order: its negatives.

    A concept that another label has too is none. (The published code tests the wrong variable, step 2.6, so that an
    image's own concepts are among its negatives.)
    """
    taken = {_words(concept) for concept in selected}
    found: dict[tuple[str, ...], str] = {}
    for concept in all_concepts:
        if _words(concept) not in taken:
            found.setdefault(_words(concept), concept)
    return list(found.values())


def best_answer(selected: Array, others: Array, temperature: float) -> int:
    """The place of the answer that fits an image's concepts and no others; the first of equals (SelfSynthX, step 2.6).

    `selected` are cosines of the image's concepts with its answers, `(concepts, answers)`, `others` those of the
    concepts of the data set that are not selected for it. Takes no reward model.
    """
    scores = infonce_scores(selected, log_sums(others / temperature), temperature)
    return int(np.argmax(scores))
