import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ostensive.errors import StorageError
from ostensive.files import TEMPORARY, remove_leftovers, replacing, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "erste Fassung ✓")
    write_text(path, "zweite")
    assert path.read_text("utf-8") == "zweite"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        _ = temporary.write_text("half") // 0
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_kill_while_writing_leaves_the_old_file_and_a_leftover_that_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "stage" / "file.txt"
    write_text(path, "old")
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom ostensive.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = (one.name for one in path.parent.iterdir() if one != path)
    assert left.startswith(TEMPORARY)
    remove_leftovers(tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_each_of_several_who_write_a_file_at_a_time_writes_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first", "the last that is finished"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "the disk is full; make room and run the same command again"),
        (errno.EROFS, "the file system is read-only; choose another folder"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_the_disk_says_becomes_one_line(tmp_path: Path, number: int, advice: str) -> None:
    path = tmp_path / "file.txt"
    with pytest.raises(StorageError) as caught, replacing(path):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"cannot write {path}: {advice}"


def test_a_folder_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"part of the path is a file|something else is there already"):
        write_text(tmp_path / "file" / "deeper.txt", "x")


def test_a_size_limit_of_the_process(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom ostensive.errors import StorageError\n"
        "from ostensive.files import write_text\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_text(Path(sys.argv[1]), 'x' * 5000)\nexcept StorageError as error:\n    print(error)"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "f")], check=True, capture_output=True, text=True)
    assert done.stdout.strip().endswith("raise it and run the same command again")
    assert not list(tmp_path.iterdir())
