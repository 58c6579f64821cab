"""Files of a corpus: hashed while they are written, on the disk when they are closed.

Hashing runs in threads beside the writing (`hashlib` releases the interpreter lock), so that MD5, the slowest part of
writing a shard, costs no time of its own. Reading each file again to hash it was given up: it doubles the traffic.
"""

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHUNK_BYTES = 1 << 20
_CHUNKS_IN_FLIGHT = 8  # bounds the memory of what is written but not yet hashed
_SYNC_BYTES = 16 << 20  # the disk is asked to confirm this much at a time, so that closing does not wait for all of it


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file as it was written: `hashes` are hexadecimal, in the order of the algorithms asked for."""

    byte_count: int
    hashes: tuple[str, ...]


class HashedFile:
    """A new file that is hashed as it is written: enough of a binary file for `pyarrow` to write to.

    Use it as a context manager; `digest` is there after it was closed. Leaving it by an error abandons it.
    """

    def __init__(self, path: Path, algorithms: tuple[str, ...] = ("sha256",)) -> None:
        self.closed = False
        self._abandoned = False
        self._digest: FileDigest | None = None
        self._hashers = tuple(hashlib.new(name, usedforsecurity=False) for name in algorithms)
        self._file = path.open("xb", buffering=0)
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=name) for name in algorithms]
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._synced: Future[None] | None = None
        self._unsynced_bytes = 0
        self._pending: deque[tuple[Future[None], ...]] = deque()
        self._waiting: list[Any] = []  # Any: bytes and what else has a buffer
        self._waiting_bytes = 0
        self._byte_count = 0

    @property
    def digest(self) -> FileDigest:
        assert self._digest is not None, "a file has a digest once it is closed"
        return self._digest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def write(self, data: Any) -> int:  # Any: bytes or an Arrow buffer
        size = len(data)
        if self._abandoned:
            return size
        self._waiting.append(data)
        self._waiting_bytes += size
        self._byte_count += size
        if self._waiting_bytes >= CHUNK_BYTES:
            self.flush()
        return size

    def tell(self) -> int:
        return self._byte_count

    def flush(self) -> None:
        """Hand everything that waits to the disk and to the hashers."""
        if not self._waiting:
            return
        chunk = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self._pending.append(
            tuple(
                thread.submit(hasher.update, chunk) for thread, hasher in zip(self._threads, self._hashers, strict=True)
            )
        )
        _write_all(self._file.fileno(), chunk)
        self._sync_beside(len(chunk))
        while len(self._pending) > _CHUNKS_IN_FLIGHT:
            _wait(self._pending.popleft())

    def _sync_beside(self, size: int) -> None:
        """Have the disk confirm what is written so far, in a thread, unless it is still busy with what was before."""
        self._unsynced_bytes += size
        if self._unsynced_bytes >= _SYNC_BYTES and (self._synced is None or self._synced.done()):
            if self._synced is not None:
                self._synced.result()
            self._synced = self._syncer.submit(os.fsync, self._file.fileno())
            self._unsynced_bytes = 0

    def close(self) -> None:
        """Write the rest, have the disk confirm it, and work out the digest."""
        if self.closed:
            return
        self.closed = True
        if self._abandoned:
            return
        try:
            self.flush()
            if self._synced is not None:
                self._synced.result()
            os.fsync(self._file.fileno())
            while self._pending:
                _wait(self._pending.popleft())
            self._digest = FileDigest(self._byte_count, tuple(hasher.hexdigest() for hasher in self._hashers))
        finally:
            self._release()

    def abandon(self) -> None:
        """Give the file up after an error; what is still written to it, as pyarrow does on closing, is passed over."""
        if not self.closed and not self._abandoned:
            self._abandoned = True
            self._waiting.clear()
            self._release()

    def _release(self) -> None:
        for thread in (*self._threads, self._syncer):
            thread.shutdown(wait=True, cancel_futures=True)
        self._file.close()


def _wait(hashed: tuple[Future[None], ...]) -> None:
    for future in hashed:
        future.result()


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def write_text(path: Path, text: str) -> FileDigest:
    """Write `text` to a new file, as UTF-8 with `\\n` line ends."""
    with HashedFile(path) as file:
        file.write(text.encode("utf-8"))
    return file.digest
