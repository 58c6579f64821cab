"""SIGKILL at random instants, then the same command: the corpus of an uninterrupted run, and nothing paid twice.

The server counts for itself how often each request came. What the journal held at a kill must never come again, and
what came and is not in the journal was in flight: a request keeps its place until its answer is stored.
"""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from drawing import write_scenes
from hardship import REQUESTS_AN_IMAGE, STAGES, build_command, call, stages_of, tree

from builders.localized.scripted import make_script
from ostensive.chat.journal import Journal
from ostensive.chat.server import ServerSettings, ServerThread
from ostensive.files import leftovers, temporary_name

IMAGES = 12  # as many partitions, so that a kill finds every stage at work
IN_FLIGHT = 4
WRITING_CORPUS = "corpus"
STARTING = "start"
ASKING = "asking"  # in the middle of conversations: part of an image's answers are in the journal, no row is
COMMAND = [sys.executable, "-m", "ostensive"]


def journaled(journal: Path) -> list[bytes]:
    """The bodies of all requests whose answer has reached the journal."""
    if not journal.exists():
        return []
    with Journal(journal, "reader"):
        pass  # brings the write-ahead log of the killed process in
    with closing(sqlite3.connect(journal)) as connection:
        return [request.encode() for (request,) in connection.execute("SELECT request FROM answers")]


def finished(run: Path, stage: str) -> int:
    return len(list((run / stage).glob("part-*.parquet")))


@dataclass
class Killer:
    """Starts the command, waits until the phase it shall be killed in has begun, and kills it a little later."""

    command: list[str]
    run: Path
    server: ServerThread
    rng: random.Random
    met: Counter[str] = field(default_factory=Counter)  # kills that met a living process, by phase

    def kill_in(self, phase: str) -> None:
        if phase == WRITING_CORPUS and (self.run / "corpus" / "manifest.json").exists():
            (self.run / "corpus" / "manifest.json").unlink()  # so that it is written again
        before = finished(self.run, phase)
        enough = self.server.stats.received + self.rng.randint(3, 16)
        with subprocess.Popen(
            [*COMMAND, *self.command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            deadline = time.monotonic() + 120
            while process.poll() is None and not self._begun(phase, before, enough) and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(self.rng.uniform(0, 1.5 if phase == STARTING else 0.15))
            alive = process.poll() is None
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate()
        assert alive or process.returncode == 0, errors
        assert errors == ""
        self.met[phase] += alive

    def _begun(self, phase: str, before: int, enough: int) -> bool:
        if phase == STARTING:
            return True
        if phase == ASKING:
            return self.server.stats.received >= enough
        if phase == WRITING_CORPUS:
            return bool(leftovers(self.run / "corpus", "corpus"))
        # Either it has finished a partition since the start, or there is none left for it to do.
        return finished(self.run, phase) > before or before == IMAGES


def kill_and_resume(tmp_path: Path, phases: list[str], seed: int) -> Counter[str]:
    images, run, journal = write_scenes(tmp_path / "images", IMAGES), tmp_path / "run", tmp_path / "journal.sqlite"
    with ServerThread(make_script(0.2), ServerSettings(latency_s=0.06, jitter_s=0.06)) as server:

        def command(out: Path, answers: Path) -> list[str]:
            sets = ["--set", "run.partition_size=1", "--journal", str(answers)]
            return build_command(images, out, server.base_url, *sets, max_in_flight=IN_FLIGHT)

        killer = Killer(command(run, journal), run, server, random.Random(seed))
        before: dict[bytes, int] = {}
        for phase in phases:
            received = server.stats.received
            killer.kill_in(phase)
            assert {body: server.times_received(body) for body in before} == before, "an answered request came again"
            there = journaled(journal)
            assert server.stats.received - received <= len(there) - len(before) + IN_FLIGHT
            before = {body: server.times_received(body) for body in there}
            assert all(before.values())
        done = call(*killer.command)
        assert done.returncode == 0, done.stderr
        assert {body: server.times_received(body) for body in before} == before, "an answered request came again"
        stats = server.stats
        assert stats.distinct == len(journaled(journal)) == IMAGES * REQUESTS_AN_IMAGE
        assert stats.received - stats.distinct <= killer.met.total() * IN_FLIGHT
        # The same server, since a row names its request and a request its endpoint.
        whole = call(*command(tmp_path / "whole", tmp_path / "whole.sqlite"))
        assert whole.returncode == 0, whole.stderr
    assert tree(run / "corpus") == tree(tmp_path / "whole" / "corpus")
    assert stages_of(run) == stages_of(tmp_path / "whole")
    assert not list(run.rglob(".partial-*")), "what was cut off is cleared away"
    assert json.loads((run / "run.json").read_text())["outcome"] == "done"
    return killer.met


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kill_in_every_phase(tmp_path: Path) -> None:
    phases = [STARTING, "images", "verbalized", ASKING, "candidates", "unique", "scored", "judged", WRITING_CORPUS]
    met = kill_and_resume(tmp_path, phases, seed=1)
    assert met.total() >= 7, met
    assert met[ASKING]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_kills(tmp_path: Path) -> None:
    phases = [STARTING, "images", "images", STARTING, "verbalized", ASKING, "candidates", ASKING, "candidates"]
    phases += [ASKING, ASKING, "unique", ASKING, "unique", "scored", "judged"] + [WRITING_CORPUS] * 4
    assert len(phases) == 20
    met = kill_and_resume(tmp_path, phases, seed=2)
    assert met.total() >= 17, met
    assert all(met[phase] for phase in (STARTING, ASKING, *STAGES, WRITING_CORPUS)), met


@pytest.mark.slow
def test_a_run_that_was_killed_before_it_wrote_anything_is_begun_again(tmp_path: Path) -> None:
    """What a kill can leave before the first partition: the lock, half a file, the recipe, an empty journal."""
    images = write_scenes(tmp_path / "images", 1)
    with ServerThread(make_script(0.0)) as server:
        whole = tmp_path / "whole"
        assert call(*build_command(images, whole, server.base_url)).returncode == 0
        left_behind: tuple[tuple[str, ...], ...] = (
            (".lock", temporary_name("run.json")),
            (".lock", "run.json", temporary_name("recipe.yaml")),
            (
                *(".lock", "recipe.yaml", "run.json", "journal.sqlite"),
                f"images/{temporary_name('part-00000-0123456789abcdef.parquet')}",
            ),
        )
        for number, names in enumerate(left_behind):
            run = tmp_path / f"run {number}"
            run.mkdir()
            for name in names:
                source = whole / name
                (run / name).parent.mkdir(exist_ok=True)
                (run / name).write_bytes(source.read_bytes() if name in {"recipe.yaml", "run.json"} else b"")
            done = call(*build_command(images, run, server.base_url))
            assert done.returncode == 0, (names, done.stderr)
            assert tree(run / "corpus") == tree(whole / "corpus")
            assert not list(run.rglob(".partial-*"))
