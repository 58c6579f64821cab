"""Digests of files: they follow names and contents, and nothing else; the memory of them saves reading."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.errors import SettingsError
from ostensive.models.digests import SETTLED_AFTER_S, WORTH_REMEMBERING_BYTES, files_digest, folder_digest

HOUR_NS = 3_600 * 10**9
LARGE = b"weights " * (WORTH_REMEMBERING_BYTES // 8 + 1)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of large files that are old enough to be remembered; only time makes them so."""
    folder = tmp_path_factory.mktemp("old")
    for name in ("read.safetensors", "changed.safetensors", "locked.safetensors"):
        write(folder / name, LARGE)
    time.sleep(SETTLED_AFTER_S + 0.1)
    return folder


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def bytes_read(function: object, *arguments: object, **options: object) -> int:
    """How much of files this process reads while it calls `function`."""

    def count() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar")).split()[1])

    before = count()
    function(*arguments, **options)  # type: ignore[operator]  # any function
    return count() - before


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


@given(files=st.dictionaries(names, st.binary(max_size=40), max_size=4), data=st.data())
def test_the_digest_follows_every_byte_and_name_and_no_time(
    files: dict[str, bytes], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, memory = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("m")

    def digest(contents: dict[str, bytes]) -> str:
        place = tmp_path_factory.mktemp("files")
        paths = [write(place / name, content) for name, content in contents.items()]
        told = files_digest(paths, memory=memory)
        for path in paths:
            os.utime(path, ns=(0, data.draw(st.integers(0, 10**18))))
        assert files_digest(reversed(paths), memory=memory) == told
        assert files_digest(paths, memory=folder / "another") == told
        return told

    whole = digest(files)
    assert digest(files) == whole, "another folder, the same files"
    extra = data.draw(names.filter(lambda name: name not in files))
    assert digest({**files, extra: b""}) != whole
    if files:
        chosen = data.draw(st.sampled_from(sorted(files)))
        content = files[chosen]
        rest = {name: content for name, content in files.items() if name != chosen}
        assert digest(rest) != whole
        assert digest({**rest, extra: content}) != whole
        place = data.draw(st.integers(0, len(content)))
        assert digest({**files, chosen: content[:place] + b"x" + content[place:]}) != whole
        if content:
            place %= len(content)
            flipped = bytearray(content)
            flipped[place] ^= data.draw(st.integers(1, 255))
            assert digest({**files, chosen: bytes(flipped)}) != whole


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what a process reads")
def test_a_large_file_is_read_once(old: Path, tmp_path: Path, memory: Path) -> None:
    path = old / "read.safetensors"
    small = write(tmp_path / "config.json", b"{}")
    assert bytes_read(files_digest, [path, small], memory=memory) > len(LARGE)
    assert len(list(memory.iterdir())) == 1, "a small file is read as quickly as its entry"
    assert bytes_read(files_digest, [path, small], memory=memory) < 10_000
    copy = write(tmp_path / "copy" / path.name, LARGE)
    assert files_digest([copy], memory=memory) == files_digest([path], memory=memory)


def test_a_change_is_seen_behind_the_same_size_and_time(old: Path, tmp_path: Path, memory: Path) -> None:
    path = old / "changed.safetensors"
    before = path.stat()
    told = files_digest([path], memory=memory)
    assert len(list(memory.iterdir())) == 1
    with path.open("r+b") as file:
        file.seek(len(LARGE) // 2)
        file.write(b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert files_digest([path], memory=memory) != told
    other = write(tmp_path / "other", LARGE)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert files_digest([path], memory=memory) == told, "another file under the name, with the first content"


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path, memory: Path) -> None:
    """It may change again within one tick of the clock and look the same; `os.utime` does not hide how young it is."""
    path = write(tmp_path / "model.safetensors", LARGE)
    os.utime(path, ns=(HOUR_NS, HOUR_NS))
    files_digest([path], memory=memory)
    assert not memory.exists()


def test_a_broken_memory_is_ignored_and_written_again(old: Path, memory: Path) -> None:
    path = old / "read.safetensors"
    told = files_digest([path], memory=memory)
    (entry,) = memory.iterdir()
    whole = entry.read_bytes()
    values = json.loads(whole)
    wrong = [
        {**values, "sha256": "abc"},
        {**values, "sha256": None},
        {**values, "stamp": values["stamp"][:2]},
        {**values, "path": "/elsewhere"},
    ]
    for broken in (b"", b"{", b"[]", b"null", b"\xff\xfe", whole[:-3], *(json.dumps(w).encode() for w in wrong)):
        entry.write_bytes(broken)
        assert files_digest([path], memory=memory) == told, broken
        assert entry.read_bytes() == whole, broken
    values["sha256"] = "0" * 64
    entry.write_text(json.dumps(values))
    assert files_digest([path], memory=memory) != told, "a whole entry is believed, so this test is about entries"


def test_a_memory_that_cannot_be_written_is_no_error(old: Path, tmp_path: Path) -> None:
    path = old / "read.safetensors"
    taken = write(tmp_path / "taken", b"a file, where a folder is wanted")
    assert files_digest([path], memory=taken / "below") == files_digest([path], memory=tmp_path / "fine")
    blocked = tmp_path / "fine" / next((tmp_path / "fine").iterdir()).name
    blocked.unlink()
    (blocked / "in the way").mkdir(parents=True)
    assert files_digest([path], memory=tmp_path / "fine") == files_digest([path], memory=taken)
    assert [left.name for left in (tmp_path / "fine").iterdir()] == [blocked.name], "nothing half written is left"


def test_the_memory_is_in_the_users_cache(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTENSIVE_CACHE", str(tmp_path / "caches"))
    files_digest([old / "read.safetensors"])
    assert len(list((tmp_path / "caches" / "file-digests").glob("*.json"))) == 1


def test_processes_at_work_at_the_same_time(old: Path, memory: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ostensive.models.digests import files_digest\n"
        "paths = sorted(Path(sys.argv[1]).iterdir())\n"
        "told = {files_digest(paths, memory=Path(sys.argv[2])) for _ in range(3)}\n"
        "for entry in Path(sys.argv[2]).iterdir(): entry.unlink(missing_ok=True)\n"
        "told |= {files_digest(paths, memory=Path(sys.argv[2])) for _ in range(3)}\n"
        "assert len(told) == 1; print(told.pop())"
    )
    arguments = [sys.executable, "-c", code, str(old), str(memory)]
    root = Path(__file__).parent.parent
    running = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(4)]
    told = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert told == {files_digest(old.iterdir(), memory=memory) + "\n"}
    assert all(json.loads(entry.read_text()) for entry in memory.iterdir()), "and nothing else is there"


def test_a_folder_is_what_a_model_consists_of(tmp_path: Path, memory: Path) -> None:
    folder = tmp_path / "model"
    write(folder / "config.json", b"{}")
    write(folder / "model.safetensors", b"weights")

    def told() -> str:
        return folder_digest(folder, {".json", ".safetensors", ".jinja"}, subfolders=("temp*", "*ates"), memory=memory)

    first = told()
    write(folder / "README.md", b"words")
    write(folder / "checkpoint-500" / "model.safetensors", b"other weights")
    (folder / "folder.json").mkdir()
    assert told() == first, "what is not loaded does not count"
    write(folder / "templates" / "tool.jinja", b"a template")
    second = told()
    assert second != first
    (folder / "templates" / "tool.jinja").rename(folder / "tool.jinja")
    assert told() not in (first, second), "a file of a subfolder is known by where it is"
    moved = folder.rename(tmp_path / "moved")
    folder = moved
    write(folder / "linked", b"weights").rename(folder / "blob")
    (folder / "model.safetensors").unlink()
    before = told()
    (folder / "model.safetensors").symlink_to(folder / "blob")
    (folder / "tool.jinja").unlink()
    assert told() == first != before, "a link is known by what it leads to"


def test_files_that_cannot_be_read(tmp_path: Path, memory: Path) -> None:
    gone = tmp_path / "gone.safetensors"
    with pytest.raises(SettingsError) as caught:
        files_digest([gone], memory=memory)
    assert str(caught.value) == (
        f"{gone}: cannot be read (No such file or directory); a file of a model is expected there"
    )
    with pytest.raises(SettingsError, match=r"gone: cannot be read \(No such file or directory\); "):
        folder_digest(tmp_path / "gone", {".json"}, memory=memory)
    assert files_digest([], memory=memory) == folder_digest(tmp_path, {".json"}, memory=memory)
