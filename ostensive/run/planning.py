"""Which image belongs to which partition, also when images came or went since the last time.

An image stays in the partition it was first put in, and new ones go into new partitions at the end: adding one
photograph to a folder of a million redoes one partition. Were the sorted listing sliced afresh, a new first file would
shift every slice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from ostensive.images.annotations import Annotations
from ostensive.images.intake import DISTINCT, IMAGES
from ostensive.images.items import SourceItem
from ostensive.records import Annotation, ImageRecord
from ostensive.run.annotating import ANNOTATIONS

INTAKE_RECORDS: Final[Mapping[str, type]] = {IMAGES: ImageRecord, DISTINCT: ImageRecord, ANNOTATIONS: Annotation}
"""The stages before those of a recipe, in order, and the records that they make; the last only where it is needed."""


@dataclass(frozen=True, slots=True)
class PlannedAnnotations:
    """What was found beside the images, and the fields without which an item is of no use to the recipe."""

    found: Annotations
    required: tuple[str, ...]


def has_given_splits(annotations: PlannedAnnotations | None) -> bool:
    """Whether a split came in beside an image."""
    return annotations is not None and bool(annotations.found.splits)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run takes in: source items by partition, and what lies beside them; None where nothing does."""

    items: Mapping[int, Sequence[SourceItem]]
    annotations: PlannedAnnotations | None = None

    @property
    def item_count(self) -> int:
        return sum(len(items) for items in self.items.values())

    @property
    def intake_stages(self) -> tuple[str, ...]:
        """The stages before those of the recipe."""
        return tuple(name for name in INTAKE_RECORDS if name != ANNOTATIONS or self.annotations is not None)


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
