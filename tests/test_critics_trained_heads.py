"""The heads of a critic: which label each learns from, the polarity, and sums that do not depend on the parts."""

import math
from typing import Any  # Any: modules and tensors, for torch is imported by each test

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import one_thread  # noqa: F401 - a fixture

from critics.labels import CriterionTarget, Label
from critics.trained.model import (
    ACCEPT,
    RATINGS,
    ClassWeights,
    CriticLoss,
    balanced_weights,
    head_outputs,
    loss_normalizer,
    make_heads,
)
from critics.trained.settings import HeadWeights

CRITERIA = ("qa", "rationale")


def label(accepted: bool, qa: float = 0.0, rationale: float = 0.0, number: int = 0) -> Label:
    # The order of a label's targets is not that of the heads.
    return Label(
        f"row {number}", "image", accepted, (CriterionTarget("rationale", rationale), CriterionTarget("qa", qa))
    )


def loss(states: Any, heads: Any, labels: list[Label], weights: HeadWeights | None = None) -> Any:
    task = CriticLoss(CRITERIA, weights or HeadWeights(), ClassWeights())
    return task.of(head_outputs(heads, states), labels, loss_normalizer(labels, ClassWeights()))


def fit(heads: Any, states: Any, labels: list[Label], weights: HeadWeights | None = None) -> None:
    import torch

    optimizer = torch.optim.Adam(heads.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss(states, heads, labels, weights).backward()
        optimizer.step()


def test_each_head_learns_its_own_target_and_1_is_accept() -> None:
    """LSKD's published code trains the rationale head on the label of question and answer."""
    import torch

    states = torch.eye(4, 32).unsqueeze(1)
    labels = [label(True, 3.0, 2.0), label(True, 2.5, 3.0), label(False, 3.0, 0.0), label(False, 0.0, 0.0)]
    heads = make_heads(32, 2, 0, None)
    fit(heads, states, labels)
    found = head_outputs(heads, states)
    assert found.ratings[0].tolist() == pytest.approx([3.0, 2.5, 3.0, 0.0], abs=0.1)
    assert found.ratings[1].tolist() == pytest.approx([2.0, 3.0, 0.0, 0.0], abs=0.1)
    assert (found.accept_logits[:, 1] > found.accept_logits[:, 0]).tolist() == [True, True, False, False]


def test_a_head_without_weight_is_left_as_it_began() -> None:
    import torch

    heads, before = make_heads(4, 2, 0, None), make_heads(4, 2, 0, None)
    weights = HeadWeights(criteria={"qa": 0.0})
    fit(heads, torch.eye(2, 4).unsqueeze(1), [label(True, 3.0, 3.0), label(False)], weights)
    (qa, rationale), (qa_before, rationale_before) = ratings_of(heads), ratings_of(before)
    assert all(torch.equal(one, two) for one, two in zip(qa.parameters(), qa_before.parameters(), strict=True))
    assert not torch.equal(rationale[0].weight, rationale_before[0].weight)


def ratings_of(heads: Any) -> list[Any]:
    return list(heads[RATINGS])


def test_labels_without_criteria_train_the_accept_head_alone() -> None:
    import torch

    heads, states = make_heads(4, 0, 0, None), torch.eye(2, 4).unsqueeze(1)
    labels = [Label("a", "image", True, ()), Label("b", "image", False, ())]
    task = CriticLoss((), HeadWeights(), ClassWeights())
    optimizer = torch.optim.Adam(heads.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        found = head_outputs(heads, states)
        step_loss: Any = task.of(found, labels, loss_normalizer(labels, ClassWeights()))
        step_loss.backward()
        optimizer.step()
    assert found.ratings == ()
    assert (found.accept_logits[:, 1] > found.accept_logits[:, 0]).tolist() == [True, False]


def test_the_accept_head_begins_with_the_weights_it_is_given() -> None:
    import torch

    weights, bias = torch.arange(8.0).reshape(2, 4), torch.tensor([0.5, -0.5])
    accept: Any = make_heads(4, 2, 0, (weights, bias))[ACCEPT]
    assert torch.equal(accept.weight, weights)
    assert torch.equal(accept.bias, bias)


def test_heads_of_one_seed_are_alike_and_leave_the_generator_alone() -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    heads: list[Any] = [make_heads(4, 2, seed, None)[ACCEPT] for seed in (1, 1, 2)]
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)


def test_places_are_averaged_after_each_was_read() -> None:
    """As the matching head does at BLIP-2's query tokens: a network is not linear, so the order matters."""
    import torch

    heads = make_heads(4, 2, 0, None)
    states = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    found = head_outputs(heads, states)
    by_place = [head_outputs(heads, states[:, place : place + 1]) for place in range(5)]
    outputs = [(one.accept_logits, *one.ratings) for one in (found, *by_place)]
    for whole, *places in zip(*outputs, strict=True):
        assert torch.allclose(whole, torch.stack(places).mean(0), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(2, 3), st.floats(2, 3)), min_size=2, max_size=9), st.integers(1, 9))
def test_parts_of_a_step_add_up_to_the_step(rows: list[tuple[bool, float, float]], size: int) -> None:
    import torch

    labels = [label(*row) for row in rows]
    task = CriticLoss(CRITERIA, HeadWeights(), ClassWeights(0.7, 1.9))
    normalizer = loss_normalizer(labels, task.classes)
    states = torch.randn(len(rows), 2, 4, generator=torch.Generator().manual_seed(len(rows)))
    heads = make_heads(4, 2, 0, None)
    at_once = task.of(head_outputs(heads, states), labels, normalizer)
    parts = [
        task.of(head_outputs(heads, states[start : start + size]), labels[start : start + size], normalizer)
        for start in range(0, len(rows), size)
    ]
    assert sum(part.item() for part in parts) == pytest.approx(at_once.item(), rel=1e-5)


@given(st.integers(1, 50), st.integers(1, 50))
def test_balanced_classes_count_the_same_in_sum(accepted: int, rejected: int) -> None:
    labels = [label(number < accepted) for number in range(accepted + rejected)]
    classes = balanced_weights(labels)
    assert sum(classes.of(one) for one in labels if one.accepted) == pytest.approx((accepted + rejected) / 2)
    assert sum(classes.of(one) for one in labels) == pytest.approx(accepted + rejected)
    assert math.isclose(classes.accepted * accepted, classes.rejected * rejected)
