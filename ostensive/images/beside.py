"""Pictures decoded in a process beside, which has limits of memory and time, and may be stopped or end by a signal.

Libraries of the rarer formats make room for whatever a header says, may take minutes over a megabyte, and complain on
standard error. There they cost one picture. A process is kept for the next picture; each thread that asks has its own.
"""

import atexit
import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any, Final  # Any: JSON values

from ostensive.images import refusals
from ostensive.images.refusals import ImageRefusedError

_LOG = logging.getLogger(__name__)
_PATIENCE: Final = 6  # by the clock, times the limit of computing time, on a machine that has much else to do
_LONGEST_S: Final = 3_600.0
_SHOWN: Final = 300
_NO_THREADS: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_START: Final = "import sys; sys.path[:] = {path!r}; from ostensive.images.beside_child import main; main()"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one picture may take: seconds of computing, and bytes of memory besides 64 for each byte of its file."""

    max_seconds: float
    max_decoded_bytes: int


DEFAULT_LIMITS: Final = Limits(max_seconds=10.0, max_decoded_bytes=400_000_000)
"""For pictures of others that no settings speak of."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process found out (`facts`), and made (`data`)."""

    facts: Mapping[str, Any]
    data: bytes


def ask(task: str, data: bytes, limits: Limits | None, **arguments: object) -> Answer:
    """What `beside_child.TASKS[task]` gives for the picture in `data`; raises `ImageRefusedError`."""
    limit = None if limits is None else asdict(limits)
    head = json.dumps({"task": task, "bytes": len(data), "limits": limit, "arguments": arguments}).encode() + b"\n"
    child = _POOL.take()
    wait_s = _LONGEST_S if limits is None else _PATIENCE * limits.max_seconds + 30
    try:
        answer = child.ask(head, data, wait_s)
    except _EndedError as error:
        child.close()
        raise _refusal(error, child, limits) from None
    except BaseException:
        child.close()
        raise
    child.log_complaints()
    _POOL.give(child)
    refused = answer.facts.get("refused")
    if refused is not None:
        raise ImageRefusedError(*refused)
    return answer


def _refusal(error: "_EndedError", child: "_Child", limits: Limits | None) -> ImageRefusedError:
    child.log_complaints()
    if error.was_late or child.process.returncode == -signal.SIGXCPU:
        seconds = _LONGEST_S if limits is None else limits.max_seconds
        return ImageRefusedError(refusals.TIME_LIMIT, f"decoding it takes more than {seconds:g} s")
    status = child.process.returncode
    how = signal.Signals(-status).name if status is not None and status < 0 else f"status {status}"
    return ImageRefusedError(refusals.UNREADABLE, f"its decoder ended with {how}")


class _EndedError(Exception):
    """The process is gone, or (`was_late`) does not answer."""

    def __init__(self, *, was_late: bool) -> None:
        super().__init__()
        self.was_late = was_late


class _Child:
    """A process that decodes, one picture at a time."""

    def __init__(self) -> None:
        self.complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(  # noqa: S603 - this very program, with nothing of anybody's in its arguments
            [sys.executable, "-c", _START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            env=os.environ | _NO_THREADS,
            bufsize=0,
        )
        assert self.process.stdin is not None, "it is a pipe"
        assert self.process.stdout is not None, "it is a pipe"
        self._to, self._from = self.process.stdin, self.process.stdout

    def ask(self, head: bytes, data: bytes, wait_s: float) -> Answer:
        until = time.monotonic() + wait_s
        try:
            for part in (head, data):
                view = memoryview(part)
                while view:
                    view = view[self._to.write(view) :]
        except BrokenPipeError as error:
            raise _EndedError(was_late=False) from error
        start = b""
        while b"\n" not in start:
            start += self._read(1 << 16, until)
        first, _, rest = start.partition(b"\n")
        facts = json.loads(first)
        missing = facts.pop("bytes") - len(rest)
        parts = [rest]
        while missing > 0:
            parts.append(self._read(missing, until))
            missing -= len(parts[-1])
        return Answer(facts, b"".join(parts))

    def _read(self, count: int, until: float) -> bytes:
        ready, _, _ = select.select([self._from], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise _EndedError(was_late=True)
        part = os.read(self._from.fileno(), min(count, 1 << 20))
        if not part:
            raise _EndedError(was_late=False)
        return part

    def log_complaints(self) -> None:
        """Puts what libraries wrote to standard error into the log, as one line."""
        with contextlib.suppress(OSError, ValueError):  # closed
            size = os.fstat(self.complaints.fileno()).st_size
            if size:
                text = os.pread(self.complaints.fileno(), 4 * _SHOWN, 0).decode("utf-8", "replace")
                _LOG.info("a decoder complained, %d bytes: %s", size, " ".join(text.split())[:_SHOWN])
                os.ftruncate(self.complaints.fileno(), 0)

    def close(self) -> None:
        if not self._ended_soon():
            self.process.kill()
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()
        self.process.wait()

    def _ended_soon(self) -> bool:
        """Whether it ends by itself, so that its own status is told."""
        try:
            self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            return False
        return True


class _Pool:
    """Processes that wait for a picture. A process that was forked has none of its parent's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._owner = os.getpid()

    def take(self) -> _Child:
        """One that waits, or a new one."""
        with self._lock:
            if self._owner != os.getpid():
                self._idle, self._owner = [], os.getpid()
            while self._idle:
                child = self._idle.pop()
                if child.process.poll() is None:
                    return child
                child.close()
        return _Child()

    def give(self, child: _Child) -> None:
        """Has it wait for the next picture."""
        with self._lock:
            self._idle.append(child)

    def close(self) -> None:
        """Ends those that wait."""
        with self._lock:
            idle, self._idle = self._idle, []
        if self._owner == os.getpid():
            for child in idle:
                child.process.kill()
                child.close()


_POOL: Final = _Pool()
atexit.register(_POOL.close)
