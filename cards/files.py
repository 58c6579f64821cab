"""Files of a corpus: hashed while they are written, on the disk when they are closed.

Hashing runs in a thread beside the writing (`hashlib` releases the interpreter lock), so that it costs little time of
its own; to read each file again for it would double the traffic.
"""

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self  # Any: bytes and what else has a buffer

CHUNK_BYTES = 1 << 20
_CHUNKS_IN_FLIGHT = 8  # bounds the memory of what is written but not yet hashed
_SYNC_BYTES = 16 << 20  # the disk is asked to confirm this much at a time, so that closing does not wait for all of it


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file as it was written."""

    byte_count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of several items under its name: a shard of samples, a Parquet file of rows."""

    name: str
    items: int
    byte_count: int
    sha256: str


class HashedFile:
    """A new file that is hashed as it is written: enough of a binary file for `pyarrow` to write to.

    Use it as a context manager; `digest` is there after it was closed. Leaving it by an error abandons it.
    """

    def __init__(self, path: Path) -> None:
        self.closed = False
        self._abandoned = False
        self._digest: FileDigest | None = None
        self._hash = hashlib.sha256()
        self._file = path.open("xb", buffering=0)
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="sha256")
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._synced: Future[None] | None = None
        self._unsynced_bytes = 0
        self._pending: deque[Future[None]] = deque()
        self._waiting: list[Any] = []
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

    def write(self, data: Any) -> int:
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
        """Hand everything that waits to the disk and to the hasher."""
        if not self._waiting:
            return
        chunk = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self._pending.append(self._hasher.submit(self._hash.update, chunk))
        _write_all(self._file.fileno(), chunk)
        self._sync_beside(len(chunk))
        while len(self._pending) > _CHUNKS_IN_FLIGHT:
            self._pending.popleft().result()

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
                self._pending.popleft().result()
            self._digest = FileDigest(self._byte_count, self._hash.hexdigest())
        finally:
            self._release()

    def abandon(self) -> None:
        """Give the file up after an error; what is still written to it, as pyarrow does on closing, is passed over."""
        if not self.closed and not self._abandoned:
            self._abandoned = True
            self._waiting.clear()
            self._release()

    def _release(self) -> None:
        for thread in (self._hasher, self._syncer):
            thread.shutdown(wait=True, cancel_futures=True)
        self._file.close()


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def write_text(path: Path, text: str) -> FileDigest:
    """Write `text` to a new file, as UTF-8 with `\\n` line ends."""
    with HashedFile(path) as file:
        file.write(text.encode("utf-8"))
    return file.digest
