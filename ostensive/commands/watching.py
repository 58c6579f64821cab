"""`ostensive status --watch`: a run, or a loop, shown again and again until it has ended."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from ostensive.commands.terminal import print_lines
from ostensive.images.paths import shown_text

INTERVAL_S: Final = 1.0
_MOST_SHARE: Final = 0.2  # of the time that may be spent on looking, so that a long run is not held up by it


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen: for a terminal, for a log, for programs, and what tells whether it is news."""

    lines: Sequence[str]
    line: str
    values: dict[str, Any]
    news: object
    ending: str | None  # None while there is more to come


def watch(path: Path, *, interval_s: float, as_json: bool) -> bool:
    """Shows what is in a folder until it has ended; whether it ended well. Raises as looking does."""
    from students.loop.folder import is_loop

    look = _loop_looks(path) if is_loop(path) else _run_looks(path)
    with _shown(as_json) as show:
        while True:
            began = time.monotonic()
            seen = look(time.time())
            show(seen)
            if seen.ending is not None:
                return seen.ending == "done"
            took = time.monotonic() - began
            time.sleep(max(interval_s, took / _MOST_SHARE))


def _run_looks(path: Path) -> Callable[[float], Look]:
    from ostensive.commands.watch_lines import watch_line, watch_lines, watch_values, what_changes
    from ostensive.run.watching import RunWatcher

    watcher = RunWatcher(path)

    def look(now: float) -> Look:
        view = watcher.look(now)
        return Look(tuple(watch_lines(view)), watch_line(view), watch_values(view), what_changes(view), view.ending)

    return look


def _loop_looks(path: Path) -> Callable[[float], Look]:
    """Of a loop: its rounds, and the build of the round that is at work."""
    from ostensive.commands.loop import build_at_work, loop_ending, loop_line, loop_lines, loop_values
    from students.loop.status import loop_status

    watched: dict[Path, Callable[[float], Look]] = {}

    def look(now: float) -> Look:
        found = loop_status(path)
        run, inner = build_at_work(found), None
        if run is not None:
            watched[run] = watched.get(run) or _run_looks(run)
            inner = watched[run](now)
        line, build = loop_line(found), None if inner is None else inner.values
        return Look(
            (*loop_lines(found, with_build=False), *(("", *inner.lines) if inner is not None else ())),
            line if inner is None else f"{line}; {inner.line}",
            {**loop_values(found), "build": build},
            (line, None if inner is None else inner.news),
            loop_ending(found),
        )

    return look


@contextlib.contextmanager
def _shown(as_json: bool) -> Iterator[Callable[[Look], None]]:
    """Shows what was seen: in place on a terminal, else a line for what is news."""
    if as_json or not sys.stdout.isatty():
        yield _news_printer(as_json)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False, vertical_overflow="ellipsis") as live:

        def show(seen: Look) -> None:
            text = Text("\n".join(map(shown_text, seen.lines)), no_wrap=True, overflow="ellipsis")
            live.update(text, refresh=True)

        yield show


def _news_printer(as_json: bool) -> Callable[[Look], None]:
    from ostensive.commands.show import to_json

    latest: list[object] = []

    def show(seen: Look) -> None:
        news = (seen.news, seen.ending)
        if [news] != latest:
            latest[:] = [news]
            print_lines([to_json(seen.values) if as_json else seen.line])
            sys.stdout.flush()

    return show
