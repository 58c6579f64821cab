"""Choosing labels by cosine: against a loop that takes one image at a time, and by laws that hold for all of them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verbalizers.clip.retrieval import COSINE_STEP, LabelIndex, retrieve, sense_numbers, senses_of

torch = pytest.importorskip("torch")


def unit(rows: int, width: int, seed: int) -> Any:  # Any: a tensor
    made = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(made, dim=1)


def index_of(features: Any, senses: list[int] | None = None) -> LabelIndex:  # Any: a tensor
    return LabelIndex(features, torch.tensor(senses if senses is not None else list(range(len(features)))))


def nobody(images: Any) -> Any:  # Any: tensors
    return torch.zeros((len(images), 0), dtype=torch.int64)


def by_loop(image: Any, index: LabelIndex, top_k: int, max_cosine: float, barred: set[int]) -> list[int]:
    """The same in the words of its definition."""
    cosines = [round(float(image @ text) / COSINE_STEP) for text in index.features]
    chosen: list[int] = []
    for place in sorted(range(len(cosines)), key=lambda place: (-cosines[place], place)):
        sense = int(index.senses[place])
        alike = any(float(index.features[place] @ index.features[other]) > max_cosine for other in chosen)
        if len(chosen) < top_k and sense not in barred and not (alike and max_cosine < 1):
            chosen.append(place)
            barred = barred | {sense}
    return chosen + [-1] * (top_k - len(chosen))


@settings(max_examples=40)
@given(
    labels=st.integers(1, 30),
    top_k=st.integers(1, 6),
    max_cosine=st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    senses=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_it_is_what_a_loop_finds(labels: int, top_k: int, max_cosine: float, senses: int, seed: int) -> None:
    images = unit(3, 4, seed)
    index = index_of(unit(labels, 4, seed + 1), [place % senses for place in range(labels)])
    barred = torch.tensor([[0, -1], [-1, -1], [1, 2]])
    found = retrieve(images, index, top_k, max_cosine, barred)
    expected = [
        by_loop(image, index, top_k, max_cosine, set(out.tolist())) for image, out in zip(images, barred, strict=True)
    ]
    assert found.tolist() == expected


def test_equal_labels_are_told_in_the_order_of_the_list() -> None:
    features = unit(1, 8, 0).repeat(5, 1)
    found = retrieve(unit(2, 8, 1), index_of(features), 3, 1, nobody([0, 0]))
    assert found.tolist() == [[0, 1, 2]] * 2
    merged = retrieve(unit(2, 8, 1), index_of(features), 3, 0.99, nobody([0, 0]))
    assert merged.tolist() == [[0, -1, -1]] * 2


def test_images_are_taken_in_parts_when_there_are_many_labels() -> None:
    images, index = unit(5, 4, 0), index_of(unit(1_500_000, 4, 1))
    found = retrieve(images, index, 2, 0.9, nobody(images))
    alone = [retrieve(image[None], index, 2, 0.9, nobody([0])) for image in images]
    assert torch.equal(found, torch.cat(alone))
    assert retrieve(images[:0], index, 3, 0.9, nobody(images[:0])).shape == (0, 3)


def test_senses_of_what_was_found() -> None:
    index = index_of(unit(3, 4, 0), [7, 8, 7])
    assert senses_of(torch.tensor([[2, -1], [1, 0]]), index).tolist() == [[7, -1], [8, 7]]


def test_equal_keys_have_equal_numbers_over_lists() -> None:
    known: dict[str, int] = {}
    assert sense_numbers(["a", "b", "a"], known) == [0, 1, 0]
    assert sense_numbers(["c", "b"], known) == [2, 1]
    assert sense_numbers([], known) == []
