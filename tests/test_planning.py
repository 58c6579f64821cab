from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from ostensive.run.planning import plan_partitions


@dataclass(frozen=True)
class Item:
    key: str


keys = st.lists(st.text("abcdefgh", min_size=1, max_size=3), unique=True, max_size=30)
sizes = st.integers(1, 7)


def items(names: list[str]) -> list[Item]:
    return [Item(name) for name in names]


def keys_of(plan: dict[int, tuple[Item, ...]]) -> dict[int, list[str]]:
    return {index: [item.key for item in part] for index, part in plan.items()}


def test_new_images_go_to_new_partitions_and_old_ones_stay() -> None:
    first = keys_of(plan_partitions(items(["b", "c", "d"]), {}, 2))
    assert first == {0: ["b", "c"], 1: ["d"]}
    assert keys_of(plan_partitions(items(["a", "b", "c", "d"]), first, 2)) == {0: ["b", "c"], 1: ["d"], 2: ["a"]}


def test_images_that_went_leave_their_partition_and_an_empty_one_goes() -> None:
    assert keys_of(plan_partitions(items(["b"]), {0: ["a", "b"], 1: ["c"]}, 2)) == {0: ["b"]}
    assert keys_of(plan_partitions(items(["d"]), {0: ["a"], 1: ["c"]}, 2)) == {2: ["d"]}
    assert plan_partitions([], {0: ["a"]}, 2) == {}


@given(keys, sizes)
def test_every_item_is_in_one_partition_of_bounded_size_in_order(names: list[str], size: int) -> None:
    plan = keys_of(plan_partitions(items(names), {}, size))
    assert [key for index in sorted(plan) for key in plan[index]] == names
    assert all(0 < len(part) <= size for part in plan.values())


@given(keys, sizes, st.data())
def test_planning_again_after_a_cut_gives_the_same_plan(names: list[str], size: int, data: st.DataObject) -> None:
    plan = keys_of(plan_partitions(items(names), {}, size))
    written = data.draw(st.integers(0, len(plan)))
    there = {index: plan[index] for index in sorted(plan)[:written]}
    assert keys_of(plan_partitions(items(names), there, size)) == plan


@given(keys, keys, sizes)
def test_no_item_is_lost_or_taken_twice_whatever_was_there(names: list[str], before: list[str], size: int) -> None:
    previous = keys_of(plan_partitions(items(before), {}, size))
    plan = keys_of(plan_partitions(items(names), previous, size))
    assert sorted(key for part in plan.values() for key in part) == sorted(names)
    for index, part in previous.items():
        assert plan.get(index, []) == [key for key in part if key in names]
