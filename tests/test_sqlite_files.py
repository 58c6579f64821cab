"""Opening an SQLite file: what goes wrong is told by what went wrong first."""

import os
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

from critics.annotation.database import JUDGEMENTS
from ostensive.chat.journal import JOURNAL
from ostensive.errors import SettingsError, StorageError
from ostensive.files import make_private_file
from ostensive.run.folder import locked_folder


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


@pytest.mark.parametrize(
    ("shared", "umask", "file_mode", "folder_mode"),
    [
        (None, 0o000, 0o600, 0o700),
        ("0", 0o022, 0o600, 0o700),
        ("1", 0o002, 0o660, 0o770),
        ("1", 0o022, 0o640, 0o750),
        ("1", 0o077, 0o600, 0o700),
    ],
)
def test_who_may_read(
    shared: str | None, umask: int, file_mode: int, folder_mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OSTENSIVE_SHARED_GROUP", raising=False)
    if shared is not None:
        monkeypatch.setenv("OSTENSIVE_SHARED_GROUP", shared)
    before = os.umask(umask)
    try:
        with locked_folder(tmp_path / "runs" / "run", "held"):
            pass
        for kind in (JOURNAL, JUDGEMENTS):
            path = tmp_path / "runs" / "run" / kind.what.split()[-1]
            with closing(kind.connect(path)) as connection:
                connection.execute("CREATE TABLE more (x)")  # writes to the log
                modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob(f"{path.name}*")}
                names = {path.name, f"{path.name}-wal", f"{path.name}-shm"}
                assert modes == dict.fromkeys(names, file_mode)
    finally:
        os.umask(before)
    assert (tmp_path / "runs" / "run").stat().st_mode & 0o777 == folder_mode
    assert (tmp_path / "runs").stat().st_mode & 0o777 == 0o777 & ~umask, "what holds several runs is the user's"


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o755)
    with locked_folder(tmp_path / "run", "held"):
        pass
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755


def test_what_is_no_setting_for_groups_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTENSIVE_SHARED_GROUP", "staff")
    with (
        pytest.raises(SettingsError, match="OSTENSIVE_SHARED_GROUP='staff': 1, to let the group read and write"),
        locked_folder(tmp_path / "run", "held"),
    ):
        pass
    assert not (tmp_path / "run").exists()


def test_no_link_is_followed_to_make_a_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    make_private_file(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()
