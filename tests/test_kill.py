"""SIGKILL at random instants, then the same command: the corpus of an uninterrupted run, and nothing paid twice.

The server counts for itself: how many requests came, and how many came although their answer had been given. Of those,
only the ones whose answer had not reached the journal at the kill may come, and no more than were in flight.
"""

import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from drawing import write_scenes

IMAGES = 12
REQUESTS = IMAGES * 2 * 3  # modes, turns
IN_FLIGHT = 4
COMMAND = [sys.executable, "-m", "ostensive"]


@dataclass
class Server:
    base_url: str

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.base_url.removesuffix("/v1") + "/stats", timeout=10) as response:
            values: dict[str, Any] = json.load(response)
        return values


@contextmanager
def scripted_server(port: int) -> Iterator[Server]:
    command = [*COMMAND, "serve-scripted", "--port", str(port), "--error-rate", "0.2", "--latency", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().strip())
        finally:
            process.kill()


def build(server: Server, images: Path, run: Path, *, journal: Path) -> list[str]:
    settings = {
        "teacher.kind": "served",
        "teacher.model": "scripted",
        "teacher.base_url": server.base_url,
        "teacher.max_in_flight": IN_FLIGHT,
        "corpus.license": "cc0-1.0",
        "corpus.source": "drawn by a test",
        "run.partition_size": 4,
    }
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    arguments = ["--images", str(images), "--out", str(run), "--journal", str(journal), "--quiet"]
    return [*COMMAND, "build", "localized", *arguments, *sets]


def answered(journal: Path) -> int:
    """Answers that are in the journal."""
    if not journal.exists():
        return 0
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return int(connection.execute("select count(*) from answers").fetchone()[0])
        except sqlite3.OperationalError:  # killed before there was a table
            return 0


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def kill_and_resume(tmp_path: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    # A row names its request and a request its endpoint, so both runs ask at the same address.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    images = write_scenes(tmp_path / "images", IMAGES)
    with scripted_server(port) as server:
        started = time.monotonic()
        whole = build(server, images, tmp_path / "whole", journal=tmp_path / "whole.sqlite")
        subprocess.run(whole, check=True, capture_output=True)
        duration_s = time.monotonic() - started
        stats = server.stats()
        assert (stats["received"], stats["sent_after_answer"]) == (REQUESTS, 0)
    expected = tree(tmp_path / "whole" / "corpus")

    journal, run = tmp_path / "killed.sqlite", tmp_path / "killed"
    killed = 0
    with scripted_server(port) as server:
        command = build(server, images, run, journal=journal)
        for _ in range(kills):
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(rng.uniform(0.05, 1.0) * duration_s)
                alive = process.poll() is None
                process.send_signal(signal.SIGKILL)
            killed += alive
            before, there = server.stats(), answered(journal)
            # What was answered and is not in the journal was in flight: the slot is held until the answer is stored.
            assert before["distinct"] - there <= IN_FLIGHT
        subprocess.run(command, check=True, capture_output=True)
        stats = server.stats()
    assert killed > 0, "no kill met a living process"
    assert answered(journal) == stats["distinct"] == REQUESTS
    assert stats["received"] - stats["distinct"] <= killed * IN_FLIGHT
    assert stats["sent_after_answer"] <= killed * IN_FLIGHT
    assert tree(run / "corpus") == expected


def test_three_kills(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_kills(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=20, seed=2)
