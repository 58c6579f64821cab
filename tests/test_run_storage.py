"""Disks that are full, limited or read-only: one clear line, and with room the same command makes the same corpus."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from drawing import write_scenes
from hardship import REQUESTS_AN_IMAGE, STAGES, Done, build_command, call, stages_of, tree

from builders.localized.scripted import make_script
from cards.reading import read_manifest
from ostensive.chat.server import ServerThread
from ostensive.files import temporary_name
from ostensive.run.folder import RunFolder

IMAGES = 3
SPARE_KIB = 48
"""More than SQLite needs to open a journal that is there."""
FULL = "the disk is full; make room and run the same command again"
OVER_LIMIT = "the file would pass the size limit set for this process; raise it and run the same command again"
BROKEN = "the disk is full, broken or over a file size limit; make room and run the same command again"
READ_ONLY = "the file system is read-only; choose another folder"


@dataclass(frozen=True)
class Disk:
    """A file system in memory with a size of its own."""

    path: Path

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True, capture_output=True)

    @property
    def used_kib(self) -> int:
        return shutil.disk_usage(self.path).used // 1024


@contextmanager
def small_disk(path: Path, kib: int) -> Iterator[Disk]:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(path)]
    if not sys.platform.startswith("linux") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs Linux and the right to mount a small file system")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("images"), IMAGES)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with ServerThread(make_script(0.2)) as thread:
        yield thread


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happened to."""

    run: Path
    base_url: str

    @property
    def corpus(self) -> dict[str, bytes]:
        return tree(self.run / "corpus")

    @property
    def journal(self) -> Path:
        return self.run / "journal.sqlite"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, images: Path, server: ServerThread) -> Undisturbed:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    done = call(*build_command(images, run, server.base_url))
    assert done.returncode == 0, done.stderr
    return Undisturbed(run, server.base_url)


def assert_mended(done: Done, run: Path, undisturbed: Undisturbed) -> None:
    assert (done.returncode, done.stderr) == (0, "")
    assert tree(run / "corpus") == undisturbed.corpus
    assert stages_of(run) == stages_of(undisturbed.run)
    assert not list(run.rglob(".partial-*"))


def assert_whole_or_absent(corpus: Path) -> None:
    manifest = read_manifest(corpus)
    for file in manifest.files if manifest else ():
        assert hashlib.sha256((corpus / file.path).read_bytes()).hexdigest() == file.sha256


def place_of(complaint: str, run: Path) -> str:
    """What a complaint of a full disk names: journal, corpus, log.jsonl, the folder of a stage, ..."""
    where = complaint.removeprefix("cannot write ")
    assert where.startswith(f"{run}/"), complaint
    return where.removeprefix(f"{run}/").partition(":")[0].partition("/")[0]


@pytest.mark.slow
def test_a_disk_that_fills_again_and_again(images: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Room is made in small steps, so that the disk fills in everything that is written."""
    places: Counter[str] = Counter()
    kib, used = 12, 0
    with ServerThread(make_script(0.2)) as server, small_disk(tmp_path / "disk", kib) as disk:
        run = disk.path / "run"
        command = build_command(images, run, server.base_url, max_in_flight=2)
        while (done := call(*command)).returncode:
            assert done.returncode == 1
            assert done.complaint.endswith((FULL, BROKEN)), done.complaint
            place = place_of(done.complaint, run)
            places[place] += 1
            assert_whole_or_absent(run / "corpus")
            # In long strides through the journal, and in short ones at the end, or a stride steps over the corpus.
            stride = 16 if list(run.glob("unique/*.parquet")) else kib // 3 // 4 * 4 + 4
            # SQLite copies its log into the journal and deletes it as soon as that fits, hundreds of KiB at once: that
            # room is taken away again.
            used, before = disk.used_kib, used
            kib = used + SPARE_KIB if used < before - SPARE_KIB else kib + stride
            disk.remount(f"size={kib}k")
            assert kib < 8_000
        # Each stop may have cost the answers that could not be stored, and no others.
        assert server.stats.received - IMAGES * REQUESTS_AN_IMAGE <= 2 * places["journal.sqlite"]
        whole = call(*build_command(images, tmp_path / "whole", server.base_url))
        assert whole.returncode == 0
        assert_mended(done, run, Undisturbed(tmp_path / "whole", server.base_url))
    assert places.keys() >= {"journal.sqlite", "corpus"}, places
    assert places.keys() & set(STAGES), places


def test_a_full_disk_in_the_log(images: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = build_command(images, run, undisturbed.base_url, "--journal", undisturbed.journal)
    assert call(*command, "--limit", 1).returncode == 0
    log = (run / "log.jsonl").read_bytes()
    (run / "log.jsonl").unlink()
    (run / "log.jsonl").symlink_to("/dev/full")
    assert call(*command).complaint == f"cannot write {run / 'log.jsonl'}: {FULL}"
    (run / "log.jsonl").unlink()
    (run / "log.jsonl").write_bytes(log[:-9])  # the last line was cut short
    assert_mended(call(*command), run, undisturbed)
    events = [event["event"] for event in RunFolder(run).read_log()]
    assert events.count("start") == 2, "the line that was cut short has not swallowed the next"


# One process for all limits: a limit of the test's own process would meet pytest's files too.
LIMITED = """
import contextlib, io, json, resource, sys
from ostensive.cli import main
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for line in sys.stdin:
    limit, sys.argv = json.loads(line)
    out, errors = io.StringIO(), io.StringIO()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(json.dumps([code, out.getvalue(), errors.getvalue()]), flush=True)
"""


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(server: ServerThread, tmp_path: Path) -> None:
    # One partition that is larger than what SQLite needs to open a journal.
    count, run, journal = 18, tmp_path / "run", tmp_path / "new.sqlite"
    images = write_scenes(tmp_path / "images", count)
    # A shard that is finished before the last sample has come, so that the limit is met in the middle.
    settings = ["--set", f"run.partition_size={count}", "--set", "corpus.max_shard_samples=6"]
    whole = Undisturbed(tmp_path / "whole", server.base_url)
    assert call(*build_command(images, whole.run, server.base_url, *settings)).returncode == 0
    shutil.copytree(whole.run, run)
    (run / "corpus" / "manifest.json").unlink()
    command = build_command(images, run, server.base_url, *settings)
    with subprocess.Popen(
        [sys.executable, "-c", LIMITED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def call_limited(limit_bytes: int, *arguments: object) -> Done:
            print(
                json.dumps([limit_bytes, ["ostensive", *command, *map(str, arguments)]]), file=process.stdin, flush=True
            )
            assert process.stdout is not None
            return Done(*json.loads(process.stdout.readline()))

        done = call_limited(60_000)
        assert (done.returncode, done.complaint) == (1, f"cannot write {run / 'corpus'}: {OVER_LIMIT}")
        shutil.rmtree(run / "judged")
        done = call_limited(33_000)
        assert next((whole.run / "judged").iterdir()).stat().st_size > 33_000
        assert place_of(done.complaint, run) == "judged"
        assert done.complaint.endswith(OVER_LIMIT)
        with (run / "log.jsonl").open("a") as log:
            log.write(f"{'x' * 40_000}\n")
        done = call_limited(40_000)
        assert done.complaint == f"cannot write {run / 'log.jsonl'}: {OVER_LIMIT}"
        shutil.rmtree(run / "candidates")
        done = call_limited(100_000, "--journal", journal)
        assert done.complaint == f"{journal}: {BROKEN}"
        process.stdin.close()
    received = server.stats.received
    assert_mended(call(*command, "--journal", whole.journal), run, whole)
    assert server.stats.received == received, "nothing is asked that the journal knows"


def test_a_disk_that_becomes_read_only(images: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4_000) as disk:
        run = disk.path / "run"
        command = build_command(images, run, undisturbed.base_url, max_in_flight=1)
        assert call(*command, "--max-requests", 7).returncode == 1
        (run / "corpus" / temporary_name("corpus")).mkdir()  # as a kill leaves it
        there = tree(run)
        disk.remount("ro")
        done = call(*command)
        assert (done.returncode, done.complaint) == (1, f"cannot write {run}: {READ_ONLY}")
        assert call("status", run).returncode == 0, "what is there can still be looked at"
        fresh = disk.path / "another" / "run"
        assert call(*build_command(images, fresh, undisturbed.base_url)).complaint == (
            f"cannot write {fresh}: {READ_ONLY}"
        )
        elsewhere = call(*command, "--journal", disk.path / "j.sqlite")
        assert elsewhere.returncode == 1
        assert tree(run) == there
        disk.remount("rw")
        assert_mended(call(*command), run, undisturbed)


@pytest.mark.slow
def test_a_journal_on_a_read_only_disk(images: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4_000) as disk:
        journal, run = disk.path / "shared.sqlite", tmp_path / "run"
        journal.write_bytes(undisturbed.journal.read_bytes())
        command = build_command(images, run, undisturbed.base_url, "--journal", journal)
        disk.remount("ro")
        done = call(*command)
        assert done.returncode == 1
        assert done.complaint.startswith(f"{journal}: ")
        disk.remount("rw")
        assert_mended(call(*command), run, undisturbed)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_a_folder_without_permission(images: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    done = call(*build_command(images, folder / "run", undisturbed.base_url))
    assert done.returncode == 1
    assert done.complaint == (
        f"cannot write {folder / 'run'}: there is no permission to write there; choose another folder or change its"
        " permissions"
    )
    folder.chmod(0o700)
    assert call(*build_command(images, folder / "run", undisturbed.base_url)).returncode == 0


def test_a_folder_below_a_file(images: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for out in (tmp_path / "file" / "run", tmp_path / "file"):
        done = call(*build_command(images, out, undisturbed.base_url))
        cause = f"{tmp_path / 'file'} is a file, not a folder; choose another folder"
        assert (done.returncode, done.complaint) == (2, f"{out}: {cause}")
    assert (tmp_path / "file").read_text() == "not a folder"
