"""Rounds: a run that goes on from an earlier one takes over what fitted there (ILLUME, section 3.1).

Every round is a run folder of its own, and its recipe names the one before. What was kept there stands again among the
candidates, under its own row id and with the number of the round that made it: it is never dropped as a repeat, a new
row that repeats it is, and the critics of this round judge it like any other. So a run holds all that has fitted so
far, and nothing twice. Unanswerable items are no rows that fitted: each round makes its own.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Generic, Protocol, Self, TypeVar  # Any: JSON values, record classes

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from builders.filtering import FilteredRecipe
from critics.stage import JUDGED
from ostensive.errors import SettingsError
from ostensive.records import Candidate, Judged
from ostensive.run import partitions
from ostensive.run.build import finished_run
from ostensive.run.folder import RunFolder
from ostensive.run.growth import Growth
from ostensive.settings import Operational, Settings, validate
from ostensive.user_paths import PathMark, shown_path
from ostensive.yaml_text import read_yaml

STOP_BELOW: Final = 0.05
"""ILLUME, section 4.4: it stops when a round adds less than 5 % to what has fitted before."""
_PARTITIONS_HELD: Final = 4
_ROUND: Final = "candidate.round"

MaxRounds = Operational[Annotated[int, Field(ge=1)] | None]
"""A number of rounds, 1 or more, or None for no end; no row depends on it."""


class RoundCandidate(Candidate, Protocol):
    """A candidate that knows which round made it."""

    @property
    def round(self) -> int: ...
    @property
    def unanswerable(self) -> str: ...


class OfImage(Protocol):
    """A record about an image."""

    @property
    def image_id(self) -> str: ...


RecordT = TypeVar("RecordT", bound=OfImage)
CandidateT = TypeVar("CandidateT", bound=RoundCandidate)


class RoundSettings(Settings):
    """Which round a run is, and what it goes on from."""

    parent: Annotated[str | None, PathMark()] = None
    """The run folder of the round before; `ostensive build --parent RUN` sets it, and `number`."""
    number: int = Field(default=0, ge=0)
    """Which round this is. 0 is the first, by a model that has learnt nothing from itself yet."""
    stop_below: float = Field(default=STOP_BELOW, ge=0, le=1)
    """Growth below which a further round is not worth it; ILLUME stops below 5 %."""
    max_rounds: MaxRounds = None
    """After so many rounds `ostensive loop` ends; null leaves it to `stop_below`."""

    @model_validator(mode="after")
    def _parent_of_a_later_round(self) -> Self:
        if (self.parent is None) != (self.number == 0):
            raise ValueError("number is 0 without a parent, and 1 or more with one; --parent RUN sets both")
        return self


FIRST_ROUND: Final = RoundSettings()
"""Of a run without a parent."""


class RoundsRecipe(FilteredRecipe):
    """A recipe that is carried out in rounds."""

    rounds: RoundSettings = RoundSettings()

    @property
    def round_number(self) -> int:
        return self.rounds.number


def settings_after(parent: Path, recipe: str) -> tuple[str, ...]:
    """The assignments that make a run the round after the one in `parent`.

    Raises `SettingsError` where that is no finished run of the same recipe, or of one that has no rounds.
    """
    values = read_yaml(finished_run(parent).recipe_path, str(parent))
    if values.get("recipe") != recipe:
        raise SettingsError(
            f"--parent {shown_path(parent)}: a run of {values.get('recipe')}; one of {recipe} is expected"
        )
    if "rounds" not in values:
        raise SettingsError(f"--parent: {recipe} has no rounds; leave it out")
    before = validate(RoundSettings, values["rounds"], f"{shown_path(parent)}, recipe.yaml: rounds")
    return (f"rounds.parent={parent}", f"rounds.number={before.number + 1}")


class ParentRecords(Generic[RecordT]):
    """What a stage of the round before kept, by image. Made of settings alone; looked up while it is open."""

    image_id_column: ClassVar[str] = "image_id"
    """Where partitions of the record have the id of the image."""

    def __init__(self, settings: RoundSettings, record: Any) -> None:  # Any: a record class, also a generic one
        self._parent = None if settings.parent is None else Path(settings.parent)
        self._record = record
        self._paths: dict[str, Path] = {}

    @property
    def identity(self) -> Sequence[Any]:
        """What the parent kept, by its partitions' digests; raises `SettingsError` where it is no finished run."""
        return [] if self._parent is None else [partitions.read_info(path).digest for path in self._partitions()]

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """Itself, knowing where the records of each image are."""
        if self._parent is not None:
            for path in self._partitions():
                self._paths |= dict.fromkeys(_kept_column(path, self.image_id_column), path)
        self._kept = lru_cache(maxsize=_PARTITIONS_HELD)(self._read)
        try:
            yield self
        finally:
            del self._kept  # so that it pickles again
            self._paths = {}

    def of(self, image_id: str) -> list[RecordT]:
        """The records of an image, in their order."""
        path = self._paths.get(image_id)
        return [] if path is None else [row for row in self._kept(path) if row.image_id == image_id]

    def _partitions(self) -> list[Path]:
        assert self._parent is not None, "asked of a round that has a parent"
        return finished_run(self._parent).paths_of(self._record)

    def _read(self, path: Path) -> tuple[RecordT, ...]:
        return tuple(partitions.read_kept(path, self._record))


class Inherited(ParentRecords[CandidateT]):
    """What fitted in the rounds before."""

    image_id_column = "candidate.image_id"

    def __init__(self, settings: RoundSettings, candidate: type[CandidateT]) -> None:
        super().__init__(settings, Judged[candidate])  # type: ignore[valid-type]  # known at run time

    def _read(self, path: Path) -> tuple[CandidateT, ...]:
        kept = (judged.candidate for judged in partitions.read_kept(path, self._record))
        return tuple(row for row in kept if not row.unanswerable)


def growth_of(run: RunFolder, settings: RoundSettings, candidate: Any) -> Growth:  # Any: a record class
    """What the round in `run` added, from the rows that it kept."""
    rounds: Counter[int] = Counter()
    for path in run.paths_of(Judged[candidate]):
        marks = _kept_column(path, "candidate.unanswerable")
        rounds.update(made for made, mark in zip(_kept_column(path, _ROUND), marks, strict=True) if not mark)
    new = rounds[settings.number]
    return Growth(settings.number, new, rounds.total() - new, settings.stop_below)


def judged_of(run: RunFolder, number: int) -> int:
    """How many candidates the round of that number in `run` made and gave to the critics; repeats are none of them."""
    return sum(
        made == number
        for path in run.partition_paths(JUDGED)
        for made in _values(pq.ParquetFile(path).read(columns=[_ROUND]), _ROUND)
    )


def _kept_column(path: Path, name: str) -> list[Any]:  # Any: the values of a column
    """One field of what a partition keeps, by its path ("candidate.round"); nothing else of the file is read."""
    table = pq.ParquetFile(path).read(columns=["outcome", name])
    return _values(table.filter(pc.equal(table.column("outcome"), "kept")), name)


def _values(table: pa.Table, name: str) -> list[Any]:
    """The values of a field by its path; None where the row has no record."""
    first, *inner = name.split(".")
    values = table.column(first)
    for part in inner:
        values = pc.struct_field(values, part)
    found: list[Any] = values.to_pylist()
    return found
