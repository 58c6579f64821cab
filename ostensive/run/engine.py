"""The local engine: one process, a few threads a stage, partitions flowing through bounded queues.

What flows is a ticket, the index of a partition and the digests of what it was made from; the rows lie in the run
folder. So memory does not grow with the number of images, stages overlap, and every stage starts from what is on disk,
which is also what a resumed run starts from. Passing rows in memory saves a read of a few milliseconds a partition and
was given up for that.

Threads and not processes: the stages wait on a server, or compute in libraries that release the interpreter lock.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ostensive.errors import BudgetReached, Interrupted
from ostensive.files import storage_errors
from ostensive.fingerprint import fingerprint
from ostensive.images.intake import Intake
from ostensive.images.sources import SourceItem
from ostensive.records import ImageRecord, Record, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import PartitionInfo
from ostensive.run.reporting import Reporter
from ostensive.stage import Evidence, ImageEvidence, Outcome, Stage

RecordT = TypeVar("RecordT", bound=Record)
AnyStage = Stage[Any, Any]  # Any: a pipeline's stages have different records; each is checked where it is made

QUEUED_PARTITIONS = 2  # between two stages: enough to hide an uneven pace, few enough to keep partitions together


@dataclass(frozen=True, slots=True)
class _Ticket:
    """A partition on its way: its index, how many source items it has, and what each stage so far made of it."""

    index: int
    items: int
    done: tuple[PartitionInfo, ...]  # intake first

    @property
    def digests(self) -> list[str]:
        return [info.digest for info in self.done]


_END = None  # closes a queue


class LocalEngine:
    """Carries a plan through intake and the stages of a recipe; one use."""

    def __init__(
        self, run: RunFolder, intake: Intake, stages: Sequence[AnyStage], *, reporter: Reporter, stop: threading.Event
    ) -> None:
        self._run = run
        self._intake = intake
        self._stages = tuple(stages)
        self._reporter = reporter
        self._stop = stop
        self._failures: list[tuple[int, BaseException]] = []  # by stage index, in the order they happened
        self._resources = contextlib.ExitStack()
        self._entered: set[str] = set()
        # One for all: two threads that import large libraries with cycles in them at a time may each see half of one.
        self._entering = threading.Lock()
        self._found: dict[str, dict[int, list[Path]]] = {}  # partitions that were there before, by stage and index
        self._sure_of_work: dict[str, bool] = {}  # by stage: whether some partition of it is missing

    def run(self, plan: Mapping[int, Sequence[SourceItem]]) -> None:
        """Finishes every partition of `plan` in every stage.

        Raises the first failure after all stages have stopped: `Interrupted`, `BudgetReached`, `StorageError` or
        whatever a stage raised. Finished partitions are on disk; running again continues.
        """
        names = [self._intake.name, *(stage.name for stage in self._stages)]
        self._reporter.plan(names, sum(len(items) for items in plan.values()))
        self._look_up(names, plan.keys())
        for name in names:
            for index in self._found[name].keys() - plan.keys():
                self._remove_others(name, index, keep=None)
        self._drive(0, lambda out: self._produce(plan, out))

    def run_from(self, stage: str) -> None:
        """Takes the partitions on disk through `stage` and those after it; what comes before is taken as it is.

        No source image is looked for and no earlier stage is asked for its identity, so that a new threshold needs
        neither the images' folder nor the models and keys of a teacher. Raises as `run` does.
        """
        names = [self._intake.name, *(one.name for one in self._stages)]
        first = names.index(stage) - 1  # among the stages, of which intake is none
        tickets = self._tickets_before(first)
        self._reporter.plan(names[first + 1 :], sum(ticket.items for ticket in tickets))
        self._look_up(names[first + 1 :], {ticket.index for ticket in tickets})
        self._drive(first, lambda out: self._hand_out(tickets, out))

    def _tickets_before(self, first: int) -> list[_Ticket]:
        names = [self._intake.name, *(stage.name for stage in self._stages[:first])]
        infos = [{info.index: info for info in self._run.infos(name)} for name in names]
        whole = sorted(set.intersection(*(set(of_stage) for of_stage in infos)))
        return [
            _Ticket(index, infos[0][index].summary.inputs, tuple(of_stage[index] for of_stage in infos))
            for index in whole
        ]

    def _look_up(self, names: Sequence[str], indices: Collection[int]) -> None:
        self._found = {name: self._run.all_partitions(name) for name in names}
        self._sure_of_work = {name: bool(set(indices) - self._found[name].keys()) for name in names}

    def _drive(self, first: int, produce: Callable[[queue.Queue[_Ticket | None]], None]) -> None:
        """Runs the stages from the one at place `first` on, fed by `produce`, until all is done or stopped."""
        stages = list(enumerate(self._stages))[first:]
        queues: list[queue.Queue[_Ticket | None]] = [queue.Queue(QUEUED_PARTITIONS) for _ in range(len(stages) + 1)]
        workers = [threading.Thread(target=produce, args=(queues[0],), name="source")]
        for place, (position, stage) in enumerate(stages):
            tickets = _Tickets(queues[place], queues[place + 1], stage.partitions_at_once)
            workers += [
                threading.Thread(target=self._work, args=(position, stage, tickets), name=stage.name)
                for _ in range(stage.partitions_at_once)
            ]
        with self._resources:
            for worker in workers:
                worker.start()
            # Waiting with a time limit, over and over, lets the main thread run its signal handler in between.
            while _get(queues[-1]) is not _END:
                pass
            for worker in workers:
                worker.join()
        self._raise_failure()

    def _raise_failure(self) -> None:
        errors = [error for _, error in self._failures]
        # A stage that was told to stop is not why it stopped.
        for error in [e for e in errors if not isinstance(e, Interrupted)] or errors:
            raise error
        if self._stop.is_set():
            raise Interrupted("interrupted")

    def _remove_others(self, stage: str, index: int, keep: Path | None) -> None:
        """Removes what another recipe or another input made of a partition."""
        for path in self._found[stage].pop(index, []):
            if path != keep:
                with storage_errors(path):
                    path.unlink(missing_ok=True)

    def _halted(self, stage: int) -> bool:
        """Whether a stage shall start no further partition.

        A budget that is reached stops the stage that spends and those before it; what has been paid for still flows
        down, so that the corpus has it. Anything else stops everything.
        """
        if self._stop.is_set():
            return True
        return any(not isinstance(error, BudgetReached) or stage <= failed for failed, error in self._failures)

    def _fail(self, stage: int, error: BaseException) -> None:
        self._failures.append((stage, error))
        if not isinstance(error, BudgetReached):
            self._stop.set()

    # ---- intake -------------------------------------------------------------------------------------------------

    def _produce(self, plan: Mapping[int, Sequence[SourceItem]], out: queue.Queue[_Ticket | None]) -> None:
        seen: set[str] = set()
        chain = ""
        try:
            for index in sorted(plan):
                if self._halted(-1):
                    break
                info = self._take_in(index, plan[index], seen, chain)
                chain = fingerprint([chain, info.digest])
                self._reporter.advance(self._intake.name, len(plan[index]))
                out.put(_Ticket(index, len(plan[index]), (info,)))
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self._fail(-1, error)
        finally:
            out.put(_END)

    def _hand_out(self, tickets: Sequence[_Ticket], out: queue.Queue[_Ticket | None]) -> None:
        for ticket in tickets:
            if self._halted(-1):
                break
            out.put(ticket)
        out.put(_END)

    def _take_in(self, index: int, items: Sequence[SourceItem], seen: set[str], chain: str) -> PartitionInfo:
        # `chain` stands for what was seen before: an image is a duplicate or not depending on it.
        stamps = [[item.key, item.size_bytes, item.modified_ns, item.location.path] for item in items]
        wanted = fingerprint([self._intake.identity, stamps, chain])
        path = self._run.partition_path(self._intake.name, index, wanted)
        if path.exists():
            info = partitions.read_info(path)
            seen.update(partitions.read_column(path, "image_id", kept_only=True))
            self._remove_others(self._intake.name, index, keep=path)
            self._reporter.finish(info.summary)
            return info
        started = time.monotonic()
        outcomes = self._intake.process(items, seen)
        return self._finish(path, index, wanted, _Work(self._intake.name, items, outcomes, ImageRecord, started))

    # ---- stages -------------------------------------------------------------------------------------------------

    def _enter(self, stage: AnyStage) -> None:
        with self._entering:
            if stage.name not in self._entered:
                self._resources.enter_context(stage)
                self._entered.add(stage.name)

    def _work(self, position: int, stage: AnyStage, tickets: "_Tickets") -> None:
        if self._sure_of_work[stage.name] and not self._halted(position):
            # Models load while the stages before are at work, and one that cannot load stops the run before it spends.
            try:
                self._enter(stage)
            except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
                self._fail(position, error)
        while (ticket := tickets.take()) is not _END:
            if self._halted(position):
                continue  # drain, so that nobody waits to put
            try:
                info = self._carry_out(position, stage, ticket)
            except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
                self._fail(position, error)
                continue
            if info is not None:
                tickets.pass_on(_Ticket(ticket.index, ticket.items, (*ticket.done, info)))

    def _carry_out(self, position: int, stage: AnyStage, ticket: _Ticket) -> PartitionInfo | None:
        wanted = fingerprint([stage.name, stage.identity, ticket.digests])
        path = self._run.partition_path(stage.name, ticket.index, wanted)
        if path.exists():
            info = partitions.read_info(path)
            self._remove_others(stage.name, ticket.index, keep=path)
            self._reporter.advance(stage.name, ticket.items)
            self._reporter.finish(info.summary)
            return info
        started = time.monotonic()
        before = self._stages[position - 1].record_out if position else ImageRecord
        rows = partitions.read_kept(self._path_of(ticket.done[-1]), before)
        evidence = self._evidence(ticket)
        if rows:
            self._enter(stage)
        outcomes: list[Outcome[Any]] = []  # Any: as in AnyStage
        reported = 0
        for batch in batches(rows, stage.images_at_once):
            if self._stop.is_set():
                return None
            made = stage.process(batch, {row.image_id: evidence[row.image_id] for row in batch})
            assert len(made) == len(batch), f"{stage.name} gave {len(made)} outcomes for {len(batch)} rows"
            outcomes += made
            done = ticket.items * len(outcomes) // len(rows)
            self._reporter.advance(stage.name, done - reported)
            reported = done
        self._reporter.advance(stage.name, ticket.items - reported)
        return self._finish(path, ticket.index, wanted, _Work(stage.name, rows, outcomes, stage.record_out, started))

    def _finish(self, path: Path, index: int, wanted: str, work: "_Work") -> PartitionInfo:
        table = partitions.outcome_table(work.rows, work.outcomes, work.record)
        summary = partitions.summarize(work.stage, len(work.rows), work.outcomes)
        info = PartitionInfo(work.stage, index, wanted, partitions.digest_of(table, work.record), summary)
        partitions.write(path, table, info)
        self._remove_others(work.stage, index, keep=path)
        self._run.log(
            "partition",
            {
                "stage": work.stage,
                "index": index,
                "inputs": summary.inputs,
                "kept": summary.kept,
                "dropped": sum(summary.dropped.values()),
                "failed": sum(summary.failed.values()),
                "seconds": round(time.monotonic() - work.started, 3),
            },
        )
        self._reporter.finish(summary)
        return info

    def _evidence(self, ticket: _Ticket) -> Evidence:
        """What is known of each image of the partition by now."""
        images = partitions.read_kept(self._path_of(ticket.done[0]), ImageRecord)
        texts: dict[str, Verbalization] = {}
        for stage, info in zip(self._stages, ticket.done[1:], strict=False):
            if stage.record_out is Verbalization:
                kept = partitions.read_kept(self._path_of(info), Verbalization)
                texts = {text.image_id: text for text in kept}
        return {image.image_id: ImageEvidence(image, texts.get(image.image_id)) for image in images}

    def _path_of(self, info: PartitionInfo) -> Path:
        return self._run.partition_path(info.stage, info.index, info.fingerprint)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a stage made of a partition, before it is written."""

    stage: str
    rows: Sequence[Record]
    outcomes: Sequence[Outcome[Any]]  # Any: as in AnyStage
    record: Any  # Any: a record class
    started: float


class _Tickets:
    """The two ends of a stage: its queue in, its queue out, and how many workers share them."""

    def __init__(self, inbox: queue.Queue[_Ticket | None], outbox: queue.Queue[_Ticket | None], workers: int) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._left = workers
        self._lock = threading.Lock()

    def take(self) -> _Ticket | None:
        """The next ticket; None once there is no more, and the last worker to hear it closes the queue out."""
        ticket = self._inbox.get()
        if ticket is not _END:
            return ticket
        with self._lock:
            self._left -= 1
            last = self._left == 0
        (self._outbox if last else self._inbox).put(_END)
        return _END

    def pass_on(self, ticket: _Ticket) -> None:
        self._outbox.put(ticket)


def _get(tickets: queue.Queue[_Ticket | None]) -> _Ticket | None:
    while True:
        with contextlib.suppress(queue.Empty):
            return tickets.get(timeout=0.2)


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
