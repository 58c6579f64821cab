"""Numbers of values: the same for equal values however they are stored, others for others."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.column_hashes import hashes_of, text_hash
from cards.row_matching import match, match_rest

BOX = pa.struct([pa.field("x", pa.float64()), pa.field("name", pa.string())])
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "texts": (pa.string(), st.none() | st.text(max_size=4)),
    "numbers": (pa.int64(), st.none() | st.integers(-3, 3)),
    "shares": (pa.float64(), st.none() | st.sampled_from([0.0, 0.25, 0.5, -1.0])),
    "answers": (pa.bool_(), st.none() | st.booleans()),
    "lists": (pa.list_(pa.int64()), st.none() | st.lists(st.none() | st.integers(0, 2), max_size=3)),
    "boxes": (
        pa.list_(BOX),
        st.lists(
            st.none() | st.fixed_dictionaries({"x": st.sampled_from([0.0, 1.0]), "name": st.sampled_from(["", "a"])}),
            max_size=3,
        ),
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_equal_values_and_they_alone_have_equal_numbers(name: str) -> None:
    kind, values = COLUMNS[name]

    @given(st.lists(values, max_size=12))
    def check(column: list[Any]) -> None:
        numbers = hashes_of(pa.array(column, kind)).tolist()
        assert len(numbers) == len(column)
        for one, number in zip(column, numbers, strict=True):
            assert [other == one for other in column] == [other == number for other in numbers]

    check()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_slice_has_the_numbers_of_its_values(name: str) -> None:
    kind, values = COLUMNS[name]

    @given(st.lists(values, min_size=3, max_size=12))
    def check(column: list[Any]) -> None:
        whole = hashes_of(pa.array(column, kind))
        assert hashes_of(pa.array(column, kind).slice(1, len(column) - 2)).tolist() == whole[1:-1].tolist()

    check()


def test_how_a_value_is_stored_changes_nothing() -> None:
    texts = ["b", "a", None, "b", ""]
    plain = hashes_of(pa.array(texts))
    assert hashes_of(pa.array(texts).dictionary_encode()).tolist() == plain.tolist()
    assert hashes_of(pa.array(texts, pa.large_string())).tolist() == plain.tolist()
    assert plain[1] == text_hash("a")
    small = pa.array([[1, 2], [], None], pa.list_(pa.int32()))
    assert hashes_of(small).tolist() == hashes_of(small.cast(pa.list_(pa.int64()))).tolist()
    assert len(set(hashes_of(small).tolist())) == 3
    assert hashes_of(pa.array([0.0, -0.0])).tolist()[0] == hashes_of(pa.array([-0.0])).tolist()[0]


def test_the_order_in_a_list_counts() -> None:
    column = pa.array([["a", "b"], ["b", "a"], ["ab"], ["a", "b", "a"], ["a", None]])
    assert len(set(hashes_of(column).tolist())) == 5


def numbers(*values: int) -> Any:
    return np.array(values, np.uint64)


def test_repeated_numbers_are_matched_in_order() -> None:
    found = match(numbers(5, 7, 5, 5, 9), numbers(9, 5, 5, 8))
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 1), (2, 2), (4, 0)]
    assert (found.only_first.tolist(), found.only_second.tolist()) == ([1, 3], [3])
    rest = match_rest(found, numbers(1, 2), numbers(2))
    assert (rest.first.tolist(), rest.second.tolist()) == ([3], [3])
    assert (rest.only_first.tolist(), rest.only_second.tolist()) == ([1], [])


def test_nothing_matches_nothing() -> None:
    found = match(numbers(), numbers(1))
    assert [part.tolist() for part in (found.first, found.second, found.only_first, found.only_second)] == [
        [],
        [],
        [],
        [0],
    ]


@given(st.lists(st.integers(0, 5), max_size=20), st.lists(st.integers(0, 5), max_size=20))
def test_every_place_is_told_once(first: list[int], second: list[int]) -> None:
    found = match(numbers(*first), numbers(*second))
    assert sorted([*found.first.tolist(), *found.only_first.tolist()]) == list(range(len(first)))
    assert sorted([*found.second.tolist(), *found.only_second.tolist()]) == list(range(len(second)))
    assert all(first[a] == second[b] for a, b in zip(found.first, found.second, strict=True))
    assert not {first[place] for place in found.only_first} & {second[place] for place in found.only_second}
