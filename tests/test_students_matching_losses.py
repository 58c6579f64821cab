"""The losses of image-text students against computations by hand, pair by pair and token by token."""

import math
from collections.abc import Sequence
from typing import Any  # Any: tensors, for torch is imported by each test

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from students.matching.losses import (
    contrastive_loss,
    generation_loss,
    hard_negatives,
    matching_loss,
    multimodal_causal_mask,
    negatives_of,
)

IMAGES = ("a", "b", "a", "c", "b", "a")


def logits_of(rows: int, columns: int, seed: int = 0) -> Any:
    import torch

    return 3 * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def cross_entropy(scores: Sequence[float], own: int, smoothing: float) -> float:
    total = math.log(sum(math.exp(score) for score in scores))
    surprises = [total - score for score in scores]
    return (1 - smoothing) * surprises[own] + smoothing * sum(surprises) / len(surprises)


def contrastive_by_hand(logits: Sequence[Sequence[float]], images: Sequence[str], smoothing: float) -> float:
    """Each row against itself and the rows of other images, first along lines, then along columns."""
    found = []
    for place, image in enumerate(images):
        compared = [other for other, other_image in enumerate(images) if other == place or other_image != image]
        lines = [logits[place][other] for other in compared]
        columns = [logits[other][place] for other in compared]
        found += [cross_entropy(scores, compared.index(place), smoothing) for scores in (lines, columns)]
    return sum(found) / len(found)


def test_only_rows_of_other_images_are_negatives() -> None:
    found = negatives_of(IMAGES)
    for one, first in enumerate(IMAGES):
        for other, second in enumerate(IMAGES):
            assert bool(found[one, other]) == (first != second)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_contrastive_loss_is_that_by_hand(smoothing: float) -> None:
    logits = logits_of(len(IMAGES), len(IMAGES))
    found = contrastive_loss(logits, negatives_of(IMAGES), label_smoothing=smoothing)
    assert float(found) == pytest.approx(contrastive_by_hand(logits.tolist(), IMAGES, smoothing), rel=1e-5)


def test_of_different_images_the_contrastive_loss_is_the_library_s() -> None:
    import torch
    from torch.nn import functional

    logits = logits_of(5, 5)
    found = contrastive_loss(logits, negatives_of("abcde"), label_smoothing=0.1)
    own = torch.arange(5)
    both = [functional.cross_entropy(some, own, label_smoothing=0.1) for some in (logits, logits.T)]
    assert float(found) == pytest.approx(float(sum(both)) / 2, rel=1e-6)


def test_what_rows_of_one_image_say_of_each_other_does_not_count() -> None:
    import torch

    logits = logits_of(len(IMAGES), len(IMAGES)).requires_grad_()
    is_negative = negatives_of(IMAGES)
    contrastive_loss(logits, is_negative, label_smoothing=0.1).backward()  # type: ignore[no-untyped-call]  # of torch
    gradient: Any = logits.grad
    counts = is_negative | torch.eye(len(IMAGES), dtype=torch.bool)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient[~counts].abs().max()) == 0.0
    assert float(gradient[counts].abs().min()) > 0.0


def test_rows_of_one_image_alone_have_no_contrastive_loss() -> None:
    assert float(contrastive_loss(logits_of(3, 3), negatives_of("aaa"), label_smoothing=0.1)) == 0.0


@hypothesis_settings(deadline=None, max_examples=30)
@given(st.permutations(range(len(IMAGES))), st.integers(0, 5))
def test_the_order_of_a_batch_does_not_matter(order: list[int], seed: int) -> None:
    logits = logits_of(len(IMAGES), len(IMAGES), seed)
    first = contrastive_loss(logits, negatives_of(IMAGES), label_smoothing=0.1)
    shuffled = negatives_of([IMAGES[place] for place in order])
    other = contrastive_loss(logits[order][:, order], shuffled, label_smoothing=0.1)
    assert float(other) == pytest.approx(float(first), rel=1e-5)


def test_hard_negatives_are_of_other_images_and_the_likest_come_most_often() -> None:
    import torch

    logits, is_negative = logits_of(len(IMAGES), len(IMAGES)), negatives_of(IMAGES)
    torch.manual_seed(0)
    draws = torch.stack([hard_negatives(logits, is_negative) for _ in range(4_000)])
    for place in range(len(IMAGES)):
        others = [other for other in range(len(IMAGES)) if IMAGES[other] != IMAGES[place]]
        total = sum(math.exp(logits[place, other]) for other in others)
        for other in range(len(IMAGES)):
            expected = math.exp(logits[place, other]) / total if other in others else 0.0
            share = float((draws[:, place] == other).float().mean())
            assert share == pytest.approx(expected, abs=0.03 if expected else 0.0)


def test_hard_negatives_of_one_image_are_refused() -> None:
    with pytest.raises(AssertionError, match="every row needs a negative"):
        hard_negatives(logits_of(2, 2), negatives_of("aa"))


def test_the_matching_loss_is_that_by_hand() -> None:
    import torch

    logits, is_match = logits_of(6, 2), torch.tensor([True, True, False, False, False, True])
    by_hand = [cross_entropy(logits[row].tolist(), int(is_match[row]), 0.0) for row in range(6)]
    assert float(matching_loss(logits, is_match)) == pytest.approx(sum(by_hand) / 6, rel=1e-6)


def test_the_generation_loss_is_that_by_hand() -> None:
    """Each token after the first by what was said at the one before; padding says nothing and is not said."""
    import torch

    logits = logits_of(3 * 5, 7).reshape(3, 5, 7)
    ids = torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(1))
    lengths = (5, 3, 2)
    mask = torch.tensor([[int(place < length) for place in range(5)] for length in lengths])
    by_hand = [
        cross_entropy(logits[row, place - 1].tolist(), int(ids[row, place]), 0.0)
        for row, length in enumerate(lengths)
        for place in range(1, length)
    ]
    found = float(generation_loss(logits, ids, mask))
    assert found == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-5)
    ids[2, 3], logits[2, 4] = 6, 50.0
    assert float(generation_loss(logits, ids, mask)) == found


def test_the_mask_is_that_of_the_paper() -> None:
    import torch

    queries, mask = 2, torch.tensor([[1, 1, 1], [1, 1, 0]])
    found = multimodal_causal_mask(mask, queries)
    assert found.shape == (2, 1, 5, 5)
    for row in range(2):
        for place in range(5):
            for other in range(5):
                if other < queries:
                    expected = True
                else:
                    expected = queries <= place and other <= place and bool(mask[row, other - queries])
                assert bool(found[row, 0, place, other]) == expected, (row, place, other)
