"""The stages `images` and `distinct`: source items to image records, or to the reason why not, each image once.

Reading, hashing and decoding run on a few threads (Pillow and hashlib let others run meanwhile), each with one image in
memory. Partitions are taken in without knowing of each other, on one machine or on several; which of their images were
met before is found by `FirstMet` from their ids alone, in the order of partitions, and told to `distinct`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final  # Any: JSON values of any depth

from ostensive.images import refusals
from ostensive.images.decode import ImageFacts
from ostensive.images.items import SourceItem
from ostensive.images.loader import ImageLoader
from ostensive.images.paths import shown_name
from ostensive.images.publish import take_in
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.settings import IntakeSettings
from ostensive.records import ImageRecord
from ostensive.stage import Dropped, Evidence, Failed, FunctionStage, Kept, Outcome, Stage

IMAGES: Final = "images"
DISTINCT: Final = "distinct"
VERSION: Final = 5  # raise it when the same bytes would be taken in otherwise than before


@dataclass(frozen=True, slots=True)
class _Examined:
    """What a thread found out about one item."""

    image_id: str
    byte_count: int
    facts: ImageFacts


class Intake(Stage[SourceItem, ImageRecord]):
    """Takes images in. Any number of items may be given at once: their bytes are never in memory together."""

    name = IMAGES
    record_in = SourceItem
    record_out = ImageRecord

    def __init__(self, settings: IntakeSettings, threads: int) -> None:
        self._settings = settings
        self._threads = threads

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the outcomes depend on besides the items and their bytes."""
        return {"settings": self._settings.identity(), "version": VERSION}

    def process(self, rows: Sequence[SourceItem], evidence: Evidence) -> list[Outcome[ImageRecord]]:  # noqa: ARG002 - of a stage
        """Outcomes of items, same length and order. Bytes that an item before has are an exact duplicate."""
        examined = partial(_examine, self._settings, ImageLoader(self._settings))
        with ThreadPoolExecutor(max_workers=self._threads, thread_name_prefix="intake") as pool:
            results = list(pool.map(examined, rows))
        firsts: dict[str, SourceItem] = {}
        return [_outcome(item, result, firsts) for item, result in zip(rows, results, strict=True)]


def _examine(settings: IntakeSettings, loader: ImageLoader, item: SourceItem) -> _Examined | ImageRefusedError:
    if item.problem is not None:
        return ImageRefusedError(item.problem, item.detail)
    try:
        data = loader.read_location(item.location)
        return _Examined(hashlib.sha256(data).hexdigest(), len(data), take_in(data, settings))
    except ImageRefusedError as error:
        return ImageRefusedError(
            error.reason, error.detail
        )  # without its traceback, which holds the bytes of the image
    except Exception as error:  # noqa: BLE001 - the boundary of one image: whatever it causes, the others go on
        return ImageRefusedError(refusals.UNREADABLE, shown_name(f"{type(error).__name__}: {error}"[:200]))


def _outcome(
    item: SourceItem, result: _Examined | ImageRefusedError, firsts: dict[str, SourceItem]
) -> Outcome[ImageRecord]:
    """`firsts` holds where each image of the partition was met first, and is added to."""
    if isinstance(result, ImageRefusedError):
        if result.reason in refusals.FAULTS:
            return Failed(result.reason, result.detail)
        return Dropped(result.reason, result.detail)
    record = ImageRecord(
        image_id=result.image_id,
        width=result.facts.width,
        height=result.facts.height,
        format=result.facts.format,
        mode=result.facts.mode,
        byte_count=result.byte_count,
        source=item.source,
        location=item.location,
        sample_bits=result.facts.sample_bits,
    )
    first = firsts.setdefault(result.image_id, item)
    if first is not item:
        return Dropped(refusals.DUPLICATE, f"same bytes as {first.source}", record)
    return Kept((record,))


class FirstMet:
    """The partition in which each image was met first. Told of partitions in the order of their indices."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()  # half the size of the hexadecimal text

    def repeated(self, image_ids: Sequence[str]) -> frozenset[str]:
        """Those of a partition's images that an earlier partition has."""
        raw = [bytes.fromhex(image_id) for image_id in image_ids]
        repeated = frozenset(image_id for image_id, key in zip(image_ids, raw, strict=True) if key in self._seen)
        self._seen.update(raw)
        return repeated


def distinct_stage(repeated: frozenset[str]) -> FunctionStage[ImageRecord, ImageRecord]:
    """The stage that drops the images of one partition that an earlier one has."""
    return FunctionStage(
        DISTINCT,
        partial(_without, repeated),
        record_in=ImageRecord,
        record_out=ImageRecord,
        identity={"repeated": sorted(repeated)},
    )


def _without(repeated: frozenset[str], rows: Sequence[ImageRecord], _evidence: Evidence) -> list[Outcome[ImageRecord]]:
    return [
        Dropped(refusals.DUPLICATE, f"same bytes as {row.image_id}", row) if row.image_id in repeated else Kept((row,))
        for row in rows
    ]
