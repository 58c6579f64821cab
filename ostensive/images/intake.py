"""The stage `images`: source items to image records, or to the reason why not.

Reading, hashing and decoding run on a few threads (Pillow and hashlib let others run meanwhile), each with one image in
memory; whether an image is a duplicate is decided afterwards, in order, so that the result does not depend on which
thread was faster. It takes the ids seen so far as an argument and keeps no state of its own: a run that continues
hands it what earlier partitions kept.
"""

import hashlib
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ostensive.images import refusals
from ostensive.images.decode import ImageFacts, examine
from ostensive.images.items import SourceItem
from ostensive.images.loader import ImageLoader
from ostensive.images.paths import shown_name
from ostensive.images.refusals import ImageRefusedError
from ostensive.recipe import IntakeSettings
from ostensive.records import ImageRecord
from ostensive.stage import Dropped, Failed, Kept, Outcome

VERSION: Final = 1  # raise it when the same bytes would be taken in otherwise than before


@dataclass(frozen=True, slots=True)
class _Examined:
    """What a thread found out about one item; `facts` None for bytes that were kept in an earlier call."""

    image_id: str
    byte_count: int
    facts: ImageFacts | None


class Intake:
    """Takes images in. Any number of items may be given at once: their bytes are never in memory together."""

    name: ClassVar[str] = "images"
    record_out: ClassVar[type[ImageRecord]] = ImageRecord

    def __init__(self, settings: IntakeSettings, threads: int) -> None:
        self._settings = settings
        self._threads = threads
        self._loader = ImageLoader(settings)

    @property
    def identity(self) -> Mapping[str, Any]:  # Any: JSON values of any depth
        """What the outcomes depend on besides the items and their bytes."""
        return {"settings": self._settings.identity(), "version": VERSION}

    def process(self, items: Sequence[SourceItem], seen: set[str]) -> list[Outcome[ImageRecord]]:
        """Outcomes of `items`, same length and order. `seen` holds the image ids kept before, and is added to."""
        # `seen` grows only after the last thread is done: copying it for each call would cost more and more.
        with ThreadPoolExecutor(max_workers=self._threads, thread_name_prefix="intake") as pool:
            results = list(pool.map(lambda item: self._examine(item, seen), items))
        sources: dict[str, str] = {}
        return [self._outcome(item, result, seen, sources) for item, result in zip(items, results, strict=True)]

    def _examine(self, item: SourceItem, seen: Set[str]) -> _Examined | ImageRefusedError:
        if item.problem is not None:
            return ImageRefusedError(item.problem, item.detail)
        try:
            data = self._loader.read_location(item.location)
            image_id = hashlib.sha256(data).hexdigest()
            facts = None if image_id in seen else examine(data, self._settings)
        except ImageRefusedError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the boundary of one image: whatever it causes, the others go on
            return ImageRefusedError(refusals.UNREADABLE, shown_name(f"{type(error).__name__}: {error}"[:200]))
        return _Examined(image_id, len(data), facts)

    def _outcome(
        self, item: SourceItem, result: _Examined | ImageRefusedError, seen: set[str], sources: dict[str, str]
    ) -> Outcome[ImageRecord]:
        if isinstance(result, ImageRefusedError):
            if result.reason in refusals.FAULTS:
                return Failed(result.reason, result.detail)
            return Dropped(result.reason, result.detail)
        if result.image_id in seen:
            return Dropped(refusals.DUPLICATE, f"same bytes as {sources.get(result.image_id, result.image_id)}")
        assert result.facts is not None, "only bytes that were seen before are not examined"
        seen.add(result.image_id)
        sources[result.image_id] = item.source
        record = ImageRecord(
            image_id=result.image_id,
            width=result.facts.width,
            height=result.facts.height,
            format=result.facts.format,
            mode=result.facts.mode,
            byte_count=result.byte_count,
            source=item.source,
            location=item.location,
        )
        return Kept((record,))
