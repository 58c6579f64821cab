"""Memory and time of a whole run at 1,000 and at 10,000 small images, scripted teacher in process.

    python benchmarks/scale.py [--small 1000] [--large 10000] [--full]

Each run is a process of its own; its peak memory is what the operating system counted for it, its time the wall clock
from the start of the engine to the finished corpus (the imports before that are the same for both, and would flatter
the larger run). One turn in one mode (3 candidates an image instead of 18) is the default here, because on two cores
the sentence embeddings are four fifths of the time and grow with the candidates alone; `--full` asks for all 18.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

MOST_MEMORY_RATIO = 1.2
MOST_TIME_RATIO = 1.1


@dataclass(frozen=True)
class Run:
    images: int
    seconds: float
    peak_mb: float
    rows: int

    @property
    def ms_per_image(self) -> float:
        return 1000 * self.seconds / self.images


def draw(folder: Path, count: int) -> None:
    """`count` different JPEG files of 64 x 64 pixels: four rectangles on a ground."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = np.empty((64, 64, 3), np.uint8)
        pixels[:] = rng.integers(0, 256, 3)
        for _ in range(4):
            x, y, width, height = rng.integers([0, 0, 10, 10], [44, 44, 30, 30])
            pixels[y : y + height, x : x + width] = rng.integers(0, 256, 3)
        Image.fromarray(pixels).save(folder / f"{number:06d}.jpg", quality=90)


def run(folder: Path, images: Path, count: int, full: bool) -> Run:
    settings: dict[str, object] = {
        "corpus.license": "cc0-1.0",
        "corpus.source": "drawn by a benchmark",
        "corpus.intended_use": "to test",
        "teacher.error_rate": 0.1,
    }
    if not full:
        settings |= {"localized.turns": 1, "localized.modes": "[ids]"}
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "ostensive", "build", "localized", "--images", str(images), "--quiet", "--json"]
    out = Path(tempfile.mkdtemp(dir=folder)) / "run"
    process = os.posix_spawn(
        sys.executable,
        [*command, "--limit", str(count), "--out", str(out), *sets],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, str(folder / "result.json"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        ],
    )
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"the run of {count} images ended with status {status}")
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    times = {event["event"]: event["t"] for event in events}
    rows = json.loads((folder / "result.json").read_text())["rows"]
    return Run(count, times["done"] - times["start"], usage.ru_maxrss / 1024, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=10_000)
    parser.add_argument("--full", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        draw(folder / "images", chosen.large)
        print(f"drew {chosen.large} images in {time.monotonic() - started:.0f} s", flush=True)
        found = []
        # The small run before and after the large one, so that a machine that gets slower or faster shows.
        for count in (chosen.small, chosen.large, chosen.small):
            found.append(run(folder, folder / "images", count, chosen.full))
            last = found[-1]
            print(
                f"{last.images:>7} images  {last.seconds:8.1f} s  {last.ms_per_image:6.1f} ms an image  "
                f"{last.peak_mb:7.0f} MB at most  {last.rows} rows",
                flush=True,
            )
    before, large, after = found
    memory = large.peak_mb / max(before.peak_mb, after.peak_mb)
    pace = large.ms_per_image / ((before.ms_per_image + after.ms_per_image) / 2)
    print(f"memory, large over small  {memory:.3f}  (target <= {MOST_MEMORY_RATIO})")
    print(f"time an image, likewise   {pace:.3f}  (target <= {MOST_TIME_RATIO})")


if __name__ == "__main__":
    main()
