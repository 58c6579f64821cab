"""Opening an SQLite file: what goes wrong is told by what went wrong first."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ostensive.chat.journal import JOURNAL
from ostensive.errors import StorageError


def test_a_disk_that_fills_while_tables_are_made(tmp_path: Path) -> None:
    """SQLite may have rolled back by itself: rolling back again would hide the reason."""

    def fill(cursor: sqlite3.Cursor) -> None:
        cursor.execute("ROLLBACK")
        cursor.execute("PRAGMA max_page_count = 1")
        cursor.execute("CREATE TABLE larger (than_one_page)")

    with pytest.raises(StorageError, match="the disk is full; make room and run the same command again"):
        replace(JOURNAL, fill=fill).connect(tmp_path / "journal.sqlite")
    with JOURNAL.connect(tmp_path / "journal.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("text", [b"\n", b"note", b"SQLite format", b"SQLite format 3 ", b"x" * 99, b"x" * 9_999])
def test_a_file_of_somebodys_is_left_as_it_is(text: bytes, tmp_path: Path) -> None:
    """SQLite takes one of a single byte for new, and writes over it."""
    path = tmp_path / "notes.txt"
    path.write_bytes(text)
    with pytest.raises(StorageError, match=r"notes\.txt: not a journal \(not an SQLite file\); name another file with"):
        JOURNAL.connect(path)
    assert path.read_bytes() == text


def test_an_empty_file_becomes_what_it_is_opened_as(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.touch()
    JOURNAL.connect(path).close()
    JOURNAL.connect(path).close()


def test_opening_a_file_again_keeps_the_locks_that_this_process_has_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks are lost with any descriptor that is closed. Another process that comes then takes itself for the last one
    that uses the file, and clears its log away under the feet of those who write to it."""
    path = tmp_path / "journal.sqlite"

    def connect_after_another_process(*arguments: Any, **options: Any) -> sqlite3.Connection:
        code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM one_more'); c.close()"
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        assert path.with_name("journal.sqlite-wal").exists()
        return connect(*arguments, **options)

    with closing(JOURNAL.connect(path)) as first:
        first.execute("CREATE TABLE one_more (value)")
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", connect_after_another_process)
        JOURNAL.connect(path).close()


def test_those_who_make_a_file_at_the_same_instant_wait_for_each_other(tmp_path: Path) -> None:
    """SQLite itself refuses one of them at once, some time in a few hundred pairs."""
    together = threading.Barrier(8)

    def make(number: int) -> int:
        together.wait()
        with closing(JOURNAL.connect(tmp_path / f"{number // 8}.sqlite")) as connection:
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(make, range(8 * 60))) == [0] * (8 * 60)
