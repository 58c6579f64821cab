"""The five parts that a verbalization is put together from, as the stage sees them, and what they are given.

A part is asked about several images at once, so that a model can run in batches, and answers for each image alone: what
it says, or that it failed. Parts are entered before use and hold their models from then on. One class for all five was
given up: a detector and a language model should be combined by settings and not by subclassing.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import PIL.Image

from ostensive.chat.records import Chat
from ostensive.chat.scripted import Script
from ostensive.errors import OstensiveError
from ostensive.models.pool import GeneratorPool
from ostensive.recipe import ServedModelSettings
from ostensive.records import NO_SPEND, Box, Probe, Spend, Verbalization
from verbalizers.choice import Proposal
from verbalizers.image_text.settings import SentImageSettings
from verbalizers.pixels.captions import RegionFacts, measure_region
from verbalizers.pixels.raster import Raster, make_raster
from verbalizers.pixels.scene import Scene, measure_scene

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A part could not do its work for one image."""

    detail: str


class View:
    """A decoded image and, as soon as somebody asks, its figures; used by one thread at a time."""

    def __init__(self, image_id: str, picture: PIL.Image.Image, working_side_px: int, sharpness_side_px: int) -> None:
        self.image_id = image_id
        self.picture = picture  # upright, RGB, full size
        self._working_side_px = working_side_px
        self._sharpness_side_px = sharpness_side_px
        self._regions: dict[tuple[Box, str], RegionFacts] = {}
        self.spend = NO_SPEND  # on answers of chat models about this image

    @cached_property
    def raster(self) -> Raster:
        return make_raster(self.picture, self._working_side_px)

    @cached_property
    def scene(self) -> Scene:
        return measure_scene(self.picture, self.raster, self._sharpness_side_px)

    def region(self, box: Box, label: str) -> RegionFacts:
        """The figures of a box."""
        if (box, label) not in self._regions:
            self._regions[box, label] = measure_region(self.raster, box, label)
        return self._regions[box, label]


class Workers:
    """Runs a function over items in threads; an item that raises becomes `Unsaid` and costs no neighbour."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="verbalize")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def map(self, function: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> list[ResultT | Unsaid]:
        """Results in the order of `items`."""
        return list(self.start(function, items))

    def start(self, function: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> Iterator[ResultT | Unsaid]:
        """The same, at work already before the first result is asked for."""
        assert self._pool is not None, "workers are entered before they are given work"

        def attempt(item: ItemT) -> ResultT | Unsaid:
            try:
                return function(item)
            except Exception as error:  # noqa: BLE001 - the boundary of one sample: its failure is counted as its own
                return Unsaid(describe_error(error))

        return self._pool.map(attempt, items)


def describe_error(error: Exception) -> str:
    """One line on an error, the same in every run: the messages of some libraries give memory addresses."""
    text = " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", str(error)).split())
    return text if isinstance(error, OstensiveError) else f"{type(error).__name__}: {text}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a teacher would like to know of one image, and what it cost to ask it."""

    questions: tuple[str, ...] | Unsaid
    spend: Spend


class QuestionAsker(Protocol):
    """A teacher that asks what the text on an image leaves open. Entered before use; called from several threads."""

    @property
    def identity(self) -> Mapping[str, Any]:  # Any: JSON values of any depth
        """All that its questions depend on besides the text."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def ask(self, drafts: Sequence[Verbalization], count: int) -> list[Asked]:
        """At most about `count` questions on each; raises what `Chat.chat` raises."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """What parts may reach beyond pixels: the recipe that uses them hands it in."""

    generators: GeneratorPool = field(default_factory=GeneratorPool)  # parts with one model share it
    endpoint: ServedModelSettings | None = None  # of the parts of kind `served`
    open_chat: Callable[[ServedModelSettings, Script], Chat] | None = None
    make_asker: Callable[[str], QuestionAsker] | None = None  # by the name or folder of a prompt set


@dataclass(frozen=True, slots=True)
class PartTools:
    """What a part is handed when it is made, beside its settings."""

    workers: Workers
    seed: int
    models: Models = field(default_factory=Models)
    sent: SentImageSettings = field(default_factory=SentImageSettings)

    def rng(self, image_id: str, part: str) -> Random:
        """The generator for what one part says of one image: the same whatever is done before, beside or after it."""
        return Random(f"{self.seed}/{part}/{image_id}")  # noqa: S311 - wording, not secrets


class Part(Protocol):
    """What all parts have. `version` goes into the stage's identity: raise it when what is said changes."""

    @property
    def version(self) -> str: ...

    @property
    def images_wanted(self) -> int:
        """Of how many images at a time the part makes best use; it takes any number."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ConceptPart(Part, Protocol):
    """Tells whole sentences on an image as a whole."""

    def concepts(self, views: Sequence[View]) -> Sequence[tuple[str, ...] | Unsaid]: ...


class NarrativePart(Part, Protocol):
    """Tells descriptions of an image."""

    def narratives(self, views: Sequence[View]) -> Sequence[tuple[str, ...] | Unsaid]: ...


class RegionPart(Part, Protocol):
    """Proposes and chooses regions, at least one an image, in the order of their numbers."""

    def regions(self, views: Sequence[View]) -> Sequence[tuple[Proposal, ...] | Unsaid]: ...


class CaptionPart(Part, Protocol):
    """Tells one caption for each region."""

    def captions(
        self, views: Sequence[View], regions: Sequence[tuple[Proposal, ...]]
    ) -> Sequence[tuple[str, ...] | Unsaid]: ...


class ProbePart(Part, Protocol):
    """Asks and answers; `drafts` hold all that the other parts said, and no probes."""

    def probes(
        self, views: Sequence[View], drafts: Sequence[Verbalization]
    ) -> Sequence[tuple[Probe, ...] | Unsaid]: ...
