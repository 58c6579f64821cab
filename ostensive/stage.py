"""What a stage is, and what it may say of each row: `Kept`, `Dropped` or `Failed`.

A stage maps the rows of one partition to outcomes of the same length and order. It does not know which engine runs it,
reads no global state and writes no files.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar  # Any: JSON values, record classes

import pyarrow as pa

from ostensive.records import NO_SPEND, Annotation, ImageRecord, ImageSignature, Record, Spend, Verbalization

if TYPE_CHECKING:
    from ostensive.run.services import Services

RecordT = TypeVar("RecordT", bound=Record)
InT = TypeVar("InT", bound=Record)
OutT = TypeVar("OutT", bound=Record)


@dataclass(frozen=True, slots=True)
class Dropped(Generic[RecordT]):
    """A row that was looked at and is not wanted: `reason` is a short fixed phrase to count by, `detail` is free."""

    reason: str
    detail: str = ""
    record: RecordT | None = None


@dataclass(frozen=True, slots=True)
class Failed(Generic[RecordT]):
    """A row that could not be worked out: `reason` is a short fixed phrase to count by, `detail` is free."""

    reason: str
    detail: str = ""
    record: RecordT | None = None


@dataclass(frozen=True, slots=True)
class Kept(Generic[RecordT]):
    """A row that goes on, as one record or as several, with those of its parts that were lost on the way.

    A builder that asks for eighteen triples of an image and gets twelve good ones keeps twelve `records` and names six
    `losses`: nothing is lost silently, and one bad reply costs no neighbour.
    """

    records: tuple[RecordT, ...]
    losses: tuple[Dropped[RecordT] | Failed[RecordT], ...] = ()
    spend: Spend = NO_SPEND


Outcome = Kept[RecordT] | Dropped[RecordT] | Failed[RecordT]


@dataclass(frozen=True, slots=True)
class ImageEvidence:
    """All that is known of an image when a stage works on its rows; what is None is not known yet, or not asked for."""

    image: ImageRecord
    verbalization: Verbalization | None = None
    annotations: tuple[Annotation, ...] = ()  # what came in beside it
    signature: ImageSignature | None = None


Evidence = Mapping[str, ImageEvidence]  # by image_id


class Stage(ABC, Generic[InT, OutT]):
    """A step of a recipe. It is made of settings alone and pickles; when opened it is handed what it needs.

    A stage that asks for nothing more than its rows is a `FunctionStage`.
    """

    name: str
    """The folder of the run that holds its output, e.g. `verbalized`; a constant of the module that owns the stage."""
    record_in: Any
    """The class of its rows; Any: record classes, parametrised ones such as `Scored[Qar]` among them."""
    record_out: Any
    partitions_at_once: int = 1
    """How many partitions the stage may be given at a time: more than 1 only for stages that wait on a server."""
    uses_annotations: bool = False
    """Whether it looks at what came in beside images. One that does not is not shown it, nor done again for it."""
    images_at_once: int | None = None
    """The rows of how many images one call of `process` is given; None for the whole partition.

    Smaller calls let a slow stage be stopped and watched; whole partitions keep a server or a model busy.
    """

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Everything that its rows depend on besides their input: settings, prompts, seeds, its own version."""

    @contextmanager
    def opened(self, services: "Services") -> Iterator[Self]:  # noqa: ARG002 - for stages that need them
        """The stage with its models and clients, for as long as the context lasts; raises `SettingsError`."""
        yield self

    @abstractmethod
    def process(self, rows: Sequence[InT], evidence: Evidence) -> list[Outcome[OutT]]:
        """Outcomes of `rows`, same length and order. All rows of an image are in the same call.

        Called while the stage is open, from as many threads as `partitions_at_once` says.
        """


class FunctionStage(Stage[InT, OutT]):
    """A stage that is a function of its rows: it opens nothing. `function` is one that pickles, with its settings."""

    def __init__(
        self,
        name: str,
        function: Callable[[Sequence[InT], Evidence], list[Outcome[OutT]]],
        *,
        record_in: Any,
        record_out: Any,
        identity: Mapping[str, Any],
        uses_annotations: bool = False,
    ) -> None:
        self.name, self.record_in, self.record_out = name, record_in, record_out
        self.uses_annotations = uses_annotations
        self._function, self._identity = function, identity

    @property
    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def process(self, rows: Sequence[InT], evidence: Evidence) -> list[Outcome[OutT]]:
        return self._function(rows, evidence)


class RunWideStage(ABC, Generic[InT, OutT]):
    """A step that must see the whole run: it summarises each partition, decides once, and applies the decision to each.

    All three are pure, so that any engine can run them; summaries and decision are files of the run folder.
    """

    name: str
    record_in: Any
    record_out: Any
    uses_annotations: bool = False
    looks_back: bool = False
    """Whether its decision is made with what an earlier one made of the rows of this run, by `decide_after`."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """As of a `Stage`."""

    @abstractmethod
    def summarise(self, rows: Sequence[InT], evidence: Evidence) -> pa.Table:
        """What `decide` has to know of one partition: a small table, the same columns for every partition."""

    @abstractmethod
    def decide(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """The decision, from the summaries of all partitions in order; memory is bounded by them."""

    def decide_after(self, summaries: Sequence[pa.Table], earlier: Iterable[OutT]) -> pa.Table:  # noqa: ARG002 - of those that look back
        """The same where the run holds records of this stage, made by whatever settings and of whatever images."""
        return self.decide(summaries)

    @abstractmethod
    def apply(self, rows: Sequence[InT], decision: pa.Table) -> list[Outcome[OutT]]:
        """Outcomes of the rows of one partition, same length and order."""


AnyStage = Stage[Any, Any] | RunWideStage[Any, Any]


def record_name(record: Any) -> str:
    """What partitions call a record class: its name without type arguments."""
    return str(getattr(record, "__origin__", record).__name__)
