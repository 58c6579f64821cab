"""What a build may be told besides its recipe, images and folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """Choices that belong to this machine or this hour and not to the recipe."""

    profile: str | None = None
    settings: Sequence[str] = ()  # "a.b=c", over the recipe
    stand_ins: Sequence[str] = ()  # likewise, over the recipe and under the settings
    allow_keys: Sequence[str] = ()  # "NAME=HOST": the key in a variable may go to a host that the recipe names
    parent: Path | None = None  # the run folder of the round before, for a recipe with rounds
    annotations: Path | None = None  # a file of items that belong to the images
    against: Sequence[Path] = ()  # benchmarks, after those of the recipe
    journal: Path | None = None  # shared with other runs; None takes the run's own
    account: str | None = None  # in whose name answers are journaled and limits counted; None: the run's
    max_cost_usd: float | None = None  # for the run, or the account, as a whole, earlier commands included
    max_requests: int | None = None  # likewise
    limit: int | None = None  # take only the first images of the listing
    prices: Path | None = None  # a YAML price table over the built-in one
    retry_failed: bool = False  # do partitions with failed rows again; answers that are there are not paid again


DEFAULT_OPTIONS = BuildOptions()
