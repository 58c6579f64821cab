"""The stage `cleared`: images of the run that a benchmark has too are dropped, before anything is paid for them.

A benchmark is taken in and hashed as the run's own images are, when the stage is opened; what it is known by is the
content of its files, so that a partition that is finished needs no look at it again.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self  # Any: JSON values of any depth

import pyarrow as pa

from ostensive.errors import SettingsError
from ostensive.images.intake import VERSION as INTAKE_VERSION
from ostensive.images.intake import Intake
from ostensive.images.items import SourceItem
from ostensive.images.near_pairs import Gallery, near_between
from ostensive.images.near_settings import EmbeddingSettings, NearSettings, OnlyEqualSettings
from ostensive.images.paths import openable_path, shown_name
from ostensive.images.perceptual import VERSION as LOOKS_VERSION
from ostensive.images.refusals import why_none
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
from ostensive.models.digests import files_digest
from ostensive.records import ImageRecord, ImageSignature
from ostensive.run.services import Services
from ostensive.run.signatures import (
    SIGNATURE_FIELDS,
    SignatureStage,
    embedding_identity,
    gallery_from,
    signature_columns,
)
from ostensive.stage import Dropped, Evidence, Failed, Kept, Outcome, Stage

CLEARED: Final = "cleared"
SAME_BYTES: Final = "image of a benchmark"
LOOKS_ALIKE: Final = "near duplicate of a benchmark's image"
NOT_COMPARED: Final = "image cannot be compared"
_VERSION: Final = 1
_AT_ONCE: Final = 256  # images of a benchmark

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    """The images of all benchmarks: what they look like, what each is called, and the names by their hashes."""

    gallery: Gallery
    names: tuple[str, ...]
    by_image_id: Mapping[str, str]


class DecontaminateStage(Stage[ImageRecord, ImageRecord]):
    """Drops images that are in one of the benchmarks, or look like one that is."""

    name = CLEARED
    record_in = ImageRecord
    record_out = ImageRecord

    def __init__(self, benchmarks: Sequence[str], near: NearSettings, intake: IntakeSettings) -> None:
        """`benchmarks` are absolute paths of images."""
        self._benchmarks, self._near = tuple(benchmarks), near
        # A benchmark is not chosen by what the corpus takes.
        self._intake = intake.model_copy(update={"world": "any", "min_side": 1, "column": None})
        self._held: _Held | None = None

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Worked out once: it is asked for with each partition. Raises `SettingsError` for a benchmark that cannot be
        listed."""
        near = self._near.identity()
        near.pop("max_group", None)
        if not isinstance(self._near, OnlyEqualSettings):
            near |= {**embedding_identity(self._near), "looks": LOOKS_VERSION}
        digests = [[Path(path).name, _digest(self._items(path))] for path in self._benchmarks]
        return {"version": _VERSION, "intake": INTAKE_VERSION, "near": near, "benchmarks": digests}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        self._held = self._read(services)
        try:
            yield self
        finally:
            self._held = None

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[ImageRecord]]:
        """`Dropped` for each image of a benchmark, with its name there; the others are kept."""
        assert self._held is not None, "a stage is opened before it works"
        is_looked_at = not isinstance(self._near, OnlyEqualSettings)
        near = self._nearest([evidence[row.image_id].signature for row in rows])
        outcomes: list[Outcome[ImageRecord]] = []
        for place, row in enumerate(rows):
            if (name := self._held.by_image_id.get(row.image_id)) is not None:
                outcomes.append(Dropped(SAME_BYTES, name, row))
            elif place in near:
                outcomes.append(Dropped(LOOKS_ALIKE, near[place], row))
            elif is_looked_at and evidence[row.image_id].signature is None:
                outcomes.append(Failed(NOT_COMPARED, "", row))
            else:
                outcomes.append(Kept((row,)))
        return outcomes

    def _nearest(self, signatures: Sequence[ImageSignature | None]) -> dict[int, str]:
        """The image of a benchmark that is nearest, for each place that has one that is near."""
        assert self._held is not None, "as above"
        if isinstance(self._near, OnlyEqualSettings):
            return {}
        gallery, places = gallery_from(_table(signatures))
        min_cosine = self._near.min_cosine if isinstance(self._near, EmbeddingSettings) else None
        found = near_between(gallery, self._held.gallery, self._near.max_distance, min_cosine)
        best: dict[int, tuple[int, str]] = {}
        columns = (part.tolist() for part in (found.first, found.second, found.distances))
        for own, other, distance in zip(*columns, strict=True):
            what = "by its embedding" if distance < 0 else f"at distance {distance}"
            told = f"{self._held.names[other]}, {what}"
            ranked = (distance if distance >= 0 else self._near.max_distance + 1, told)
            place = int(places[own])
            best[place] = min(best.get(place, ranked), ranked)
        return {place: told for place, (_, told) in best.items()}

    def _items(self, path: str) -> list[SourceItem]:
        try:
            return list_items(path, self._intake)
        except SettingsError as error:
            raise SettingsError(f"corpus.against: {error}") from error

    def _read(self, services: Services) -> _Held:
        names: list[str] = []
        by_image_id: dict[str, str] = {}
        signatures: list[ImageSignature] = []
        compared = self._near
        with ExitStack() as stack:
            signer = None
            if not isinstance(compared, OnlyEqualSettings):
                signer = stack.enter_context(SignatureStage(compared).opened(services))
            for path in self._benchmarks:
                for images in self._taken_in(path, services):
                    called = [f"{Path(path).name}: {image.source}" for image in images]
                    for image, name in zip(images, called, strict=True):
                        by_image_id.setdefault(image.image_id, name)
                    outcomes = [] if signer is None else signer.process(images, {})
                    for name, outcome in zip(called, outcomes, strict=False):
                        if isinstance(outcome, Kept):
                            names.append(name)
                            signatures += outcome.records
        gallery, places = gallery_from(_table(signatures))
        return _Held(gallery, tuple(names[place] for place in places.tolist()), by_image_id)

    def _taken_in(self, path: str, services: Services) -> Iterator[list[ImageRecord]]:
        """The images of a benchmark, some at a time; those that cannot be read are told in the log."""
        items, intake = self._items(path), Intake(self._intake, services.threads)
        refused, taken = Counter[str](), 0
        for start in range(0, len(items), _AT_ONCE):
            images: list[ImageRecord] = []
            for outcome in intake.process(items[start : start + _AT_ONCE], {}):
                if isinstance(outcome, Kept):
                    images += outcome.records
                else:
                    refused[outcome.reason] += 1
            taken += len(images)
            yield images
        if not taken:
            raise SettingsError(f"corpus.against: {shown_name(path)}: {why_none(refused)}")
        if refused:
            counts = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
            _log.warning("%s: of %d images some cannot be compared: %s", path, len(items), counts)


def _table(signatures: Sequence[ImageSignature | None]) -> pa.Table:
    return pa.table(signature_columns(signatures), schema=pa.schema(list(SIGNATURE_FIELDS)))


def _digest(items: Sequence[SourceItem]) -> str:
    """What a benchmark is known by: the contents of the files that its images are in."""
    paths = {openable_path(item.location.path) for item in items if item.problem is None}
    return files_digest([Path(path) for path in sorted(paths)])
