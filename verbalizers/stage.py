"""The stage `verbalized`: images in, verbalizations out, put together from the verbalizers that the settings name.

Images are worked on in small groups, bounded in number and in pixels, so that a partition of any size needs the memory
of one group. What an image comes to depends on the image, the settings and the seed alone, and not on its neighbours,
the size of the partition or the number of threads.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Self, TypeVar  # Any: JSON values of any depth

from ostensive.chat.endpoint import ServedModelSettings
from ostensive.images.loader import ImageLoader
from ostensive.records import NO_SPEND, ImageRecord, Region, Verbalization
from ostensive.run.services import Services
from ostensive.stage import Evidence, Failed, Kept, Outcome, Stage
from verbalizers import table
from verbalizers.base import (
    Captioner,
    ConceptLabeller,
    DecodedImage,
    ImageFailure,
    Narrator,
    Prober,
    QuestionAsker,
    RegionProposer,
    Verbalizer,
    VerbalizerContext,
    Workers,
    open_workers,
)
from verbalizers.choice import Proposal
from verbalizers.table import VerbalizeSettings

VERBALIZED: Final = "verbalized"
UNREADABLE = "image cannot be read"
NOT_VERBALIZED = "verbalizing failed"
_IMAGES_A_THREAD = 4  # in a group: enough that no thread waits long for the last of the others
_IMAGES_A_CALL = 32

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Verbalizers:
    """One for each part of a verbalization."""

    concepts: ConceptLabeller
    narratives: Narrator
    regions: RegionProposer
    captions: Captioner
    probes: Prober

    @property
    def all(self) -> tuple[Verbalizer, ...]:
        return self.concepts, self.narratives, self.regions, self.captions, self.probes


@dataclass(frozen=True, slots=True)
class DecodedGroup:
    """Images that are worked on together, and what decoding them came to."""

    rows: tuple[ImageRecord, ...]
    images: tuple[DecodedImage | ImageFailure, ...]


@dataclass(frozen=True, slots=True)
class _Open:
    """What the stage has while it is open."""

    loader: ImageLoader
    workers: Workers
    group_size: int


class VerbalizeStage(Stage[ImageRecord, Verbalization]):
    """Turns images into text."""

    name = VERBALIZED
    record_in = ImageRecord
    record_out = Verbalization

    def __init__(
        self,
        settings: VerbalizeSettings,
        *,
        seed: int,
        endpoint: ServedModelSettings | None = None,
        asker: QuestionAsker | None = None,
    ) -> None:
        """`endpoint` is the server of the verbalizers of kind `served`; `asker` asks where probes are a teacher's.

        Raises `SettingsError` for lists, vocabularies and weights that cannot be used.
        """
        self._settings, self._seed = settings, seed
        context = VerbalizerContext(
            seed=seed,
            working_side_px=settings.working_side_px,
            sharpness_side_px=settings.sharpness_side_px,
            sent_images=settings.sent_images,
            endpoint=endpoint,
            asker=asker,
        )
        self.verbalizers = Verbalizers(
            table.CONCEPTS[type(settings.concepts)](settings.concepts, context),
            table.NARRATIVES[type(settings.narratives)](settings.narratives, context),
            table.REGIONS[type(settings.regions)](settings.regions, context),
            table.CAPTIONS[type(settings.captions)](settings.captions, context),
            table.PROBES[type(settings.probes)](settings.probes, context),
        )
        # Two where a server is asked, so that it has work while one of them waits for its last answers.
        self.partitions_at_once = 2 if settings.asks_endpoint or asker is not None else 1
        self._open: _Open | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        versions = [verbalizer.version for verbalizer in self.verbalizers.all]
        return {"settings": self._settings.identity(), "seed": self._seed, "versions": versions}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        wanted = max(verbalizer.images_wanted for verbalizer in self.verbalizers.all)
        with ExitStack() as stack:
            workers = stack.enter_context(open_workers(services.threads))
            for verbalizer in self.verbalizers.all:
                stack.enter_context(verbalizer.opened(services, workers))
            self._open = _Open(services.images, workers, max(_IMAGES_A_THREAD * services.threads, wanted))
            # A call of some seconds, so that a run can be stopped and watched, and two groups at least.
            self.images_at_once = max(_IMAGES_A_CALL, 2 * self._open.group_size)
            try:
                yield self
            finally:
                self._open = None

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Verbalization]]:  # noqa: ARG002 - of a stage
        """`Kept` with one verbalization, or the failure `image cannot be read` or `verbalizing failed`.

        Images of the next group are decoded while one is worked on.
        """
        outcomes: list[Outcome[Verbalization]] = []
        for group in self.decoded(rows):
            outcomes += self._process_group(group.rows, group.images)
        return outcomes

    def decoded(self, rows: Sequence[ImageRecord]) -> Iterator[DecodedGroup]:
        """`rows` in the groups that are worked on together; the next group is decoded while one is worked on."""
        assert self._open is not None, "the stage is opened before it is used"
        planned = groups(rows, self._open.group_size, self._settings.max_pixels_at_once // 2)
        start = self._open.workers.start
        ahead = deque((group, start(self._decode, group)) for group in islice(planned, 1))
        while ahead:
            group, images = ahead.popleft()
            decoded = DecodedGroup(tuple(group), tuple(images))
            ahead += ((group, start(self._decode, group)) for group in islice(planned, 1))
            yield decoded

    def _decode(self, row: ImageRecord) -> DecodedImage:
        assert self._open is not None, "as above"
        pixels = self._open.loader.load(row)
        pixels.load()
        return DecodedImage(row.image_id, pixels)

    def _process_group(
        self, rows: Sequence[ImageRecord], images: Sequence[DecodedImage | ImageFailure]
    ) -> list[Outcome[Verbalization]]:
        outcomes: dict[str, Outcome[Verbalization]] = {
            row.image_id: Failed(UNREADABLE, image.detail)
            for row, image in zip(rows, images, strict=True)
            if isinstance(image, ImageFailure)
        }
        outcomes |= self._verbalize([image for image in images if isinstance(image, DecodedImage)])
        return [outcomes[row.image_id] for row in rows]

    def _verbalize(self, images: Sequence[DecodedImage]) -> dict[str, Outcome[Verbalization]]:
        """What the verbalizers make of decoded images, by image_id."""
        use, group = self.verbalizers, _Group(list(images))
        concepts = group.keep("concepts", use.concepts.concepts(group.images))
        narratives = group.keep("narratives", use.narratives.narratives(group.images))
        proposals = group.keep("regions", use.regions.regions(group.images))
        captions = group.keep(
            "captions", use.captions.captions(group.images, [proposals[image.image_id] for image in group.images])
        )
        drafts = [
            Verbalization(
                image_id=image.image_id,
                concepts=concepts[image.image_id],
                narratives=narratives[image.image_id],
                regions=number_regions(proposals[image.image_id], captions[image.image_id]),
                probes=(),
            )
            for image in group.images
        ]
        probes = group.keep("probes", use.probes.probes(group.images, drafts))
        whole = {
            draft.image_id: (replace(draft, probes=probes[draft.image_id]),)
            for draft in drafts
            if draft.image_id in probes
        }
        # A failure that was paid for is counted with what it cost.
        return {
            image.image_id: Kept(whole[image.image_id], (), image.spend)
            if image.image_id in whole
            else Kept((), (group.failed[image.image_id],), image.spend)
            if image.spend != NO_SPEND
            else group.failed[image.image_id]
            for image in images
        }


class _Group:
    """The images of a group that no verbalizer has failed on yet, and the failures of the others."""

    def __init__(self, images: list[DecodedImage]) -> None:
        self.images = images
        self.failed: dict[str, Failed[Verbalization]] = {}

    def keep(self, part: str, results: Sequence[ResultT | ImageFailure]) -> dict[str, ResultT]:
        """The `part` of each of `images`, by image_id; an image that it failed on is not given to those after."""
        found = {}
        for image, result in zip(self.images, results, strict=True):
            if isinstance(result, ImageFailure):
                self.failed[image.image_id] = Failed(NOT_VERBALIZED, f"{part}: {result.detail}")
            else:
                found[image.image_id] = result
        self.images = [image for image in self.images if image.image_id in found]
        return found


def number_regions(proposals: Sequence[Proposal], captions: Sequence[str]) -> tuple[Region, ...]:
    """Regions numbered from 0 in the order given; raises `ValueError` where there are more or fewer captions."""
    return tuple(
        Region(number, proposal.box, proposal.label, proposal.label_probability, caption)
        for number, (proposal, caption) in enumerate(zip(proposals, captions, strict=True))
    )


def groups(rows: Sequence[ImageRecord], max_images: int, max_pixels: int) -> Iterator[list[ImageRecord]]:
    """`rows` in order, in groups of at most so many images and pixels; a larger image is a group of its own."""
    group: list[ImageRecord] = []
    pixels_held = 0
    for row in rows:
        size = row.width * row.height
        if group and (len(group) == max_images or pixels_held + size > max_pixels):
            yield group
            group, pixels_held = [], 0
        group.append(row)
        pixels_held += size
    if group:
        yield group
