"""Which image belongs to which partition, also when images came or went since the last time.

An image stays in the partition it was first put in, and new ones go into new partitions at the end: adding one
photograph to a folder of a million redoes one partition. Slicing the sorted listing afresh was given up because a new
first file would then shift every slice.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar


class Keyed(Protocol):
    """Anything with a stable, unique key."""

    @property
    def key(self) -> str: ...


ItemT = TypeVar("ItemT", bound=Keyed)


def plan_partitions(
    items: Sequence[ItemT], previous: Mapping[int, Sequence[str]], size: int
) -> dict[int, tuple[ItemT, ...]]:
    """Items by partition index: at most `size` in a new one; `previous` gives the keys that are in a partition already.

    The same items in the same order give the same plan, and so does planning again after any of its partitions exist.
    """
    by_key = {item.key: item for item in items}
    assert len(by_key) == len(items), "two items have the same key"
    plan: dict[int, tuple[ItemT, ...]] = {}
    for index in sorted(previous):
        if kept := tuple(by_key.pop(key) for key in previous[index] if key in by_key):
            plan[index] = kept
    fresh = [item for item in items if item.key in by_key]
    first = max(previous, default=-1) + 1
    for offset, start in enumerate(range(0, len(fresh), size)):
        plan[first + offset] = tuple(fresh[start : start + size])
    return plan
