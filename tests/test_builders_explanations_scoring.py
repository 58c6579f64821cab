"""The score of concepts: what the formula says, whatever the partitions, at any temperature, and in little memory."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.explanations.comparing import SelectStage
from builders.explanations.concepts import parse_concepts
from builders.explanations.records import Compared, Selected
from builders.explanations.scoring import Array, infonce_scores, log_sums, log_sums_of_others
from builders.explanations.selecting import best_answer, chosen_concepts, unselected
from builders.explanations.settings import ExplanationsSettings
from ostensive.stage import Kept

LISTS = {
    "robin": ["red breast", "thin bill", "round body"],
    "737-700": ["two engines"],
    "wren": ["brown", "cocked tail"],
}
LABELS = tuple(LISTS)
CONCEPTS = parse_concepts(LISTS, "test")


def select_stage(**values: object) -> SelectStage:
    stage = SelectStage(ExplanationsSettings.model_validate({"min_concepts": 10, **values}))
    stage._concepts = CONCEPTS
    return stage


def compared(number: int, label: str, cosines: Array, temperature: float) -> Compared:
    """An image whose descriptions have these cosines with all concepts, `(descriptions, concepts)`."""
    own = CONCEPTS.places(label)
    return Compared(
        f"{number:064x}",
        label,
        tuple(CONCEPTS.texts[place] for place in own),
        tuple(cosines[:, own.start : own.stop].ravel().tolist()),
        tuple(log_sums(cosines / temperature).tolist()),
    )


def brute_force(own: int, labels: Sequence[str], cosines: Sequence[Array], t: float, *, others_only: bool) -> Array:
    """The formula as it is written, with all negatives of an image joined, by `math.fsum`."""
    scores = []
    for b in CONCEPTS.places(labels[own]):
        negatives = [
            float(value)
            for image, found in enumerate(cosines)
            if image != own and not (others_only and labels[image] == labels[own])
            for value in found[:, b]
        ]
        total = 0.0
        for positive in cosines[own][:, b].tolist():
            # Both sides are divided by exp(positive / t), so that nothing is too large or too small.
            total -= math.log1p(math.fsum(math.exp((value - positive) / t) for value in negatives))
        scores.append(total)
    return np.array(scores)


def select(stage: SelectStage, partitions: Sequence[Sequence[Compared]]) -> dict[str, Selected]:
    decision = stage.decide([stage.summarise(part, {}) for part in partitions])
    found = {}
    for part in partitions:
        for outcome in stage.apply(part, decision):
            assert isinstance(outcome, Kept)
            found[outcome.records[0].image_id] = outcome.records[0]
    return found


@given(
    seed=st.integers(0, 2**32),
    images=st.integers(1, 7),
    temperature=st.sampled_from([0.1, 0.01]),
    exclude=st.booleans(),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_any_partitioning_gives_what_the_formula_says(
    seed: int, images: int, temperature: float, exclude: bool, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    labels = [LABELS[int(rng.integers(len(LABELS)))] for _ in range(images)]
    cosines = [rng.uniform(-1, 1, (int(rng.integers(1, 5)), len(CONCEPTS.texts))) for _ in labels]
    rows = [compared(n, *one, temperature) for n, one in enumerate(zip(labels, cosines, strict=True))]
    parts: list[list[Compared]] = [[] for _ in range(data.draw(st.integers(1, 3)))]
    for row in rows:
        parts[data.draw(st.integers(0, len(parts) - 1))].append(row)
    found = select(select_stage(score_temperature=temperature, exclude_same_class=exclude), parts)
    assert len(found) == images
    for number, row in enumerate(rows):
        selected = found[row.image_id]
        assert sorted(selected.concepts) == sorted(LISTS[row.label]), "ten are asked for, so all are kept"
        wanted = brute_force(number, labels, cosines, temperature, others_only=exclude)
        by_concept = dict(zip(selected.concepts, selected.log_scores, strict=True))
        assert [by_concept[concept] for concept in row.concepts] == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_what_an_image_has_itself_is_not_found_by_subtraction() -> None:
    parts = np.array([[100.0], [0.0], [-3.0]])
    assert log_sums_of_others(parts)[0, 0] == pytest.approx(math.log(1 + math.exp(-3)), abs=1e-12)
    assert np.exp(np.logaddexp.reduce(parts[:, 0])) - np.exp(100.0) == 0, "which would lose it all"


def test_a_single_image_has_scores_and_keeps_what_fits_best() -> None:
    cosines = np.array([[0.1, 0.3, 0.2, 0, 0, 0], [0.1, 0.4, 0.2, 0, 0, 0]])
    found = select(select_stage(min_concepts=2), [[compared(1, "robin", cosines, 0.1)], []])
    assert found[f"{1:064x}"].concepts == ("thin bill", "round body")
    assert found[f"{1:064x}"].log_scores == (0.0, 0.0)


def test_a_label_with_one_concept_keeps_it() -> None:
    rng = np.random.default_rng(0)
    rows = [compared(n, "737-700", rng.uniform(-1, 1, (2, 6)), 0.1) for n in range(2)]
    found = select(select_stage(min_concepts=3), [rows])
    assert {one.concepts for one in found.values()} == {("two engines",)}


def test_no_partition_has_rows() -> None:
    stage = select_stage()
    decision = stage.decide([stage.summarise([], {}), stage.summarise([], {})])
    assert len(decision) == 0
    assert stage.apply([], decision) == []


def test_labels_are_matched_whatever_their_case_when_their_own_class_is_left_out() -> None:
    rng = np.random.default_rng(1)
    pair = [
        compared(0, "robin", rng.uniform(-1, 1, (2, 6)), 0.1),
        compared(1, " ROBIN ", rng.uniform(-1, 1, (2, 6)), 0.1),
    ]
    found = select(select_stage(exclude_same_class=True), [pair[:1], pair[1:]])
    assert all(one.log_scores == (0.0, 0.0, 0.0) for one in found.values()), "none is a negative of the other"


def test_selection_takes_those_above_the_threshold_and_fills_up() -> None:
    scores, sums = np.array([-1.0, -9.0, -2.0, -9.5, -9.7]), np.zeros(5)
    # Mean -6.24, sample deviation 4.35: with 0.4 of it the least is -4.50.
    assert chosen_concepts(scores, sums, threshold_std=0.4, min_concepts=1) == [0, 2]
    assert chosen_concepts(scores, sums, threshold_std=0.4, min_concepts=3) == [0, 2, 1]
    assert chosen_concepts(scores, sums, threshold_std=1.2, min_concepts=1) == [0], "the least is -1.02"
    assert chosen_concepts(scores, sums, threshold_std=0.4, min_concepts=9) == [0, 2, 1, 3, 4]
    assert chosen_concepts(scores[:2], sums[:2], threshold_std=0.4, min_concepts=3) == [0, 1]
    assert chosen_concepts(np.array([-1.0]), np.zeros(1), threshold_std=0.4, min_concepts=3) == [0]
    assert chosen_concepts(np.zeros(0), np.zeros(0), threshold_std=0.4, min_concepts=3) == []
    assert chosen_concepts(np.zeros(3), np.array([1.0, 3.0, 2.0]), threshold_std=0.4, min_concepts=2) == [1, 2]


def test_the_deviation_is_that_of_a_sample() -> None:
    # Mean -2.025; deviation 1.127 of a sample, 0.976 of a population: the least is -1.011 or -1.147.
    scores = np.array([-1.0, -1.1, -3.0, -3.0])
    assert chosen_concepts(scores, np.zeros(4), threshold_std=0.9, min_concepts=1) == [0]


def test_an_image_s_own_concepts_are_no_negatives() -> None:
    everything = ["Red breast", "thin bill", "two engines", "red breast", "two engines"]
    assert unselected(everything, ["red breast"]) == ["thin bill", "two engines"]


def test_the_best_answer_fits_the_selected_and_not_the_others() -> None:
    selected = np.array([[0.5, 0.6, 0.6], [0.5, 0.6, 0.6]])
    others = np.array([[0.1, 0.9, 0.1], [0.1, 0.9, 0.2]])
    assert best_answer(selected, others, 0.1) == 2
    # With its own concepts among the negatives, as published, the very best answer is held against itself.
    both = np.concatenate([selected, others])
    assert (
        infonce_scores(selected, log_sums(both / 0.1), 0.1).max()
        < infonce_scores(selected, log_sums(others / 0.1), 0.1).max()
    )
    assert best_answer(selected, np.zeros((0, 3)), 0.1) == 0


def test_the_sum_of_nothing_is_nothing() -> None:
    assert log_sums(np.zeros((0, 2))).tolist() == [-math.inf, -math.inf]
    assert log_sums_of_others(np.zeros((1, 2))).tolist() == [[-math.inf, -math.inf]]
    nothing = [[-math.inf, -math.inf, 0.0], [-math.inf, 2.0, 900.0]]
    assert log_sums(np.array(nothing)).tolist() == [-math.inf, 2.0, 900.0]
