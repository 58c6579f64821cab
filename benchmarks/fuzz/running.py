"""The run of a fuzzer: a process that reads, one that watches, and the figures."""

import argparse
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fuzz.mutating import mutant
from fuzz.table import READERS, reader_named

_HANG_S: Final = 30.0  # 10 are allowed, on a machine that has nothing else to do
_MEMORY_BYTES: Final = 4 << 30  # of address space, most of which libraries map and never touch
_FOLDER: Final = str(Path(__file__).parent)


@dataclass
class Figures:
    """What came of one reader's inputs."""

    reader: str
    tried: int = 0
    seconds: float = 0.0
    memory_mb: int = 0  # above what the process had after its first sound inputs
    slowest_s: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        ends = ", ".join(f"{count} {what}" for what, count in sorted(self.ends.items())) or "none"
        return (
            f"{self.reader:16}{self.tried:>10,} inputs{self.seconds:>8.0f} s   slowest {self.slowest_s:5.2f} s"
            f"   memory {self.memory_mb:>5,} MB   faults: {ends}"
        )


def main(description: str) -> int:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"any of {', '.join(READERS)}")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each reader (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="where inputs go that were faults")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := [name for name in given.readers if name not in READERS]:
        parser.error(f"no reader {', '.join(unknown)}; there are {', '.join(READERS)}")
    if given.child is not None:
        read_for_ever(given.readers[0], given.seed, given.child)
        return 0
    done = [watch(name, 60 * given.minutes, given.seed, given.keep) for name in given.readers or READERS]
    print(json.dumps({figures.reader: {"inputs": figures.tried, **figures.ends} for figures in done}), file=sys.stderr)
    return 1 if any(figures.ends for figures in done) else 0


def input_of(name: str, seeds: list[bytes], seed: int, number: int) -> bytes:
    """The input of that number: the sound ones first, then mutants."""
    return seeds[number] if number < len(seeds) else mutant(seeds, random.Random(f"{seed} {name} {number}"))


# ---- the process that reads -----------------------------------------------------------------------------------------


def read_for_ever(name: str, seed: int, first: int) -> None:
    """Reads inputs from the number `first` on, and writes a line before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reader = reader_named(name)
    seeds = reader.seeds()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as made:
        folder = Path(made)
        for data in seeds:
            reader.read(data, _empty(folder))
        base = _peak_mb()
        number = first
        while True:
            data = input_of(name, seeds, seed, number)
            _say("start", number)
            fault = ""
            try:
                reader.read(data, _empty(folder))
            except Exception as error:  # noqa: BLE001 - whatever is raised here is what is looked for
                where = traceback.extract_tb(error.__traceback__)[-1]
                fault = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
                sys.stderr.write(traceback.format_exc())
            _say("end", number, _peak_mb() - base, fault)
            number += 1


def _empty(folder: Path) -> Path:
    inner = folder / "input"
    shutil.rmtree(inner, ignore_errors=True)
    inner.mkdir()
    return inner


def _peak_mb() -> int:
    """The most memory of this process, and of the largest that it started and that has ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) // 1024


def _say(*parts: object) -> None:
    sys.stdout.write(json.dumps(parts) + "\n")
    sys.stdout.flush()


# ---- the process that watches ---------------------------------------------------------------------------------------


def watch(name: str, seconds: float, seed: int, keep: Path) -> Figures:
    """Has a reader read for so long, in as many processes as it ends; inputs that it faults at go to `keep`."""
    figures = Figures(name)
    started = time.monotonic()
    number = 0
    while (left := started + seconds - time.monotonic()) > 0:
        number = _one_child(figures, number, left, seed, keep)
    figures.seconds = time.monotonic() - started
    print(figures.line(), flush=True)
    return figures


def _one_child(figures: Figures, first: int, seconds: float, seed: int, keep: Path) -> int:
    """Watches one process until it ends or the time is over; returns the number of the next input."""
    name = figures.reader
    command = [sys.executable, _FOLDER, name, "--seed", str(seed), "--child", str(first)]
    keep.mkdir(parents=True, exist_ok=True)
    noise = (keep / f"{name}.log").open("ab")
    deadline = time.monotonic() + seconds
    number, is_reading, since = first, False, time.monotonic()
    with noise, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=noise) as child:
        assert child.stdout is not None, "it is a pipe"
        pending = b""
        while True:
            ready, _, _ = select.select([child.stdout], [], [], 1.0)
            now = time.monotonic()
            part = os.read(child.stdout.fileno(), 1 << 16) if ready else b""
            *lines, pending = (pending + part).split(b"\n")
            for line in lines:
                kind, number, *rest = json.loads(line)
                is_reading = kind == "start"
                if not is_reading:
                    figures.tried += 1
                    figures.memory_mb = max(figures.memory_mb, rest[0])
                    figures.slowest_s = max(figures.slowest_s, now - since) if len(lines) <= 2 else figures.slowest_s
                    if rest[1]:
                        _note(figures, rest[1], number, seed, keep)
                since = now
            if ready and not part:
                ending = child.wait()
                _note(figures, _ended(ending), number, seed, keep)
                return number + 1
            if is_reading and now - since > _HANG_S:
                child.kill()
                _note(figures, "hang", number, seed, keep)
                return number + 1
            if now > deadline:
                child.kill()
                return number + 1


def _ended(status: int) -> str:
    return f"crash by {signal.Signals(-status).name}" if status < 0 else f"end with status {status}"


def _note(figures: Figures, what: str, number: int, seed: int, keep: Path) -> None:
    figures.ends[what] += 1
    if figures.ends[what] > 20:
        return
    data = input_of(figures.reader, reader_named(figures.reader).seeds(), seed, number)
    path = keep / f"{figures.reader}-{seed}-{number}"
    path.write_bytes(data)
    print(f"{figures.reader}: {what}: input {number} of seed {seed}, {len(data)} bytes, in {path}", file=sys.stderr)
