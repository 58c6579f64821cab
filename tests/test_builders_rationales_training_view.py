"""What a round is trained on, and what rounds add up to: no rationale is lost, none counts twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.rationales.items import Item
from builders.rationales.records import Rationale
from builders.rationales.training_view import (
    TrainingRow,
    accumulated,
    training_view,
)


def item(number: int) -> Item:
    return Item(f"item{number}", f"image{number // 2}", f"What's in box {number}: a cat?", "it's a cat")


def rationale(number: int, text: str, *, row_id: str = "") -> Rationale:
    of = item(number)
    return Rationale(
        row_id or f"{number}/{text}", of.image_id, of.annotation_id, of.question, of.answer, text, "why", 0.1,
        0, "t", "p", "k",
    )  # fmt: skip


ITEMS = [item(number) for number in range(40)]


def test_three_rounds_add_up_and_lose_nothing() -> None:
    rounds = [
        [rationale(0, "It's got ears: two."), rationale(1, "It purrs.")],
        [rationale(0, "it's  got ears: TWO.", row_id="again"), rationale(0, "It has a tail.")],
        [rationale(1, "It purrs."), rationale(2, "It purrs.")],
    ]
    fitting: tuple[Rationale, ...] = ()
    sizes = []
    for now in rounds:
        before, fitting = fitting, accumulated(fitting, now)
        assert fitting[: len(before)] == before
        sizes.append(len(fitting))
    assert sizes == [2, 3, 4]
    assert [row.rationale for row in fitting] == ["It's got ears: two.", "It purrs.", "It has a tail.", "It purrs."]
    assert [row.annotation_id for row in fitting] == ["item0", "item1", "item0", "item2"]


ROWS = st.lists(st.builds(rationale, st.integers(0, 3), st.sampled_from(["It purrs.", "It has ears.", "it purrs."])))


@given(ROWS, ROWS, ROWS)
def test_rounds_may_be_put_together_in_any_way(
    first: list[Rationale], second: list[Rationale], third: list[Rationale]
) -> None:
    assert accumulated(accumulated(first, second), third) == accumulated(first, [*second, *third])
    assert accumulated(accumulated((), first), first) == accumulated((), first)


def test_plain_questions_are_replayed_from_items_without_a_rationale() -> None:
    fitting = [rationale(0, "It purrs."), rationale(0, "It has ears."), rationale(5, "It purrs.")]
    view = training_view(fitting, ITEMS, replay=10)
    explained, plain = view.rows[:3], view.rows[3:]
    assert explained[0] == TrainingRow("image0", "item0", "What's in box 0: a cat?", "it's a cat", "It purrs.")
    assert len(plain) == 30
    assert view.explanation_weight == 10
    assert {row.annotation_id for row in plain}.isdisjoint({"item0", "item5"})
    assert len({row.annotation_id for row in plain}) == 30
    assert all(row.rationale is None and row.answer == "it's a cat" and row.question for row in plain)


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_items() -> None:
    fitting = [rationale(0, "It purrs.")]
    first = training_view(fitting, ITEMS, seed=1)
    assert training_view(fitting, reversed(ITEMS), seed=1) == first
    assert training_view(fitting, ITEMS, seed=2) != first


def test_fewer_items_than_wanted_and_none_at_all() -> None:
    fitting = [rationale(number, "It purrs.") for number in range(8)]
    view = training_view(fitting, ITEMS[:12], replay=10)
    assert len(view.rows) == 12
    assert view.explanation_weight == 0.5
    assert training_view(fitting, ITEMS, replay=0.5).explanation_weight == 0.5
    # b would be 0, and rationales would not be learned at all
    assert training_view(fitting, ITEMS[:8]).explanation_weight == 1.0
    assert training_view(fitting, ITEMS, replay=0).explanation_weight == 1.0
    assert training_view([], ITEMS).rows == ()
    with pytest.raises(ValueError, match="replay: a number from 0 on is expected, not -1"):
        training_view(fitting, ITEMS, replay=-1)
