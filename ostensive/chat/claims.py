"""Which requests are under way, so that processes with one journal send each of them once.

A claim is the operating system's lock on one byte of an empty file beside the journal; the request's key says on which.
It ends with its process, however that ends, so that nobody has to judge from silence whether another still lives, and
it writes nothing. SQLite locks the journal in the same way: claims hold wherever a journal works, between containers
of one machine too. A table of owners who renew their claims was the alternative: an owner who is stopped or starved
misses its turn and what it has asked is paid for twice, one that was killed keeps its claims for as long as silence is
forgiven, and every claim is a write that waits for others to flush theirs.

These locks are a process's own and are lost when it closes any descriptor of the file. So a process opens the file
once, whatever the number of its journals, and tells their claims apart itself.
"""

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from ostensive.errors import StorageError
from ostensive.files import storage_errors

SUFFIX = "-claims"
"""Ends the name of the file of claims, which begins with the journal's. It may be removed when nobody is at work."""
_PLACE_BYTES = 7  # of a hash; a place in a file has 63 bits
_LOOK_S = 1.0
"""Between two looks whether someone has removed the file."""


class Claims:
    """The claims of one journal, between `__enter__` and `__exit__`. May be used from any thread; nothing here waits.

    Raises `StorageError` in one line where the file of claims cannot be opened or locked.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._places: dict[str, int] = {}  # of the keys that are claimed here
        self._passed_over: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._file = _lend(self._journal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(StorageError):  # the folder is gone, and nobody can claim there any more
            self.release(list(self._places))
        _give_back(self._file)

    def claim(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` that are claimed from now on; the others are by someone else, or were here before.

        Look for the answer once more after this: it may have come between the last look and the claim.
        """
        claimed = set()
        with self._file as file:
            for key in keys:
                place = self._place(key)
                if file.lock(place):
                    self._places[key] = place
                    claimed.add(key)
        return claimed

    def held(self, keys: Collection[str]) -> bool:
        """Whether any of `keys` is claimed here."""
        return any(key in self._places for key in keys)

    def release(self, keys: Collection[str]) -> None:
        """Ends the claims on `keys`; those that are not claimed here are left alone."""
        if not self.held(keys):
            return
        with self._file as file:
            for key in keys:
                place = self._places.pop(key, None)
                if place is not None:
                    file.unlock(place)

    def unclaimed(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` that nobody claims at this moment."""
        free = set()
        with self._file as file:
            for key in keys:
                place = self._place(key)
                if file.lock(place):
                    file.unlock(place)
                    free.add(key)
        return free

    def pass_over(self, keys: Collection[str]) -> None:
        """Looks no more at who claims `keys` now.

        They are claimed at another place from now on, the same for all who pass over them: of several who have waited
        for a process that does not go on, one sends the request.
        """
        for key in keys:
            self._passed_over[key] = self._passed_over.get(key, 0) + 1

    def _place(self, key: str) -> int:
        name = f"{key} {self._passed_over.get(key, 0)}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:_PLACE_BYTES])


class _File:
    """The one descriptor that this process has of a file of claims. Entered by one thread at a time, to use it."""

    def __init__(self, path: Path, mode: int) -> None:
        self.path = path
        self.users = 0
        self._mode = mode
        self._mutex = threading.Lock()
        self._locked: set[int] = set()
        with storage_errors(path):
            self._descriptor = self._open()
        self._looked_at = time.monotonic()

    def __enter__(self) -> Self:
        self._mutex.acquire()
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_S:
            try:
                with storage_errors(self.path):
                    self._follow()
            except BaseException:
                self._mutex.release()
                raise
            self._looked_at = now
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mutex.release()

    def lock(self, place: int) -> bool:
        """Whether the lock was to be had."""
        if place in self._locked or not self._lock(place):
            return False
        self._locked.add(place)
        return True

    def unlock(self, place: int) -> None:
        self._locked.discard(place)
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, place)

    def close(self) -> None:
        os.close(self._descriptor)

    def _lock(self, place: int) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as the system likes: another process has it
            return False
        except OSError as error:
            raise StorageError(
                f"cannot lock {self.path} ({error.strerror}); the journal has to be on a local disk"
            ) from error
        return True

    def _open(self) -> int:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, self._mode)
        with contextlib.suppress(PermissionError):  # another user's file, who has seen to it
            if os.fstat(descriptor).st_mode & 0o777 != self._mode:
                os.fchmod(descriptor, self._mode)  # whoever may write to the journal may claim, whatever the umask
        return descriptor

    def _follow(self) -> None:
        """Goes over to the file that is at the path now, if someone has removed the old one."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self.path.stat(), os.fstat(self._descriptor)):
                return
        removed, self._descriptor = self._descriptor, self._open()
        os.close(removed)
        for place in self._locked:
            self._lock(place)


_files: dict[tuple[int, Path], _File] = {}
"""Those open in this process, by its id too: a child that was forked has the descriptors but none of the locks."""
_files_mutex = threading.Lock()


def _lend(journal: Path) -> _File:
    path = Path(os.path.realpath(journal))
    key = os.getpid(), path.with_name(path.name + SUFFIX)
    with _files_mutex:
        file = _files.get(key)
        if file is None:
            with storage_errors(key[1]):
                mode = path.stat().st_mode & 0o777
            file = _files[key] = _File(key[1], mode)
        file.users += 1
        return file


def _give_back(file: _File) -> None:
    with _files_mutex:
        file.users -= 1
        if file.users == 0:
            _files.pop((os.getpid(), file.path), None)
            file.close()
