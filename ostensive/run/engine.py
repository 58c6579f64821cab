"""The local engine: one process, a few threads a stage, partitions flowing through bounded queues.

What flows is a `PartitionTask`, the index of a partition and the digests of what it was made from; the rows lie in the
run folder. So memory does not grow with the number of images, stages overlap, and every stage starts from what is on
disk, which is also what a resumed run starts from.

Threads and not processes: the stages wait on a server, or compute in libraries that release the interpreter lock.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final  # Any: a pipeline's stages have different records; each is checked where it is made

from ostensive.errors import BudgetReached, Interrupted, NoImagesError
from ostensive.files import storage_errors
from ostensive.images.intake import IMAGES, FirstMet, Intake, distinct_stage
from ostensive.images.paths import shown_name
from ostensive.images.refusals import why_none
from ostensive.run import partitions
from ostensive.run.annotating import annotation_stage, rows_by_partition
from ostensive.run.folder import RunFolder
from ostensive.run.planning import Plan, PlannedAnnotations
from ostensive.run.reporting import Reporter
from ostensive.run.services import Services
from ostensive.run.summary import StageSummary, add_counts
from ostensive.run.worker import PartitionTask, StageWorker, Stopped, applied, decide, summarise
from ostensive.stage import AnyStage, RunWideStage, Stage

QUEUED_PARTITIONS: Final = 2
"""Between two stages: enough to hide an uneven pace, few enough to keep partitions together."""
_END = None  # closes a queue
_INTAKE = -1  # the place of intake among the stages, for whoever fails
_Tasks = queue.Queue[PartitionTask | None]


class LocalEngine:
    """Carries a plan through intake and the stages of a recipe; one use."""

    def __init__(self, run: RunFolder, stages: Sequence[AnyStage], *, services: Services, reporter: Reporter) -> None:
        self._run = run
        self._stages = tuple(stages)
        self._reporter = reporter
        self._stop = services.stop
        self._worker = StageWorker(services)
        self._failures: list[tuple[int, BaseException]] = []  # by stage index, in the order they happened
        self._found: dict[str, dict[int, list[Path]]] = {}  # partitions that were there before, by stage and index
        self._sure_of_work: dict[str, bool] = {}  # by stage: whether some partition of it is missing
        self._has_images = threading.Event()  # set, too, when it is clear that there are none

    def run(self, plan: Plan, intake: Intake) -> None:
        """Finishes every partition of `plan` in every stage.

        No stage is opened before the first image is taken in; raises `NoImagesError` where none can be. Raises the
        first failure after all stages have stopped: `Interrupted`, `BudgetReached`, `StorageError` or whatever a stage
        raised. Finished partitions are on disk; running again continues.
        """
        names = [*plan.intake_stages, *(stage.name for stage in self._stages)]
        self._reporter.plan(names, plan.item_count)
        self._look_up(names, plan.items.keys())
        for name in names:
            for index in self._found[name].keys() - plan.items.keys():
                self._remove_others(name, index, keep=None)
        self._drive(0, lambda out: self._take_in(plan, intake, out))

    def run_from(self, stage: str) -> None:
        """Takes the partitions on disk through `stage` and those after it; what comes before is taken as it is.

        No source image is looked for and no earlier stage is asked for its identity, so that a new threshold needs
        neither the images' folder nor the models and keys of a teacher. Raises as `run` does.
        """
        names = [one.name for one in self._stages]
        first = names.index(stage)
        tasks = self._tasks_before(first)
        self._reporter.plan(names[first:], sum(task.items for task in tasks))
        self._look_up(names[first:], {task.index for task in tasks})
        self._has_images.set()
        self._drive(first, lambda out: self._hand_out(tasks, out))

    def _tasks_before(self, first: int) -> list[PartitionTask]:
        names = self._run.stage_names()
        names = names[: names.index(self._stages[first].name)]
        infos = [{info.index: info for info in self._run.infos(name)} for name in names]
        whole = sorted(set.intersection(*(set(of_stage) for of_stage in infos)))
        return [
            PartitionTask(
                self._run.path, index, infos[0][index].summary.inputs, tuple(of_stage[index] for of_stage in infos)
            )
            for index in whole
        ]

    def _look_up(self, names: Sequence[str], indices: Collection[int]) -> None:
        self._found = {name: self._run.all_partitions(name) for name in names}
        self._sure_of_work = {name: bool(set(indices) - self._found[name].keys()) for name in names}

    def _drive(self, first: int, produce: Callable[[_Tasks], None]) -> None:
        """Runs the stages from the one at place `first` on, fed by `produce`, until all is done or stopped."""
        stages = list(enumerate(self._stages))[first:]
        queues: list[_Tasks] = [queue.Queue(QUEUED_PARTITIONS) for _ in range(len(stages) + 1)]
        threads = [threading.Thread(target=produce, args=(queues[0],), name="source")]
        for place, (position, stage) in enumerate(stages):
            count = 1 if isinstance(stage, RunWideStage) else stage.partitions_at_once
            ends = _Ends(queues[place], queues[place + 1], count)
            threads += [
                threading.Thread(target=self._work, args=(position, stage, ends), name=stage.name) for _ in range(count)
            ]
        with self._worker:
            for thread in threads:
                thread.start()
            # Waiting with a time limit, over and over, lets the main thread run its signal handler in between.
            while _get(queues[-1]) is not _END:
                pass
            for thread in threads:
                thread.join()
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

    def _carry_out(self, stage: Stage[Any, Any], task: PartitionTask) -> PartitionTask:
        """The task after one more stage; raises `Stopped` and whatever the stage raises."""
        carried = self._worker.carry_out(stage, task, lambda items: self._reporter.advance(stage.name, items))
        info = carried.info
        self._remove_others(
            stage.name, task.index, keep=self._run.partition_path(stage.name, info.index, info.fingerprint)
        )
        self._reporter.finish(info.summary)
        return task.after(info)

    def _take_in(self, plan: Plan, intake: Intake, out: _Tasks) -> None:
        try:
            tasks = self._images(plan, intake)
            waiting: list[PartitionTask] = []
            for task in tasks if plan.annotations is None else self._annotated(plan.annotations, list(tasks)):
                waiting.append(task)
                while waiting and self._has_images.is_set():
                    out.put(waiting.pop(0))
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self._fail(_INTAKE, error)
        finally:
            self._has_images.set()
            out.put(_END)

    def _images(self, plan: Plan, intake: Intake) -> Iterator[PartitionTask]:
        met = FirstMet()
        taken_in = StageSummary(IMAGES, 0, 0)
        for index in sorted(plan.items):
            if self._halted(_INTAKE):
                return
            items = tuple(plan.items[index])
            task = self._carry_out(intake, PartitionTask(self._run.path, index, len(items), sources=items))
            taken_in += task.done[0].summary
            if taken_in.kept:
                self._has_images.set()
            repeated = met.repeated(partitions.read_column(self._taken_in(task), "image_id", kept_only=True))
            yield self._carry_out(distinct_stage(repeated), task)
        if not taken_in.kept:
            rows = self._run.path / IMAGES
            refused = add_counts(taken_in.dropped, taken_in.failed)
            raise NoImagesError(f"{why_none(refused)}; the rows of {shown_name(str(rows))} have the reason of each")

    def _annotated(self, beside: PlannedAnnotations, tasks: Sequence[PartitionTask]) -> Iterator[PartitionTask]:
        if self._halted(_INTAKE) or not tasks:
            return
        rows = rows_by_partition(beside.found, {task.index: self._taken_in(task) for task in tasks})
        stage = annotation_stage(beside.required)
        for task in tasks:
            if self._halted(_INTAKE):
                return
            yield self._carry_out(stage, replace(task, sources=rows[task.index]))

    def _taken_in(self, task: PartitionTask) -> Path:
        """The file of intake, whose rows are the source items."""
        return self._run.partition_path(IMAGES, task.index, task.done[0].fingerprint)

    def _hand_out(self, tasks: Sequence[PartitionTask], out: _Tasks) -> None:
        for task in tasks:
            if self._halted(_INTAKE):
                break
            out.put(task)
        out.put(_END)

    def _work(self, position: int, stage: AnyStage, ends: "_Ends") -> None:
        """What a thread of a stage does; after a failure it takes what is left, so that nobody waits to put."""
        try:
            if isinstance(stage, RunWideStage):
                self._decide_and_apply(position, stage, ends)
            else:
                self._apply(position, stage, ends)
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self._fail(position, error)
        for _left in ends.tasks():
            pass
        ends.close()

    def _apply(self, position: int, stage: Stage[Any, Any], ends: "_Ends") -> None:
        self._has_images.wait()
        if self._sure_of_work[stage.name] and not self._halted(position):
            # Models load while the stages before are at work, and one that cannot load stops the run before it spends.
            self._worker.open(stage)
        for task in ends.tasks():
            if self._halted(position):
                return
            ends.pass_on(self._carry_out(stage, task))

    def _decide_and_apply(self, position: int, stage: RunWideStage[Any, Any], ends: "_Ends") -> None:
        summarised: list[tuple[PartitionTask, Path]] = []
        for task in ends.tasks():
            if self._halted(position):
                return
            summarised.append((task, summarise(stage, task)))
        summarised.sort(key=lambda one: one[0].index)
        if self._halted(position) or not summarised:
            return
        apply = applied(stage, decide(stage, self._run, [summary for _, summary in summarised]))
        for task, _ in summarised:
            if self._halted(position):
                return
            ends.pass_on(self._carry_out(apply, task))


class _Ends:
    """The two ends of a stage: its queue in, its queue out, and how many threads share them."""

    def __init__(self, inbox: _Tasks, outbox: _Tasks, threads: int) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._left = threads
        self._lock = threading.Lock()

    def tasks(self) -> Iterator[PartitionTask]:
        """The tasks for one of the threads, until there are no more."""
        while (task := self._inbox.get()) is not _END:
            yield task
        self._inbox.put(_END)  # for the other threads

    def pass_on(self, task: PartitionTask) -> None:
        self._outbox.put(task)

    def close(self) -> None:
        """Called by each thread that has nothing more to pass on; the last closes the queue out."""
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._outbox.put(_END)


def _get(tasks: _Tasks) -> PartitionTask | None:
    while True:
        with contextlib.suppress(queue.Empty):
            return tasks.get(timeout=0.2)
