"""What verbalizers are: the five kinds of them as the stage sees them, and what they are given.

A verbalizer is asked about several images at once, so that a model can run in batches, and answers for each image
alone: with texts or regions, or that it failed. It is made of settings, and holds its models while it is open. There
are five protocols and not one, so that a detector and a language model are combined by settings and not by subclassing.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, Self, TypeVar  # Any: JSON values

import PIL.Image

from ostensive.chat.endpoint import ServedModelSettings
from ostensive.chat.pictures import DEFAULT_SENT_IMAGES, SentImageSettings
from ostensive.errors import OstensiveError
from ostensive.records import NO_SPEND, Probe, Spend, Verbalization
from ostensive.run.services import Services
from verbalizers.choice import Proposal

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class ImageFailure:
    """A verbalizer could not do its work for one image."""

    detail: str


class DecodedImage:
    """An image with its pixels, and what is worked out of them on the way; used by one thread at a time."""

    def __init__(self, image_id: str, pixels: PIL.Image.Image) -> None:
        self.image_id = image_id
        self.pixels = pixels  # upright, RGB, full size
        self.spend = NO_SPEND  # on answers of served models about this image
        self.memo: dict[str, Any] = {}  # what one verbalizer worked out and another may need


@dataclass(frozen=True, slots=True)
class Workers:
    """Runs a function over items in threads; an item that raises becomes an `ImageFailure` and costs no neighbour."""

    pool: ThreadPoolExecutor

    def map(self, function: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> list[ResultT | ImageFailure]:
        """Results in the order of `items`."""
        return list(self.start(function, items))

    def start(self, function: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> Iterator[ResultT | ImageFailure]:
        """The same, at work already before the first result is asked for."""

        def attempt(item: ItemT) -> ResultT | ImageFailure:
            try:
                return function(item)
            except Exception as error:  # noqa: BLE001 - the boundary of one sample: its failure is counted as its own
                return ImageFailure(describe_error(error))

        return self.pool.map(attempt, items)


@contextmanager
def open_workers(threads: int) -> Iterator[Workers]:
    """Threads to work in, until the context ends."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="verbalize")
    try:
        yield Workers(pool)
    finally:
        pool.shutdown(cancel_futures=True)


def describe_error(error: Exception) -> str:
    """One line on an error, the same in every run: the messages of some libraries give memory addresses."""
    text = " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", str(error)).split())
    return text if isinstance(error, OstensiveError) else f"{type(error).__name__}: {text}"


@dataclass(frozen=True, slots=True)
class Questions:
    """What a teacher would like to know of one image, and what it cost to ask it."""

    questions: tuple[str, ...] | ImageFailure
    spend: Spend


class QuestionAsker(Protocol):
    """A teacher that asks what the text on an image leaves open. Opened before use; called from several threads."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that its questions depend on besides the text."""
        ...

    def opened(self, services: Services) -> AbstractContextManager["QuestionAsker"]:
        """The asker with its teacher, for as long as the context lasts."""
        ...

    def ask(self, drafts: Sequence[Verbalization], count: int) -> list[Questions]:
        """At most about `count` questions on each; raises what `Chat.chat` raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbalizerContext:
    """What a verbalizer is made with beside its own settings."""

    seed: int
    working_side_px: int = 160  # of `VerbalizeSettings`
    sharpness_side_px: int = 384
    sent_images: SentImageSettings = DEFAULT_SENT_IMAGES
    endpoint: ServedModelSettings | None = None  # of the verbalizers of kind `served`
    asker: QuestionAsker | None = None

    def rng(self, image_id: str, purpose: str) -> Random:
        """The generator for what is said of one image: the same whatever is done before, beside or after it."""
        return Random(f"{self.seed}/{purpose}/{image_id}")  # noqa: S311 - wording, not secrets


class Verbalizer(Protocol):
    """What all verbalizers have; classes of ours derive from it."""

    images_wanted: int = 1
    """Of how many images at a time it makes best use; it takes any number."""
    workers: Workers
    """Threads, while it is open."""

    @property
    def version(self) -> str:
        """Goes into the stage's identity, and changes when what is said changes; known before it is opened."""
        ...

    @contextmanager
    def opened(self, services: Services, workers: Workers) -> Iterator[Self]:  # noqa: ARG002 - for those that need them
        """The verbalizer with its models, for as long as the context lasts; raises `SettingsError`."""
        self.workers = workers
        try:
            yield self
        finally:
            del self.workers  # so that it pickles again


class ConceptLabeller(Verbalizer, Protocol):
    """Gives whole sentences on an image as a whole."""

    def concepts(self, images: Sequence[DecodedImage]) -> Sequence[tuple[str, ...] | ImageFailure]: ...


class Narrator(Verbalizer, Protocol):
    """Gives descriptions of an image."""

    def narratives(self, images: Sequence[DecodedImage]) -> Sequence[tuple[str, ...] | ImageFailure]: ...


class RegionProposer(Verbalizer, Protocol):
    """Proposes and chooses regions, at least one an image, in the order of their numbers."""

    def regions(self, images: Sequence[DecodedImage]) -> Sequence[tuple[Proposal, ...] | ImageFailure]: ...


class Captioner(Verbalizer, Protocol):
    """Gives one caption for each region."""

    def captions(
        self, images: Sequence[DecodedImage], regions: Sequence[tuple[Proposal, ...]]
    ) -> Sequence[tuple[str, ...] | ImageFailure]: ...


class Prober(Verbalizer, Protocol):
    """Asks and answers; `drafts` hold all that the others said, and no probes."""

    def probes(
        self, images: Sequence[DecodedImage], drafts: Sequence[Verbalization]
    ) -> Sequence[tuple[Probe, ...] | ImageFailure]: ...
