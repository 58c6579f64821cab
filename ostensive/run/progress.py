"""Progress on standard error: bars for a person at a terminal, an occasional line for a log file."""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ostensive.images.paths import shown_text
from ostensive.run.summary import StageSummary

if TYPE_CHECKING:
    from rich.progress import TaskID

LINE_EVERY_S = 15.0  # without a terminal


def now_and_then(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Tells a line at most once in `LINE_EVERY_S`, and passes over the others."""
    latest = time.monotonic()

    def tell_at_times(line: str) -> None:
        nonlocal latest
        if time.monotonic() - latest >= LINE_EVERY_S:
            latest = time.monotonic()
            tell(line)

    return tell_at_times


class Bars:
    """A bar for each stage, with what was kept and lost so far."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress: Progress = Progress(
            TextColumn("{task.description:<11}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self._summaries: dict[str, StageSummary] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def plan(self, stages: list[str], images: int) -> None:
        """See `Reporter`. The bars of a build before, by the same reporter, go."""
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks, self._summaries = {}, {}
        for stage in stages:
            self._tasks[stage] = self._progress.add_task(stage, total=images, counts="")

    def advance(self, stage: str, images: int) -> None:
        """See `Reporter`."""
        self._progress.advance(self._tasks[stage], images)

    def finish(self, summary: StageSummary) -> None:
        """See `Reporter`."""
        with self._lock:
            so_far = self._summaries.get(summary.name)
            self._summaries[summary.name] = whole = summary if so_far is None else so_far + summary
        self._progress.update(self._tasks[summary.name], counts=counts(whole))

    def note(self, text: str) -> None:
        """See `Reporter`."""
        self._progress.console.print(shown_text(text), markup=False, highlight=False)


class Lines:
    """One line for each stage from time to time, for standard error that is not a terminal."""

    def __init__(self) -> None:
        self._images = 0
        self._done: dict[str, int] = {}
        self._next = time.monotonic() + LINE_EVERY_S
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def plan(self, stages: list[str], images: int) -> None:
        """See `Reporter`."""
        self._done = dict.fromkeys(stages, 0)
        self._images = images

    def advance(self, stage: str, images: int) -> None:
        """See `Reporter`."""
        with self._lock:
            self._done[stage] += images
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + LINE_EVERY_S
            done = ", ".join(f"{name} {count}" for name, count in self._done.items())
        self.note(f"of {self._images} images: {done}")

    def finish(self, summary: StageSummary) -> None:
        """See `Reporter`."""

    def note(self, text: str) -> None:
        """See `Reporter`."""
        sys.stderr.write(f"{shown_text(text)}\n")
        sys.stderr.flush()


def counts(summary: StageSummary) -> str:
    """`812 kept, 40 dropped, 2 failed`, without the zeros."""
    parts = [f"{summary.kept} kept"]
    parts += [f"{n} dropped" for n in [sum(summary.dropped.values())] if n]
    parts += [f"{n} failed" for n in [sum(summary.failed.values())] if n]
    return ", ".join(parts)


def for_standard_error() -> "Bars | Lines":
    """Bars where there is a terminal to draw them on, lines elsewhere."""
    return Bars() if sys.stderr.isatty() else Lines()
