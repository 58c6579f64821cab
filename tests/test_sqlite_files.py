"""Opening an SQLite file: what goes wrong is told by what went wrong first."""

import sqlite3
from dataclasses import replace
from pathlib import Path

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
