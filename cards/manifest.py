"""The manifest of a corpus: its files with sizes and hashes, and what they hold. It is written last.

A reader trusts only what the manifest lists; a folder without one holds no finished corpus. The card is not listed:
people write in it. Nothing in it is of the machine or the day, so that equal corpora have equal manifests.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

from cards.statistics import CorpusStatistics

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file of the corpus: `path` is relative to its folder, with `/`; `items` are samples, or rows in `rows/`."""

    path: str
    kind: Literal["shard", "shard index", "samples", "rows"]
    items: int
    byte_count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CorpusManifest:
    """A corpus that was written. With no rows it has no files either, and there is nothing to load."""

    name: str
    recipe_hash: str
    images: int
    rows: int
    files: tuple[CorpusFile, ...]
    statistics: CorpusStatistics
    arrow_bytes: int  # of the samples in memory, for the card
    rows_arrow_bytes: int

    def bytes_of(self, kind: str) -> int:
        """The size of all files of a kind."""
        return sum(file.byte_count for file in self.files if file.kind == kind)

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        values: dict[str, Any] = dataclasses.asdict(self)  # Any: JSON values
        values["statistics"].pop("examples")
        return json.dumps({"kind": "ostensive-corpus", "version": 1, **values}, indent=2, ensure_ascii=True) + "\n"
