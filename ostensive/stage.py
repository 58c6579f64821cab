"""What a stage is, and what it may say of each row: `Kept`, `Dropped` or `Failed`.

A stage maps the rows of one partition to outcomes of the same length and order. It does not know which engine runs it,
reads no global state and writes no files. The alternative, stages that read and write their own folders, was given up
because resuming, counting and Ray would then have to be solved in each of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from ostensive.records import NO_SPEND, ImageRecord, Record, Spend, Verbalization

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
    """All that is known of an image when a stage works on its rows; `verbalization` is None until it is verbalized."""

    image: ImageRecord
    verbalization: Verbalization | None


Evidence = Mapping[str, ImageEvidence]  # by image_id


class Stage(Protocol[InT, OutT]):
    """A step of a recipe. Constructors store and validate; models and clients are acquired in `__enter__`."""

    @property
    def name(self) -> str:
        """The folder of the run that holds its output, e.g. `verbalized`."""
        ...

    @property
    def record_in(self) -> type[InT]: ...

    @property
    def record_out(self) -> type[OutT]: ...

    @property
    def identity(self) -> Mapping[str, Any]:  # Any: JSON values of any depth
        """Everything that its rows depend on besides their input: settings, prompts, seeds, its own version."""
        ...

    @property
    def partitions_at_once(self) -> int:
        """How many partitions the stage may be given at a time: more than 1 only for stages that wait on a server."""
        ...

    @property
    def images_at_once(self) -> int | None:
        """The rows of how many images one call of `process` is given; None for the whole partition.

        Smaller calls let a slow stage be stopped and watched; whole partitions keep a server or a model busy.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def process(self, rows: Sequence[InT], evidence: Evidence) -> list[Outcome[OutT]]:
        """Outcomes of `rows`, same length and order. All rows of an image are in the same call."""
        ...
