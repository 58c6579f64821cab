"""Where a candidate does not hold: a picture, or a region of its own, not known to have what it speaks of."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final  # Any: candidates of any recipe; pyarrow has no types

import pyarrow as pa

from critics.evidence import named
from ostensive.recipe_kind import Swap
from ostensive.records import Box, Verbalization

NO_PREMISE: Final = "takes nothing for granted"
NO_PLACE: Final = "may hold wherever it is put"
MAX_OVERLAP: Final = 0.1
"""Regions of which one covers more than this share of the other, 0-1, may show the same thing."""
_TRIES: Final = 200  # pictures that are looked at for one candidate


@dataclass(frozen=True, slots=True)
class Donor:
    """A candidate that is to be put elsewhere."""

    row: Any
    order: str  # hexadecimal digits, drawn; lower ones go first
    premise: tuple[str, ...]  # stems of what it takes to be there
    regions: tuple[int, ...]  # that a picture must have for it to be asked there
    other_region: int | None  # of its own picture, on which it does not hold

    @property
    def prefers_region(self) -> bool:
        """Whether the other region is taken first: in half of the cases in which there is one."""
        return self.other_region is not None and int(self.order[-1], 16) % 2 == 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a candidate is put; `host` is the number of its picture among the hosts, `reason` why it has no place."""

    image_id: str
    swapped: Swap | None = None
    host: int = -1
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Hosts:
    """The pictures on which candidates may be put, in an order that is drawn."""

    image_ids: Sequence[str]
    known: pa.ChunkedArray  # of each picture the stems of what is known of it
    regions: pa.ChunkedArray  # and the numbers of its regions
    max_known_share: float  # of a premise, 0-1

    def place(self, donor: Donor, cursor: int, asked: Collection[tuple[str, tuple[str, ...]]]) -> Place:
        """The place of a candidate. Pictures are taken round and round from `cursor`, so that all have as many.

        `asked` are premises that a picture has already, by its id.
        """
        own = donor.row.image_id
        if not donor.premise:
            return Place(own, reason=NO_PREMISE)
        count = 0 if donor.prefers_region else len(self.image_ids)
        for number in ((cursor + step) % count for step in range(min(count, _TRIES))):
            image_id = self.image_ids[number]
            if image_id != own and (image_id, donor.premise) not in asked and self._lacks(number, donor):
                return Place(image_id, "picture", number)
        return Place(own, reason=NO_PLACE) if donor.other_region is None else Place(own, "region")

    def _lacks(self, number: int, donor: Donor) -> bool:
        """Whether something is known of the picture, what is asked of is not, and the regions are there."""
        known, regions = set(self.known[number].as_py()), set(self.regions[number].as_py())
        if not known or not regions.issuperset(donor.regions):
            return False
        return known_share(donor.premise, known) <= self.max_known_share


def known_share(premise: Sequence[str], known: Collection[str]) -> float:
    """Share of the words of a premise that are known of a picture, 0-1; 1 for a premise that names nothing."""
    return sum(word in known for word in premise) / len(premise) if premise else 1.0


def region_apart(verbalization: Verbalization, region: int, premise: Sequence[str], draw: Random) -> int | None:
    """Another region of the picture whose label and caption have no word of `premise`; None where there is none.

    It lies apart from the region that was meant: a box within another one shows a part of the same.
    """
    meant = next((one for one in verbalization.regions if one.number == region), None)
    if meant is None:
        return None
    fitting = [
        other.number
        for other in verbalization.regions
        if _cover(meant.box, other.box) <= MAX_OVERLAP and not set(premise) & set(named([other.label, other.caption]))
    ]
    return draw.choice(fitting) if fitting else None


def _cover(first: Box, second: Box) -> float:
    """How much of the smaller box is in the other one, 0-1."""
    width = min(first.x2, second.x2) - max(first.x1, second.x1)
    height = min(first.y2, second.y2) - max(first.y1, second.y1)
    return max(width, 0.0) * max(height, 0.0) / min(first.area, second.area)
