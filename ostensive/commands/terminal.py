"""What commands print, where, and how a command at work is shown and stopped."""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from ostensive.errors import BudgetReached, EmptyCorpusError, SettingsError, TooManyFailedError
from ostensive.images.paths import shown_name, shown_text

if TYPE_CHECKING:
    from ostensive.run.reporting import Reporter


def complain(message: str) -> None:
    """An error, on standard error and on one line, whatever is in the file names and words of others in it."""
    say(shown_name(f"ostensive: {message}"))


def say(message: str) -> None:
    """A note, on standard error."""
    sys.stderr.write(f"{shown_text(message)}\n")
    sys.stderr.flush()


class WarningsOnTerminal(logging.Handler):
    """What the log warns of, on standard error: file names and servers' words in it act on no terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the message; a program that cannot say something goes on without."""
        try:
            say(record.getMessage())
        except (OSError, ValueError, TypeError):
            self.handleError(record)


def print_lines(lines: Iterable[str]) -> None:
    """Results, on standard output; what would act on the terminal is escaped."""
    for line in lines:
        # A file name or a model's text may hold what the terminal's encoding does not.
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(shown_text(line).encode(encoding, "replace").decode(encoding) + "\n")


@contextlib.contextmanager
def corpus_shown(out: Path, as_json: bool) -> Iterator[None]:
    """Shows the corpus that the block makes in `out`; also one that a budget or failed rows made smaller than meant."""
    from cards.reading import read_corpus
    from ostensive.commands.api import growth, run_notes
    from ostensive.commands.show import corpus_lines, corpus_values, to_json
    from ostensive.run.folder import RunFolder

    def show() -> None:
        corpus, grown, notes = read_corpus(RunFolder(out)), growth(out), run_notes(out)
        print_lines([to_json(corpus_values(corpus, grown, notes))] if as_json else corpus_lines(corpus, grown, notes))

    try:
        yield
    except (TooManyFailedError, EmptyCorpusError, BudgetReached):
        with contextlib.suppress(SettingsError):  # nothing was whole yet
            show()
        raise
    show()


@contextlib.contextmanager
def at_work(quiet: bool) -> Iterator["tuple[Reporter, threading.Event]"]:
    """Progress, and an event that the first Ctrl-C (or SIGTERM) sets; the second one ends the process at once."""
    from ostensive.run.progress import for_standard_error
    from ostensive.run.reporting import Silence

    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        reporter: Reporter = Silence()
        if not quiet:
            reporter = shown = for_standard_error()
            stack.enter_context(shown)

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            if stop.is_set():
                os._exit(130)
            stop.set()
            reporter.note("stopping: what is in flight is finished first; press Ctrl-C again to stop at once")

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield reporter, stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
