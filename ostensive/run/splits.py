"""The stage `splits`: which split of the corpus each image belongs to, with all of its rows.

What came in beside an image wins. All others are told by a hash of the image and the seed, so that an image stays in
its split when others are added or go, and the shares are reached up to chance.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final  # Any: JSON values of any depth

import pyarrow as pa

from ostensive.records import ImageRecord, ImageSplit
from ostensive.stage import Evidence, Kept, Outcome, RunWideStage

SPLITS: Final = "splits"
DEFAULT_SPLIT: Final = "train"
"""Of a corpus for which none is asked."""
_VERSION: Final = 1
_GIVEN: Final = pa.schema([pa.field("image_id", pa.string()), pa.field("split", pa.string())])


class SplitStage(RunWideStage[ImageRecord, ImageSplit]):
    """Puts images into splits. `shares` are positive and are taken as parts of their sum; empty means all `train`."""

    name = SPLITS
    record_in = ImageRecord
    record_out = ImageSplit
    uses_annotations = True

    def __init__(self, shares: Mapping[str, float], seed: int) -> None:
        self._shares = dict(shares) or {DEFAULT_SPLIT: 1.0}
        self._seed = seed

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"version": _VERSION, "shares": self._shares, "seed": self._seed}

    def summarise(self, rows: Sequence[ImageRecord], evidence: Evidence) -> pa.Table:
        """The splits that came in beside images."""
        given = {row.image_id: given_split(evidence, row.image_id) for row in rows}
        known = sorted((image_id, split) for image_id, split in given.items() if split is not None)
        return pa.Table.from_pylist([dict(zip(_GIVEN.names, one, strict=True)) for one in known], schema=_GIVEN)

    def decide(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """The splits of all images that have one given."""
        return pa.concat_tables([_GIVEN.empty_table(), *summaries]).sort_by("image_id")

    def apply(self, rows: Sequence[ImageRecord], decision: pa.Table) -> list[Outcome[ImageSplit]]:
        """One `ImageSplit` for each image."""
        columns = (decision.column(name).to_pylist() for name in _GIVEN.names)
        given = dict(zip(*columns, strict=True))
        return [
            Kept((ImageSplit(row.image_id, given.get(row.image_id) or self.split_of(row.image_id)),)) for row in rows
        ]

    def split_of(self, image_id: str) -> str:
        """The split of an image that has none given."""
        digest = hashlib.sha256(f"{self._seed}/{SPLITS}/{image_id}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64 * sum(self._shares.values())
        for split, share in self._shares.items():
            place -= share
            if place < 0:
                return split
        return next(reversed(self._shares))  # rounding


def given_split(evidence: Evidence, image_id: str) -> str | None:
    """The split that came in beside an image."""
    return next((item.split for item in evidence[image_id].annotations if item.split), None)
