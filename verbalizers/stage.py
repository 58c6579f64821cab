"""The stage `verbalized`: images in, verbalizations out, put together from the parts that the settings name.

Images are worked on in small groups, bounded in number and in pixels, so that a partition of any size needs the memory
of one group. What an image comes to depends on the image, the settings and the seed alone, and not on its neighbours,
the size of the partition or the number of threads.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import PIL.Image

from ostensive.records import NO_SPEND, ImageRecord, Region, Verbalization
from ostensive.stage import Evidence, Failed, Kept, Outcome
from verbalizers import kinds, parts
from verbalizers.choice import Proposal
from verbalizers.settings import VerbalizeSettings

UNREADABLE = "image cannot be read"
NOT_VERBALIZED = "verbalizing failed"
_IMAGES_A_THREAD = 4  # in a group: enough that no thread waits long for the last of the others
_IMAGES_A_CALL = 32

SaidT = TypeVar("SaidT")


@dataclass(frozen=True, slots=True)
class Parts:
    """The five parts of a verbalization."""

    concepts: parts.ConceptPart
    narratives: parts.NarrativePart
    regions: parts.RegionPart
    captions: parts.CaptionPart
    probes: parts.ProbePart

    @property
    def all(self) -> tuple[parts.Part, ...]:
        return self.concepts, self.narratives, self.regions, self.captions, self.probes


@dataclass(frozen=True, slots=True)
class DecodedGroup:
    """Images that are worked on together, and what decoding them came to."""

    rows: tuple[ImageRecord, ...]
    views: tuple[parts.View | parts.Unsaid, ...]


class VerbalizeStage:
    """Turns images into text. `load` decodes an image upright and in RGB, or raises; it is called from threads."""

    record_in = ImageRecord
    record_out = Verbalization
    name = "verbalized"

    def __init__(
        self,
        settings: VerbalizeSettings,
        load: Callable[[ImageRecord], PIL.Image.Image],
        *,
        seed: int,
        threads: int,
        models: parts.Models | None = None,
    ) -> None:
        """`threads` is at least 1 and changes nothing that is said. `models` is what parts that need more reach."""
        if threads < 1:
            raise ValueError(f"threads: 1 or more are expected, not {threads}")
        self._settings, self._load, self._seed = settings, load, seed
        self._workers = parts.Workers(threads)
        tools = parts.PartTools(self._workers, seed, models or parts.Models(), settings.sent_images)
        self.parts = Parts(
            kinds.CONCEPT_PARTS[settings.concepts.kind](settings.concepts, tools),
            kinds.NARRATIVE_PARTS[settings.narratives.kind](settings.narratives, tools),
            kinds.REGION_PARTS[settings.regions.kind](settings.regions, tools),
            kinds.CAPTION_PARTS[settings.captions.kind](settings.captions, tools),
            kinds.PROBE_PARTS[settings.probes.kind](settings.probes, tools),
        )
        self._group_size = max(
            _IMAGES_A_THREAD * threads,
            *(part.images_wanted for part in self.parts.all),
        )
        self._resources = ExitStack()

    @property
    def partitions_at_once(self) -> int:
        """Two where a server is asked, so that it has work while one of them waits for its last answers."""
        asks_teacher = getattr(self._settings.probes, "asked_by", "list") == "teacher"
        return 2 if self._settings.asks_endpoint or asks_teacher else 1

    @property
    def images_at_once(self) -> int:
        """A call of some seconds, so that a run can be stopped and watched, and two groups at least."""
        return max(_IMAGES_A_CALL, 2 * self._group_size)

    @property
    def identity(self) -> Mapping[str, Any]:  # Any: JSON values of any depth
        versions = [part.version for part in self.parts.all]
        return {"settings": self._settings.identity(), "seed": self._seed, "versions": versions}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._workers)
            for part in self.parts.all:
                stack.enter_context(part)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Verbalization]]:  # noqa: ARG002 - the protocol has it
        """`Kept` with one verbalization, or the failure `image cannot be read` or `verbalizing failed`.

        Images of the next group are decoded while one is worked on.
        """
        outcomes: list[Outcome[Verbalization]] = []
        for group in self.decoded(rows):
            outcomes += self._process_group(group.rows, group.views)
        return outcomes

    def decoded(self, rows: Sequence[ImageRecord]) -> Iterator[DecodedGroup]:
        """`rows` in the groups that are worked on together; the next group is decoded while one is worked on."""
        planned = groups(rows, self._group_size, self._settings.max_pixels_at_once // 2)
        ahead = deque((group, self._workers.start(self._view, group)) for group in islice(planned, 1))
        while ahead:
            group, views = ahead.popleft()
            decoded = DecodedGroup(tuple(group), tuple(views))
            ahead += ((group, self._workers.start(self._view, group)) for group in islice(planned, 1))
            yield decoded

    def _process_group(
        self, rows: Sequence[ImageRecord], views: Sequence[parts.View | parts.Unsaid]
    ) -> list[Outcome[Verbalization]]:
        outcomes: dict[str, Outcome[Verbalization]] = {
            row.image_id: Failed(UNREADABLE, view.detail)
            for row, view in zip(rows, views, strict=True)
            if isinstance(view, parts.Unsaid)
        }
        outcomes |= self._verbalize([view for view in views if isinstance(view, parts.View)])
        return [outcomes[row.image_id] for row in rows]

    def _view(self, row: ImageRecord) -> parts.View:
        picture = self._load(row)
        if picture.mode != "RGB":
            raise ValueError(f"an image decoded to RGB is expected, not to {picture.mode}")
        picture.load()
        return parts.View(row.image_id, picture, self._settings.working_side_px, self._settings.sharpness_side_px)

    def _verbalize(self, views: Sequence[parts.View]) -> dict[str, Outcome[Verbalization]]:
        """What the parts make of decoded images, by image_id."""
        use, group = self.parts, _Group(list(views))
        concepts = group.keep("concepts", use.concepts.concepts(group.views))
        narratives = group.keep("narratives", use.narratives.narratives(group.views))
        proposals = group.keep("regions", use.regions.regions(group.views))
        captions = group.keep(
            "captions", use.captions.captions(group.views, [proposals[view.image_id] for view in group.views])
        )
        drafts = [
            Verbalization(
                image_id=view.image_id,
                concepts=concepts[view.image_id],
                narratives=narratives[view.image_id],
                regions=number_regions(proposals[view.image_id], captions[view.image_id]),
                probes=(),
            )
            for view in group.views
        ]
        probes = group.keep("probes", use.probes.probes(group.views, drafts))
        told = {
            draft.image_id: (replace(draft, probes=probes[draft.image_id]),)
            for draft in drafts
            if draft.image_id in probes
        }
        # A failure that was paid for is counted with what it cost.
        return {
            view.image_id: Kept(told[view.image_id], (), view.spend)
            if view.image_id in told
            else Kept((), (group.failed[view.image_id],), view.spend)
            if view.spend != NO_SPEND
            else group.failed[view.image_id]
            for view in views
        }


class _Group:
    """The images of a group that no part has failed on yet, and the failures of the others."""

    def __init__(self, views: list[parts.View]) -> None:
        self.views = views
        self.failed: dict[str, Failed[Verbalization]] = {}

    def keep(self, part: str, results: Sequence[SaidT | parts.Unsaid]) -> dict[str, SaidT]:
        """What `part` said of each of `views`, by image_id; an image it failed on is not given to the parts after."""
        said = {}
        for view, result in zip(self.views, results, strict=True):
            if isinstance(result, parts.Unsaid):
                self.failed[view.image_id] = Failed(NOT_VERBALIZED, f"{part}: {result.detail}")
            else:
                said[view.image_id] = result
        self.views = [view for view in self.views if view.image_id in said]
        return said


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
