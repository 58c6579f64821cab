"""Carrying out one partition of one stage: what every engine does, and all that a worker of a cluster is called for.

`carry_out` takes plain values that pickle and opens what the stage needs. A worker that does many partitions is a
`StageWorker`, which opens each stage once; the local engine has one for all of its threads.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar  # Any: stages of different records, each checked where it is made

import pyarrow as pa
import pyarrow.parquet as pq

from ostensive import arrow
from ostensive.files import replacing, storage_errors
from ostensive.fingerprint import fingerprint
from ostensive.images.items import SourceItem
from ostensive.records import Annotation, ImageRecord, ImageSignature, Record, Verbalization
from ostensive.run import partitions
from ostensive.run.annotating import ImageItems
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import PartitionInfo
from ostensive.run.services import Services, ServiceSettings, open_services
from ostensive.stage import AnyStage, Evidence, FunctionStage, ImageEvidence, Outcome, RunWideStage, Stage, record_name

RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True, slots=True)
class PartitionTask:
    """A partition on its way: its index, how many source items it has, and what each stage so far made of it."""

    run: Path  # the run folder
    index: int
    items: int
    done: tuple[PartitionInfo, ...] = ()  # intake first
    sources: tuple[SourceItem, ...] | tuple[ImageItems, ...] | None = None  # rows that are in no partition yet

    def made_from(self, stage: AnyStage) -> list[object]:
        """What a stage makes its rows from, for their fingerprint."""
        digests: list[object] = [info.digest for info in _seen_by(stage, self.done)]
        return digests if self.sources is None else [*digests, [row.stamp for row in self.sources]]

    def after(self, info: PartitionInfo) -> "PartitionTask":
        """The same partition after one more stage."""
        return PartitionTask(self.run, self.index, self.items, (*self.done, info))


@dataclass(frozen=True, slots=True)
class Carried:
    """A partition that is finished, and whether it was there before."""

    info: PartitionInfo
    was_there: bool


class Stopped(Exception):  # noqa: N818 - it is asked for, no fault
    """The work on a partition was given up between two batches, for the run is to stop."""


def carry_out(stage: Stage[Any, Any], task: PartitionTask, services: ServiceSettings) -> PartitionInfo:
    """One partition of one stage, in a process that has nothing open yet; the partition is on disk when it returns.

    May be called by several processes at a time, for the same partition too: each writes it whole, with the same bytes.
    Raises `SettingsError` and `StorageError`, and whatever the stage raises.
    """
    with open_services(services, threading.Event()) as opened, StageWorker(opened) as worker:
        return worker.carry_out(stage, task).info


class StageWorker:
    """Carries out partitions and keeps the stages that it opened for them until the end. Safe for several threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._resources = contextlib.ExitStack()
        self._opened: dict[int, Stage[Any, Any]] = {}  # by id: equal stages are not one
        # One for all: two threads that import large libraries with cycles in them at a time may each see half of one.
        self._opening = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def open(self, stage: Stage[Any, Any]) -> Stage[Any, Any]:
        """The stage with what it needs, opened by the first who asks. Raises `Stopped` and what `Stage.opened` does."""
        if isinstance(stage, FunctionStage):
            return stage  # made for one partition, perhaps, and not worth keeping
        with self._opening:
            if id(stage) not in self._opened:
                if self._services.stop.is_set():
                    raise Stopped
                self._opened[id(stage)] = self._resources.enter_context(stage.opened(self._services))
            return self._opened[id(stage)]

    def carry_out(
        self, stage: Stage[Any, Any], task: PartitionTask, advance: Callable[[int], None] = lambda _items: None
    ) -> Carried:
        """The partition of `stage` that `task` says, from disk where it is there already.

        `advance` is told of how many further items the work is done. Raises `Stopped` and whatever the stage raises.
        """
        run = RunFolder(task.run)
        wanted = fingerprint([stage.name, stage.identity, task.made_from(stage)])
        path = run.partition_path(stage.name, task.index, wanted)
        if path.exists():
            advance(task.items)
            return Carried(partitions.read_info(path), was_there=True)
        started = time.monotonic()
        rows: Sequence[Any] = _rows_of(run, task, stage.record_in)
        evidence = evidence_of(run, _seen_by(stage, task.done))
        work = self.open(stage) if rows else stage
        outcomes: list[Outcome[Any]] = []
        reported = 0
        for batch in batches(rows, work.images_at_once):
            if self._services.stop.is_set():
                raise Stopped
            known = {row.image_id: evidence[row.image_id] for row in batch if row.image_id in evidence}
            made = work.process(batch, known)
            assert len(made) == len(batch), f"{stage.name} gave {len(made)} outcomes for {len(batch)} rows"
            outcomes += made
            done = task.items * len(outcomes) // len(rows)
            advance(done - reported)
            reported = done
        advance(task.items - reported)
        table = partitions.outcome_table(rows, outcomes, stage.record_out)
        summary = partitions.summarize(stage.name, len(rows), outcomes)
        digest = partitions.digest_of(table, stage.record_out)
        info = PartitionInfo(stage.name, task.index, wanted, digest, record_name(stage.record_out), summary)
        partitions.write(path, table, info)
        run.log_partition(info, time.monotonic() - started)
        return Carried(info, was_there=False)


def summarise(stage: RunWideStage[Any, Any], task: PartitionTask) -> Path:
    """Writes what a run-wide stage has to know of one partition, unless it is there, and returns where.

    Raises `StorageError` and whatever the stage raises.
    """
    run = RunFolder(task.run)
    wanted = fingerprint([stage.name, "summary", stage.identity, task.made_from(stage)])
    path = run.path / stage.name / f"summary-{task.index:05d}-{wanted[:16]}.parquet"
    if not path.exists():
        evidence = evidence_of(run, _seen_by(stage, task.done))
        table = stage.summarise(_rows_of(run, task, stage.record_in), evidence)
        _write_table(path, table)
    return path


def decide(stage: RunWideStage[Any, Any], run: RunFolder, summaries: Sequence[Path]) -> Path:
    """Writes the decision of a run-wide stage from the summaries of all partitions, in order, and returns where.

    Removes earlier decisions, and summaries that it is not made from. Raises `StorageError` and whatever the stage
    raises.
    """
    wanted = fingerprint([stage.name, "decision", stage.identity, [path.name for path in summaries]])
    path = run.path / stage.name / f"decision-{wanted[:16]}.parquet"
    if not path.exists():
        tables = [pq.read_table(summary) for summary in summaries]
        table = stage.decide_after(tables, _made_before(stage, run)) if stage.looks_back else stage.decide(tables)
        _write_table(path, table)
        earlier = {*path.parent.glob("decision-*.parquet"), *path.parent.glob("summary-*.parquet")}
        with storage_errors(path):
            for other in earlier - {path, *summaries}:
                other.unlink(missing_ok=True)
    return path


def _made_before(stage: RunWideStage[Any, Any], run: RunFolder) -> Iterator[Any]:
    """The records of the stage that lie in the run, by whatever settings they were made."""
    for path in run.partition_paths(stage.name):
        # What an earlier version wrote may lack columns.
        if set(arrow.schema_of(stage.record_out).names) <= set(pq.read_schema(path).names):
            yield from partitions.read_kept(path, stage.record_out)


@dataclass(frozen=True, slots=True)
class _Apply:
    """A run-wide stage on the rows of one partition; the decision is read where it is applied."""

    stage: RunWideStage[Any, Any]
    decision: Path

    def __call__(self, rows: Sequence[Any], evidence: Evidence) -> list[Outcome[Any]]:  # noqa: ARG002 - of a stage
        return self.stage.apply(rows, pq.read_table(self.decision))


def applied(stage: RunWideStage[Any, Any], decision: Path) -> FunctionStage[Any, Any]:
    """The stage that applies a decision to each partition, to be carried out like any other."""
    return FunctionStage(
        stage.name,
        _Apply(stage, decision),
        record_in=stage.record_in,
        record_out=stage.record_out,
        identity={"stage": stage.identity, "decision": arrow.digest(pq.read_table(decision))},
    )


def _seen_by(stage: AnyStage, done: Sequence[PartitionInfo]) -> list[PartitionInfo]:
    """The partitions before a stage that it is shown."""
    return [info for info in done if stage.uses_annotations or info.record != record_name(Annotation)]


def evidence_of(run: RunFolder, done: Sequence[PartitionInfo]) -> Evidence:
    """What is known of each image of a partition by the stages that are done."""
    images: dict[str, ImageRecord] = {}
    texts: dict[str, Verbalization] = {}
    signatures: dict[str, ImageSignature] = {}
    items: dict[str, list[Annotation]] = {}
    for info in done:
        path = run.partition_path(info.stage, info.index, info.fingerprint)
        if info.record == record_name(ImageRecord):
            images = {image.image_id: image for image in partitions.read_kept(path, ImageRecord)}
        elif info.record == record_name(Verbalization):
            texts = {text.image_id: text for text in partitions.read_kept(path, Verbalization)}
        elif info.record == record_name(ImageSignature):
            signatures = {one.image_id: one for one in partitions.read_kept(path, ImageSignature)}
        elif info.record == record_name(Annotation):
            for item in partitions.read_kept(path, Annotation):
                items.setdefault(item.image_id, []).append(item)
    return {
        image_id: ImageEvidence(image, texts.get(image_id), tuple(items.get(image_id, ())), signatures.get(image_id))
        for image_id, image in images.items()
    }


def _rows_of(run: RunFolder, task: PartitionTask, record: Any) -> Sequence[Any]:
    """Its own rows, or those of the last stage before that made records of this class."""
    if task.sources is not None:
        return task.sources
    for info in reversed(task.done):
        if info.record == record_name(record):
            return partitions.read_kept(run.partition_path(info.stage, info.index, info.fingerprint), record)
    raise AssertionError(f"no stage before gives {record_name(record)}")


def _write_table(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        arrow.write_parquet(table, temporary)


def batches(rows: Sequence[RecordT], images: int | None) -> Iterator[Sequence[RecordT]]:
    """`rows` in order in slices of at most `images` images; rows of one image, which are adjacent, stay together."""
    if images is None:
        if rows:
            yield rows
        return
    start, seen, last = 0, 0, None
    for position, row in enumerate(rows):
        if row.image_id != last:
            if seen == images:
                yield rows[start:position]
                start, seen = position, 0
            seen, last = seen + 1, row.image_id
    if start < len(rows):
        yield rows[start:]
