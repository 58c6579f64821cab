"""Rows through a model in batches: the next one is prepared while one is worked on, and sizes halve on full memory.

Rows wait in runs of one kind, so that what shares a batch fits together: texts of like length need little padding. A
smaller size stays for the batches after it: a model that ran out of memory once will do so again. Free memory
measured beforehand would not tell: what a batch needs depends on the model, the device and on what else runs there.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from ostensive.models.devices import give_back_memory, is_out_of_memory

RowT = TypeVar("RowT")
ReadyT = TypeVar("ReadyT")
ResultT = TypeVar("ResultT")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class BatchSize:
    """How many rows go at a time; it only ever shrinks."""

    rows: int
    name: str  # of the model, for the log

    def halve(self, failed_rows: int) -> None:
        """After `failed_rows` at a time were too many."""
        self.rows = max(1, failed_rows // 2)
        _log.warning("%s: out of memory with %d at a time; going on with %d", self.name, failed_rows, self.rows)


@dataclass(frozen=True, slots=True)
class Steps(Generic[RowT, ReadyT, ResultT]):
    """What is done to a batch. `prepare` runs in a thread beside `work`; both may run out of memory."""

    prepare: Callable[[Sequence[RowT]], ReadyT]
    work: Callable[[ReadyT], ResultT]
    relieve: Callable[[], None] = give_back_memory  # called after either ran out


@dataclass(frozen=True, slots=True)
class Done(Generic[RowT, ResultT]):
    """A batch and its result, or the error that it raised."""

    rows: tuple[RowT, ...]
    result: ResultT | None
    error: Exception | None


def in_batches(
    runs: Sequence[Sequence[RowT]], size: BatchSize, steps: Steps[RowT, ReadyT, ResultT]
) -> Iterator[Done[RowT, ResultT]]:
    """Each row of `runs` once, in order, in batches of one run; no batch has more rows than `size` says by then.

    A batch that fails for anything but memory is done again row by row, so that one row's error is its own.
    """
    waiting = deque(tuple(run) for run in runs if run)
    with ThreadPoolExecutor(1, thread_name_prefix="prepare") as pool:

        def begin() -> tuple[tuple[RowT, ...], Future[ReadyT]] | None:
            if not waiting:
                return None
            run = waiting.popleft()
            rows = run[: size.rows]
            if run[size.rows :]:
                waiting.appendleft(run[size.rows :])
            return rows, pool.submit(steps.prepare, rows)

        current = begin()
        while current is not None:
            following = begin()
            rows, ready = current
            error: Exception | None = None
            result = None
            try:
                result = steps.work(ready.result())
            except Exception as problem:  # noqa: BLE001 - the boundary of one sample: the caller counts it as its own
                # Without its traceback, which would keep the tensors of the batch in memory.
                error = problem.with_traceback(None)
            del ready
            if error is None or len(rows) == 1:
                if error is not None and is_out_of_memory(error):
                    steps.relieve()
                yield Done(rows, result, error)
                current = following
                continue
            if following is not None:
                waiting.appendleft(following[0])
            if is_out_of_memory(error):
                size.halve(len(rows))
                steps.relieve()
                waiting.appendleft(rows)
            else:
                waiting.extendleft((row,) for row in reversed(rows))
            current = begin()


def each_in_batches(
    rows: Sequence[RowT], size: BatchSize, steps: Steps[RowT, ReadyT, Sequence[ResultT]]
) -> list[ResultT | Exception]:
    """What `steps.work` makes of each row, in their order, or the error that the row raised when it was alone.

    `work` returns one result a row of its batch.
    """
    results: list[ResultT | Exception] = []
    for done in in_batches([rows], size, steps):
        if done.error is not None:
            results.append(done.error)
        else:
            assert done.result is not None, "a batch has results or an error"
            assert len(done.result) == len(done.rows), f"{len(done.result)} results for {len(done.rows)} rows"
            results += done.result
    return results
