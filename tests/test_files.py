import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ostensive.errors import StorageError
from ostensive.files import is_temporary, leftovers, new_folder, remove_leftovers, replacing, temporary_name, write_text


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
    assert is_temporary(left, "file.txt")
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


LOOK_ALIKES = (
    ".partial-",
    ".partial-mine",
    ".partial-deadbeef-photo.jpg",
    ".partial-0123456789abcdef-0123456789abcdef-photo.jpg",
    ".partial-corpus",
)


def test_only_what_we_named_is_removed_as_a_leftover(tmp_path: Path) -> None:
    theirs = [tmp_path / place / name for place in ("", "a", "a/.partial-folder") for name in LOOK_ALIKES]
    outside = tmp_path / "outside"
    for path in (*theirs, outside / "kept.txt", tmp_path / "run" / "a" / "x"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")
    (tmp_path / "linked").symlink_to(outside)
    ours = [tmp_path / temporary_name("run.json"), tmp_path / "run" / "a" / temporary_name("x" * 250)]
    for path in ours:
        path.write_text("half")
    (tmp_path / "run" / temporary_name("corpus")).mkdir()
    (tmp_path / temporary_name("to-outside")).symlink_to(outside)
    in_link = outside / temporary_name("of-another-run")
    in_link.write_text("half")
    (tmp_path / "run" / temporary_name("takedown") / "deep").mkdir(parents=True)
    before = {path for path in tmp_path.rglob("*") if not is_temporary(path.name) and path.parent.name != ours[0].name}
    remove_leftovers(tmp_path / "run")
    assert in_link.exists(), "another folder is another run's"
    remove_leftovers(tmp_path)
    left = set(tmp_path.rglob("*"))
    assert {path for path in before if not is_temporary(path.parent.name)} == left
    assert (outside / "kept.txt").read_text() == "theirs"


def test_a_temporary_name_is_drawn_and_is_a_name(tmp_path: Path) -> None:
    names = [temporary_name(name) for name in ("file", "x" * 255, "\N{GREEK SMALL LETTER PI}" * 127, "a\nb")]
    assert len({temporary_name("file") for _ in range(100)}) == 100
    for name in names:
        (tmp_path / name).write_text("x")
    assert leftovers(tmp_path) == sorted(tmp_path / name for name in names)
    assert leftovers(tmp_path, "file") == [tmp_path / names[0]]
    assert leftovers(tmp_path / "none") == leftovers(tmp_path / names[0]) == []


def test_a_link_at_the_final_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "file.txt").symlink_to(tmp_path / "theirs")
    write_text(tmp_path / "file.txt", "ours")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "file.txt").is_symlink()


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / ".partial-out").mkdir()
    (tmp_path / ".partial-out" / "theirs").write_text("theirs")
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "out") as work:
        _ = (work / "file").write_text("half") // 0
    with new_folder(tmp_path / "out") as first:
        (first / "file").write_text("1")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs").write_text("x")
        with pytest.raises(StorageError, match="out: "), new_folder(tmp_path / "out") as second:
            (second / "file").write_text("2")
        assert first.exists(), "who writes at the same time is left alone"
        (tmp_path / "out" / "theirs").unlink()
    assert (tmp_path / "out" / "file").read_text() == "1"
    assert (tmp_path / ".partial-out" / "theirs").exists()
    left = tmp_path / temporary_name("out")
    left.mkdir()
    (tmp_path / "out" / "file").unlink()
    with new_folder(tmp_path / "out"):
        assert not left.exists(), "a killed process left it"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-out", "out"]
