"""The heads of a critic: which label each learns from, the polarity, and sums that do not depend on the parts."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import one_thread  # noqa: F401 - a fixture

from critics.labels import Label
from critics.trained.heads import ACCEPT, QA, RATIONALE, Balance, balance_of, loss_of, make_heads, say, whole_of
from critics.trained.settings import HeadWeights


def label(accepted: bool, qa: float = 0.0, rationale: float = 0.0, number: int = 0) -> Label:
    return Label(f"row {number}", "image", accepted, qa, rationale, 2)


def loss(states: object, heads: object, labels: list[Label], weights: HeadWeights | None = None) -> object:
    return loss_of(
        say(heads, states),  # type: ignore[arg-type]  # torch is imported by each test
        labels,
        weights=weights or HeadWeights(),
        balance=Balance(),
        whole=whole_of(labels, Balance()),
    )


def fit(heads: object, states: object, labels: list[Label], weights: HeadWeights | None = None) -> None:
    import torch

    optimizer = torch.optim.Adam(heads.parameters(), lr=0.02)  # type: ignore[attr-defined]  # a module
    for _ in range(200):
        optimizer.zero_grad()
        loss(states, heads, labels, weights).backward()  # type: ignore[attr-defined]  # a tensor
        optimizer.step()


def test_each_head_learns_its_own_label() -> None:
    """LSKD's published code trains the rationale head on the label of question and answer."""
    import torch

    states = torch.eye(4, 32).unsqueeze(1)
    labels = [label(True, 3.0, 2.0), label(True, 2.5, 3.0), label(False, 3.0, 0.0), label(False, 0.0, 0.0)]
    heads = make_heads(32, 0, None)
    fit(heads, states, labels)
    said = say(heads, states)
    assert said.qa.tolist() == pytest.approx([3.0, 2.5, 3.0, 0.0], abs=0.1)
    assert said.rationale.tolist() == pytest.approx([2.0, 3.0, 0.0, 0.0], abs=0.1)
    assert (said.accept[:, 1] > said.accept[:, 0]).tolist() == [True, True, False, False]


def test_a_head_without_weight_is_left_as_it_began() -> None:
    import torch

    heads, before = make_heads(4, 0, None), make_heads(4, 0, None)
    fit(heads, torch.eye(2, 4).unsqueeze(1), [label(True, 3.0, 3.0), label(False)], HeadWeights(qa=0, rationale=0.5))
    assert all(torch.equal(one, two) for one, two in zip(heads[QA].parameters(), before[QA].parameters(), strict=True))
    assert not torch.equal(heads[RATIONALE][0].weight, before[RATIONALE][0].weight)  # type: ignore[index]


def test_the_accept_head_begins_with_the_weights_it_is_given() -> None:
    import torch

    weights, bias = torch.arange(8.0).reshape(2, 4), torch.tensor([0.5, -0.5])
    heads = make_heads(4, 0, (weights, bias))
    assert torch.equal(heads[ACCEPT].weight, weights)  # type: ignore[arg-type]
    assert torch.equal(heads[ACCEPT].bias, bias)  # type: ignore[arg-type]


def test_heads_of_one_seed_are_alike_and_leave_the_generator_alone() -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, two, other = make_heads(4, 1, None), make_heads(4, 1, None), make_heads(4, 2, None)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one[ACCEPT].weight, two[ACCEPT].weight)  # type: ignore[arg-type]
    assert not torch.equal(one[ACCEPT].weight, other[ACCEPT].weight)  # type: ignore[arg-type]


def test_places_are_averaged_after_each_was_read() -> None:
    """As the matching head does at BLIP-2's query tokens: a network is not linear, so the order matters."""
    import torch

    heads = make_heads(4, 0, None)
    states = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    said = say(heads, states)
    by_place = [say(heads, states[:, place : place + 1]) for place in range(5)]
    for name in ("accept", "qa", "rationale"):
        mean = torch.stack([getattr(one, name) for one in by_place]).mean(0)
        assert torch.allclose(getattr(said, name), mean, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(2, 3), st.floats(2, 3)), min_size=2, max_size=9), st.integers(1, 9))
def test_parts_of_a_step_add_up_to_the_step(rows: list[tuple[bool, float, float]], size: int) -> None:
    import torch

    labels = [label(*row) for row in rows]
    balance, weights = Balance(0.7, 1.9), HeadWeights()
    states = torch.randn(len(rows), 2, 4, generator=torch.Generator().manual_seed(len(rows)))
    heads = make_heads(4, 0, None)
    whole = whole_of(labels, balance)
    at_once = loss_of(say(heads, states), labels, weights=weights, balance=balance, whole=whole)
    parts = [
        loss_of(
            say(heads, states[start : start + size]),
            labels[start : start + size],
            weights=weights,
            balance=balance,
            whole=whole,
        )
        for start in range(0, len(rows), size)
    ]
    assert sum(part.item() for part in parts) == pytest.approx(at_once.item(), rel=1e-5)


@given(st.integers(1, 50), st.integers(1, 50))
def test_balanced_classes_count_the_same_in_sum(accepted: int, rejected: int) -> None:
    labels = [label(number < accepted) for number in range(accepted + rejected)]
    balance = balance_of(labels)
    assert sum(balance.of(one) for one in labels if one.accepted) == pytest.approx((accepted + rejected) / 2)
    assert sum(balance.of(one) for one in labels) == pytest.approx(accepted + rejected)
    assert math.isclose(balance.accepted * accepted, balance.rejected * rejected)
