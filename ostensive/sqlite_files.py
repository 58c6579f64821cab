"""SQLite files that several processes may write to: opened, told from other files, and their errors in one line.

Write-ahead log and synchronous=FULL: what a statement has confirmed is on the disk, and a process that is killed leaves
a file that the next one opens.
"""

import contextlib
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ostensive.errors import StorageError
from ostensive.files import make_private_file

_RETRY_S = 0.02
"""Longest pause before a busy file is tried again."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file holds, and what its errors tell the user to do."""

    what: str  # with its article: "a journal"
    application_id: int  # in the file's header: tells it from any other SQLite file
    version: int  # of the tables
    schema: str  # statements that make the tables, with ";" between them
    instead: str  # what to do about a file that cannot serve: "name another file with --journal"
    again: str  # what to do when there is room again: "run the same command again"
    busy_timeout_s: float  # longest wait for another process that is writing to the same file
    fill: Callable[[sqlite3.Cursor], None] = lambda _cursor: None  # first rows of a new file

    def connect(self, path: Path) -> sqlite3.Connection:
        """An open connection to the file at `path`, made with its tables if it is not there.

        May be used from any thread, one at a time. Raises `StorageError` in one line when the file cannot be opened or
        made, holds something else, or was made by another version.
        """
        self._check_size(path)
        give_up_at = time.monotonic() + self.busy_timeout_s
        while True:
            try:
                return self._connect(path)
            except sqlite3.Error as error:
                # Two that make a file, or turn it to a write-ahead log, at the same instant may each stand in the
                # other's way. SQLite then tells one of them at once, without waiting; by now it has let go.
                is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() >= give_up_at:
                    raise self.storage_error(path, error) from error
                time.sleep(random.uniform(0, _RETRY_S))  # noqa: S311 - so that they do not meet again

    def connect_to_read(self, path: Path) -> sqlite3.Connection:
        """An open connection to the file at `path` that changes nothing of it nor beside it.

        Raises `StorageError` as `connect` does, and where there is no such file.
        """
        self._check_size(path)
        # A reader leaves two files of the write-ahead log behind where there were none. Without them nobody is writing.
        is_written = path.with_name(f"{path.name}-wal").exists()
        mode = "mode=ro" if is_written else "mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=self.busy_timeout_s, isolation_level=None
            )
            try:
                self._check(connection.cursor(), path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise self.storage_error(path, error) from error
        return connection

    def _connect(self, path: Path) -> sqlite3.Connection:
        with contextlib.suppress(OSError):  # SQLite says what is wrong, in its own way
            make_private_file(path)  # the two files of the write-ahead log take their mode from it
        connection = sqlite3.connect(
            path,
            timeout=self.busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=32,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            self._prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_size(self, path: Path) -> None:
        # SQLite takes a file of one byte for a new one, and writes over it. Looked at without opening it: a process
        # that closes any descriptor of a file loses the locks that its connections hold on it
        # (https://www.sqlite.org/howtocorrupt.html, section 2.2).
        try:
            size = path.stat().st_size
        except OSError:
            return  # SQLite says what is wrong with it
        if size == 1:
            raise StorageError(f"{path}: {self._problem(sqlite3.SQLITE_NOTADB)}")

    def _prepare(self, connection: sqlite3.Connection, path: Path) -> None:
        with closing(connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                if self._is_new(cursor):
                    for statement in filter(str.strip, self.schema.split(";")):
                        cursor.execute(statement)
                    self.fill(cursor)
                    cursor.execute(f"PRAGMA application_id = {self.application_id}")
                    cursor.execute(f"PRAGMA user_version = {self.version}")
                else:
                    self._check(cursor, path)
            except BaseException:
                if connection.in_transaction:  # a full disk makes SQLite roll back by itself
                    cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")
            mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StorageError(
                f"{path}: the file system cannot hold a write-ahead log (network folders often cannot); it has to be on"
                " a local disk"
            )

    def _is_new(self, cursor: sqlite3.Cursor) -> bool:
        counts = ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
        return not any(cursor.execute(query).fetchone()[0] for query in counts)

    def _check(self, cursor: sqlite3.Cursor, path: Path) -> None:
        if cursor.execute("PRAGMA application_id").fetchone()[0] != self.application_id:
            raise StorageError(f"{path}: an SQLite file, but not {self.what}; {self.instead}")
        version = cursor.execute("PRAGMA user_version").fetchone()[0]
        if version != self.version:
            raise StorageError(
                f"{path}: {self.what} in format {version}, this version of ostensive works with format"
                f" {self.version}; use the version that made the file, or {self.instead}"
            )

    def storage_error(self, path: Path, error: sqlite3.Error) -> StorageError:
        """`error` in one line that names the file and says what to do, by SQLite's error code."""
        code = getattr(error, "sqlite_errorcode", None)  # set on errors that come from SQLite itself
        problem = self._problem(code & 0xFF) if isinstance(code, int) else None  # the low byte is the primary code
        return StorageError(f"{path}: {problem or ' '.join(str(error).split())}")

    def _problem(self, code: int) -> str | None:
        problems = {
            sqlite3.SQLITE_FULL: f"the disk is full; make room and {self.again}",
            sqlite3.SQLITE_READONLY: f"the file or its folder is read-only; make it writable, or {self.instead}",
            sqlite3.SQLITE_CANTOPEN: "the file cannot be opened or made; look at its folder and permissions",
            sqlite3.SQLITE_NOTADB: f"not {self.what} (not an SQLite file); {self.instead}",
            sqlite3.SQLITE_CORRUPT: "the file is damaged; move it away, or save what `sqlite3 FILE .recover` can read",
            sqlite3.SQLITE_IOERR: f"the disk is full, broken or over a file size limit; make room and {self.again}",
            sqlite3.SQLITE_BUSY: (
                f"another process has held the file for over {self.busy_timeout_s:.0f} s; later, {self.again}"
            ),
        }
        return problems.get(code)
