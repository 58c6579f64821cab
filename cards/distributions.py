"""What statistics are made of beside single figures: how a number is spread over rows, and how often words stand."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lie in each bin. A bin has its lower edge, and the last both."""

    name: str  # of what is counted, in a few words: "words of the question", "width of boxes"
    unit: str  # "words", "share of the image"; empty for a number without one
    edges: tuple[float, ...]  # ascending, one more than `counts`
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.edges) == len(self.counts) + 1, f"{self.name}: every bin has two edges"

    @property
    def total(self) -> int:
        """All values."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Frequencies:
    """How often the most frequent values stand, the most frequent first; `others` is how often all others do."""

    name: str
    counts: Mapping[str, int]
    others: int = 0

    @property
    def total(self) -> int:
        """All that was counted."""
        return sum(self.counts.values()) + self.others
