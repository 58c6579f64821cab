"""The stage `splits`: which split of the corpus each image belongs to, with all of its rows.

What came in beside an image wins. All others are told by a hash of the image and the seed, and near duplicates go
together. An image stays in its split when others are added or go: the rows that this stage made before say where it
was. So what it makes depends on the order in which images came, where they look alike; on nothing else of the past.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal  # Any: JSON values of any depth

import pyarrow as pa
import pyarrow.compute as pc

from ostensive.fingerprint import fingerprint
from ostensive.images.near_groups import kept_pairs, labels_of
from ostensive.images.near_pairs import Pairs, near_pairs
from ostensive.images.near_settings import EmbeddingSettings, NearSettings, OnlyEqualSettings
from ostensive.images.perceptual import VERSION as LOOKS_VERSION
from ostensive.records import ImageRecord, ImageSplit
from ostensive.run.signatures import SIGNATURE_FIELDS, embedding_identity, gallery_from, signature_columns
from ostensive.run.split_drawing import Placed, Standing, place, refuse_leaks, with_leaks
from ostensive.run.summary import IN_NO_SPLIT
from ostensive.stage import Dropped, Evidence, Kept, Outcome, RunWideStage

SPLITS: Final = "splits"
DEFAULT_SPLIT: Final = "train"
"""Of a corpus for which none is asked."""
_VERSION: Final = 2
_SUMMARY: Final = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("given", pa.string()),
        *SIGNATURE_FIELDS,
    ]
)
_DECISION: Final = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("split", pa.string()),
        pa.field("group", pa.string()),
        pa.field("is_given", pa.bool_()),
        pa.field("detail", pa.string()),
        pa.field("leaks", pa.bool_()),
    ]
)
_log = logging.getLogger(__name__)

Leaks = Literal["refuse", "keep"]


class SplitStage(RunWideStage[ImageRecord, ImageSplit]):
    """Puts images into splits. `shares` are positive and are taken as parts of their sum; empty means all `train`."""

    name = SPLITS
    record_in = ImageRecord
    record_out = ImageSplit
    uses_annotations = True
    looks_back = True

    def __init__(
        self,
        shares: Mapping[str, float],
        seed: int,
        near: NearSettings = OnlyEqualSettings(),  # noqa: B008 - frozen
        leaks: Leaks = "refuse",
    ) -> None:
        """`leaks` says what becomes of splits that are given to near duplicates and differ."""
        self._shares = dict(shares) or {DEFAULT_SPLIT: 1.0}
        self._seed, self._near, self._leaks = seed, near, leaks

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"version": _VERSION, "leaks": self._leaks, **self._drawing}

    @property
    def _drawing(self) -> dict[str, Any]:
        """What the drawing of an image depends on, and with it where it is found to be later."""
        near = self._near
        if isinstance(near, OnlyEqualSettings):
            return {"shares": self._shares, "seed": self._seed}
        compared = {**near.identity(), **embedding_identity(near), "looks": LOOKS_VERSION}
        return {"shares": self._shares, "seed": self._seed, "near": compared}

    @property
    def drawn_by(self) -> str:
        """What is kept of that beside each image."""
        return fingerprint(self._drawing)[:16]

    def summarise(self, rows: Sequence[ImageRecord], evidence: Evidence) -> pa.Table:
        """What images are compared by, and the splits that came in beside them."""
        columns = {
            "image_id": [row.image_id for row in rows],
            "source": [row.source for row in rows],
            "given": [given_split(evidence, row.image_id) for row in rows],
            **signature_columns([evidence[row.image_id].signature for row in rows]),
        }
        return pa.table(columns, schema=_SUMMARY)

    def decide(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """Where images go that do not simply go where `split_of` says."""
        return self.decide_after(summaries, ())

    def decide_after(self, summaries: Sequence[pa.Table], earlier: Iterable[ImageSplit]) -> pa.Table:
        """The same; images that were drawn by the same settings before stay. Raises `SettingsError` for a leak."""
        # Sorted, so that the order of partitions and their size change nothing.
        table = pa.concat_tables([_SUMMARY.empty_table(), *summaries]).sort_by("image_id")
        drawn_by = self.drawn_by
        drawn = {one.image_id: one.split for one in earlier if one.drawn_by == drawn_by}
        ids = table.column("image_id").to_pylist()
        beside = zip(ids, table.column("source").to_pylist(), table.column("given").to_pylist(), strict=True)
        images = [Standing(image_id, source, given, drawn.get(image_id)) for image_id, source, given in beside]
        pairs = self._pairs(table)
        joining = self._joining(len(images), pairs)
        if self._leaks == "refuse":
            refuse_leaks(images, joining)
        placed = with_leaks(place(images, labels_of(len(images), joining), self.split_of), pairs)
        return _decision([one for one in placed if one != self._alone(one.image_id)])

    def _pairs(self, table: pa.Table) -> Pairs:
        gallery, places = gallery_from(table)
        near = self._near
        if isinstance(near, OnlyEqualSettings):
            return near_pairs(gallery_from(_SUMMARY.empty_table())[0], 0)
        min_cosine = near.min_cosine if isinstance(near, EmbeddingSettings) else None
        found = near_pairs(gallery, near.max_distance, min_cosine)
        return Pairs(places[found.first], places[found.second], found.distances)

    def _joining(self, count: int, pairs: Pairs) -> Pairs:
        """Those by which images are in a group."""
        near = self._near
        if isinstance(near, OnlyEqualSettings):
            return pairs
        kept = kept_pairs(count, pairs, near.max_group)
        if left_out := len(pairs) - len(kept):
            _log.warning(
                "splits: groups of more than %d images that look alike (corpus.near_duplicates.max_group) were taken"
                " apart; images of %d pairs may be in different splits",
                near.max_group,
                left_out,
            )
        return kept

    def apply(self, rows: Sequence[ImageRecord], decision: pa.Table) -> list[Outcome[ImageSplit]]:
        """One `ImageSplit` for each image but those that are left out."""
        ids = [row.image_id for row in rows]
        chosen = decision.filter(pc.is_in(decision.column("image_id"), pa.array(ids, pa.string())))
        found = {one["image_id"]: Placed(**one) for one in chosen.to_pylist()}
        drawn_by = self.drawn_by
        return [self._outcome(found.get(image_id) or self._alone(image_id), drawn_by) for image_id in ids]

    def _alone(self, image_id: str) -> Placed:
        return Placed(image_id, self.split_of(image_id), None, is_given=False)

    @staticmethod
    def _outcome(placed: Placed, drawn_by: str) -> Outcome[ImageSplit]:
        if placed.split is None:
            return Dropped(IN_NO_SPLIT, placed.detail)
        drawn = None if placed.is_given else drawn_by
        return Kept((ImageSplit(placed.image_id, placed.split, placed.group, drawn, placed.leaks),))

    def split_of(self, image_id: str) -> str:
        """The split of an image that has none given and is like no other."""
        digest = hashlib.sha256(f"{self._seed}/{SPLITS}/{image_id}".encode()).digest()
        place_in = int.from_bytes(digest[:8], "big") / 2**64 * sum(self._shares.values())
        for split, share in self._shares.items():
            place_in -= share
            if place_in < 0:
                return split
        return next(reversed(self._shares))  # rounding


def _decision(placed: Sequence[Placed]) -> pa.Table:
    columns = {name: [getattr(one, name) for one in placed] for name in _DECISION.names}
    return pa.table(columns, schema=_DECISION)


def given_split(evidence: Evidence, image_id: str) -> str | None:
    """The split that came in beside an image."""
    return next((item.split for item in evidence[image_id].annotations if item.split), None)
