"""How far annotators agree beyond chance: Cohen's kappa for each two of them, Krippendorff's alpha for all.

Kappa (Cohen 1960, "A coefficient of agreement for nominal scales") looks at two people and what both judged. Alpha
(Krippendorff 2011, "Computing Krippendorff's alpha-reliability", sections C and D) takes any number of people and any
holes, which is what an assignment of two annotators an item out of many leaves; of an ordered question it is given with
the ordinal metric too, for which reject against accept is worse than reject against maybe. Alpha is written out here:
no library that the project has knows it, and its published worked examples are the tests.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

from critics.annotation.tasks import Task

Ratings = Mapping[str, Mapping[str, str]]
"""One question: the value that each annotator gave, by item and annotator."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two annotators on the items that both judged. `kappa` is None where chance alone would agree wholly."""

    first: str
    second: str
    items: int
    same_share: float  # of the items, 0-1
    kappa: float | None


@dataclass(frozen=True, slots=True)
class QuestionAgreement:
    """All annotators on one question. The alphas are None where no two judged an item, or all gave one value."""

    question: str
    items: int  # that two or more annotators judged
    same_share: float | None  # of those, where all of an item's annotators said the same; None without items
    alpha_nominal: float | None
    alpha_ordinal: float | None  # None too where the question has no order
    pairs: tuple[PairAgreement, ...]


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two people's values for the same things; 1 is full agreement, 0 is chance, None is undefined."""
    from sklearn.metrics import cohen_kappa_score

    if len({value for pair in pairs for value in pair}) < 2:
        return None  # nothing is there, or chance alone agrees wholly
    return float(cohen_kappa_score(*zip(*pairs, strict=True)))


def krippendorff_alpha(units: Iterable[Sequence[str]], values: Sequence[str], *, is_ordinal: bool) -> float | None:
    """Krippendorff's alpha of the values that each unit was given; `values` are all there are, in their order.

    Units with fewer than two values say nothing and are left out. None where all values are the same or none are left.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    coincidences: defaultdict[tuple[str, str], float] = defaultdict(float)
    for unit in pairable:
        for pair in permutations(unit, 2):
            coincidences[pair] += 1 / (len(unit) - 1)
    counts = Counter(value for unit in pairable for value in unit)
    total = counts.total()
    distance = _ordinal_distances(values, counts) if is_ordinal else _nominal_distances(values)
    expected = sum(counts[one] * counts[other] * distance[one, other] for one in values for other in values)
    if expected == 0:
        return None
    observed = sum(share * distance[pair] for pair, share in coincidences.items())
    return 1 - (total - 1) * observed / expected


def _nominal_distances(values: Sequence[str]) -> dict[tuple[str, str], float]:
    return {(one, other): float(one != other) for one in values for other in values}


def _ordinal_distances(values: Sequence[str], counts: Mapping[str, int]) -> dict[tuple[str, str], float]:
    """Squared: how many of all given values lie from one to the other, each end counted half."""
    distances = {}
    for first, one in enumerate(values):
        for last, other in enumerate(values):
            between = values[min(first, last) : max(first, last) + 1]
            span = sum(counts[value] for value in between) - (counts[one] + counts[other]) / 2
            distances[one, other] = span**2
    return distances


def question_agreement(name: str, ratings: Ratings, values: Sequence[str], *, is_ordered: bool) -> QuestionAgreement:
    """How far the annotators agree on one question whose answers are `values`, in their order."""
    shared = [list(by_annotator.values()) for by_annotator in ratings.values() if len(by_annotator) > 1]
    same = sum(len(set(given)) == 1 for given in shared)
    return QuestionAgreement(
        question=name,
        items=len(shared),
        same_share=same / len(shared) if shared else None,
        alpha_nominal=krippendorff_alpha(shared, values, is_ordinal=False),
        alpha_ordinal=krippendorff_alpha(shared, values, is_ordinal=True) if is_ordered else None,
        pairs=tuple(_pairs(ratings)),
    )


def _pairs(ratings: Ratings) -> Iterable[PairAgreement]:
    annotators = sorted({annotator for by_annotator in ratings.values() for annotator in by_annotator})
    for first, second in combinations(annotators, 2):
        both = [(given[first], given[second]) for given in ratings.values() if first in given and second in given]
        if both:
            same = sum(one == other for one, other in both)
            yield PairAgreement(first, second, len(both), same / len(both), cohen_kappa(both))


def task_agreement(task: Task, answers: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[QuestionAgreement]:
    """How far the annotators agree on each question of `task`; `answers` by item, annotator and question."""
    found = []
    for question in task.questions:
        ratings = {
            item_id: {annotator: given[question.name] for annotator, given in by_annotator.items()}
            for item_id, by_annotator in answers.items()
        }
        found.append(question_agreement(question.name, ratings, question.values, is_ordered=question.is_ordered))
    return found
