"""Builds that run at the same time with one journal, as commands: each request is paid for once."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from drawing import write_scenes
from hardship import REQUESTS_AN_IMAGE, build_command, stages_of, tree

import ostensive
from builders.localized.scripted import make_script
from ostensive.chat.server import ServerSettings, ServerThread

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a build as a command; those that still run at the end are killed."""
    with ExitStack() as stack:

        def build(images: Path, run: Path, base_url: str, journal: Path, **teacher: object) -> "subprocess.Popen[str]":
            arguments = build_command(images, run, base_url, "--journal", journal, **teacher)
            command = [sys.executable, "-m", "ostensive", *arguments]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield build


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, errors = process.communicate(timeout=200)
    return process.returncode, errors


def test_two_builds_in_one_process(tmp_path: Path) -> None:
    images, journal = write_scenes(tmp_path / "images", 2), tmp_path / "both.sqlite"
    with ServerThread(make_script(0.2), ServerSettings(latency_s=0.5)) as server, ThreadPoolExecutor(2) as pool:
        sets = [
            "teacher.kind=served",
            "teacher.model=scripted",
            f"teacher.base_url={server.base_url}",
            "corpus.license=cc0-1.0",
            "corpus.source=mine",
            "corpus.intended_use=to test",
            "run.partition_size=1",
        ]
        options = ostensive.BuildOptions(settings=sets, journal=journal)

        def rows(run: str) -> list[object]:
            corpus = ostensive.build("localized", images=images, out=tmp_path / run, options=options)
            return list(corpus.rows())

        one, other = pool.map(rows, ["one", "two"])
        assert one
        assert one == other
        assert server.stats.received == server.stats.distinct == 2 * REQUESTS_AN_IMAGE


@pytest.mark.slow
def test_two_builds_of_one_folder(start: Start, tmp_path: Path) -> None:
    images, journal = write_scenes(tmp_path / "images", 1), tmp_path / "both.sqlite"
    runs = [tmp_path / "one", tmp_path / "two"]
    with ServerThread(make_script(0.2), ServerSettings(latency_s=1.0)) as server:
        builds = [start(images, run, server.base_url, journal) for run in runs]
        assert [end(process) for process in builds] == [(0, "")] * 2
        assert server.stats.received == server.stats.distinct == REQUESTS_AN_IMAGE
    assert stages_of(runs[0]) == stages_of(runs[1])
    assert tree(runs[0] / "corpus" / "data") == tree(runs[1] / "corpus" / "data")


@pytest.mark.long
@pytest.mark.slow
def test_of_three_builds_one_is_stopped_and_one_is_killed(start: Start, tmp_path: Path) -> None:
    images, journal = write_scenes(tmp_path / "images", 1), tmp_path / "all.sqlite"
    names = ["killed", "stopped", "whole"]
    with ServerThread(make_script(0.2), ServerSettings(latency_s=4.0)) as server:
        killed, stopped, whole = (
            start(images, tmp_path / name, server.base_url, journal, max_in_flight=2) for name in names
        )
        while not all((tmp_path / name / "verbalized").exists() for name in names):
            time.sleep(0.05)
        time.sleep(1.0)
        stopped.send_signal(signal.SIGINT)
        killed.kill()
        assert end(stopped)[0] == 130
        assert end(whole) == (0, "")
        for name in ("killed", "stopped"):
            assert end(start(images, tmp_path / name, server.base_url, journal)) == (0, "")
            assert tree(tmp_path / name / "corpus" / "data") == tree(tmp_path / "whole" / "corpus" / "data")
        assert server.stats.distinct == REQUESTS_AN_IMAGE
        assert server.stats.received - server.stats.distinct <= 2, "those that the killed one had in flight"
