"""How a benchmark is read."""

from dataclasses import dataclass
from typing import Literal

Regions = Literal["mentioned", "all", "none"]
"""Which boxes are drawn, where a benchmark points at boxes: those that its texts mention, all, or none."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What may be chosen of a benchmark."""

    regions: Regions = "mentioned"
    split: str | None = None  # of a file that holds several; None takes the usual one
    seed: int = 0  # by which choices are drawn and put in order, where the benchmark leaves that open


DEFAULT_READ = ReadOptions()
