"""The SQLite file of a run's judgements: its tables, how it is opened, and what its errors mean in one line.

Write-ahead log and synchronous=FULL, as for the journal: a judgement that the page has confirmed is on the disk, and a
process that is killed leaves a file that the next one opens.
"""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from ostensive.errors import StorageError

SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_S: Final = 30.0
"""Longest wait for another process that is writing to the same file."""
_APPLICATION_ID: Final = 0x6F737461  # "osta", in the file's header: tells this file from any other SQLite file

# `judgements` only grows. What an annotator thinks of an item now is the last row there is for the two of them, unless
# that row takes back what was said before (`answers` is null); the view `standing` is that rule. Times are seconds
# since the epoch.
_SCHEMA: Final = """
CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE annotators (name TEXT PRIMARY KEY, folded TEXT NOT NULL UNIQUE, since REAL NOT NULL);
CREATE TABLE items (
    task TEXT NOT NULL, item_id TEXT NOT NULL, image_id TEXT NOT NULL, place INTEGER NOT NULL, texts TEXT NOT NULL,
    is_retired INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (task, item_id));
CREATE INDEX items_by_image ON items (task, image_id, place);
CREATE TABLE seats (
    task TEXT NOT NULL, image_id TEXT NOT NULL, annotator TEXT NOT NULL, taken_at REAL NOT NULL,
    PRIMARY KEY (task, image_id, annotator));
CREATE TABLE judgements (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, item_id TEXT NOT NULL, annotator TEXT NOT NULL,
    answers TEXT, takes_back INTEGER, swapped INTEGER NOT NULL, source TEXT NOT NULL, judged_at REAL NOT NULL);
CREATE INDEX judgements_by_item ON judgements (task, annotator, item_id, sequence);
CREATE VIEW standing AS SELECT * FROM judgements AS one WHERE answers IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM judgements AS later WHERE later.task = one.task AND later.annotator = one.annotator
    AND later.item_id = one.item_id AND later.sequence > one.sequence);
"""


def connect(path: Path) -> sqlite3.Connection:
    """An open connection to the file at `path`, made with its tables if it is not there.

    May be used from any thread, one at a time. Raises `StorageError` in one line when the file cannot be opened or
    made, holds something else, or was made by another version.
    """
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise storage_error(path, error) from error
    try:
        connection.execute("PRAGMA synchronous = FULL")
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise storage_error(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        try:
            version = cursor.execute("PRAGMA user_version").fetchone()[0]
            application = cursor.execute("PRAGMA application_id").fetchone()[0]
            tables = cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not (version or application or tables):
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    cursor.execute(statement)
                cursor.execute("INSERT INTO secrets VALUES ('forms', ?)", (secrets.token_hex(32),))
                cursor.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                cursor.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif application != _APPLICATION_ID:
                raise StorageError(f"{path}: an SQLite file, but not one of judgements; move it away")
            elif version != SCHEMA_VERSION:
                raise StorageError(
                    f"{path}: judgements in format {version}, this version of ostensive works with format"
                    f" {SCHEMA_VERSION}; use the version that made the file"
                )
        except BaseException:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")
        mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StorageError(
            f"{path}: the file system cannot hold a write-ahead log (network folders often cannot);"
            " copy the run to a local disk"
        )


_PROBLEMS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; make room and save again",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only; make it writable",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened or made; look at its folder and permissions",
    sqlite3.SQLITE_NOTADB: "not a file of judgements (not an SQLite file); move it away",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; move it away, or save what `sqlite3 FILE .recover` can read",
    sqlite3.SQLITE_IOERR: "the disk is full, broken or over a file size limit; make room and save again",
    sqlite3.SQLITE_BUSY: f"another process has held the file for over {BUSY_TIMEOUT_S:.0f} s; save again later",
}


def storage_error(path: Path, error: sqlite3.Error) -> StorageError:
    """`error` in one line that names the file and says what to do, by SQLite's error code."""
    code = getattr(error, "sqlite_errorcode", None)  # set on errors that come from SQLite itself
    problem = _PROBLEMS.get(code & 0xFF) if isinstance(code, int) else None  # the low byte is the primary code
    return StorageError(f"{path}: {problem or ' '.join(str(error).split())}")
