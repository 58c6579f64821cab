"""How long the figures of a million rows take, and in how much memory. Run: python benchmarks/corpus_statistics.py

The corpus is Parquet as `cards` writes it, less the pictures, which statistics do not read: ten rows an image, texts
drawn from a vocabulary of 20,000 words by Zipf's law, eight regions an image, two critics. A process of its own reads
it, so that its largest memory is its own.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any  # Any: numpy arrays

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from cards.reading import CorpusFile, CorpusManifest, CorpusSplit
from cards.samples import CorpusSample, PublicForm
from cards.statistics.from_files import statistics_of
from cards.statistics.gathering import StatisticsGatherer
from ostensive.records import Box, ImageRecord, Judged, Judgement, Location, Region, Verbalization

ROWS_AN_IMAGE, IMAGES_A_FILE, VOCABULARY = 10, 10_000, 20_000
LENGTHS = {"question": 12, "answer": 8, "rationale": 30}
FORM = PublicForm(KIND, "r" * 16)


class Texts:
    """Texts of words by Zipf's law: 100,000 of each length, of which rows take one after the other."""

    def __init__(self) -> None:
        draw: Any = np.random.default_rng(0)
        words = [f"word{number:05d}"[: 3 + number % 7] + str(number % 97) for number in range(VOCABULARY)]
        weights = 1 / np.arange(1, VOCABULARY + 1)
        self.texts = {
            name: [
                " ".join(words[place] for place in places)
                for places in draw.choice(VOCABULARY, size=(100_000, length), p=weights / weights.sum())
            ]
            for name, length in LENGTHS.items()
        }

    def of(self, name: str, row: int) -> str:
        return self.texts[name][row % 100_000]


def sample(place: int, texts: Texts) -> CorpusSample:
    image_id = hashlib.sha256(str(place).encode()).hexdigest()
    sides = [(0.1 * k, 0.1 * k + 0.01 * (place % 20 + 1)) for k in range(8)]
    regions = tuple(
        Region(k, Box(low, 0.1, high, 0.3 + 0.05 * k), "area", None, "a part") for k, (low, high) in enumerate(sides)
    )
    rows = []
    for number in range(ROWS_AN_IMAGE):
        row = ROWS_AN_IMAGE * place + number
        question, answer, rationale = (f"{texts.of(name, row)} [{number % 8}]" for name in LENGTHS)
        texts_of_row = question, answer, rationale
        qar = Qar(f"{row:016x}", image_id, "ids", *texts_of_row, (number % 8,), "teacher", "p" * 16, f"{row:064x}")
        judgements = (Judgement("rules", "1", 1.0, True, ""), Judgement("trained", "2", row % 97 / 96, True, ""))
        rows.append(Judged(qar, judgements))
    image = ImageRecord(image_id, 640, 480, "JPEG", "RGB", 1, f"{place}.jpg", Location("/x.jpg"))
    return CorpusSample(image, b"", Verbalization(image_id, (), (), regions, ()), tuple(rows))


def write(folder: Path, rows: int) -> CorpusManifest:
    texts, images = Texts(), rows // ROWS_AN_IMAGE
    (folder / "data").mkdir(parents=True)
    files = []
    for first in range(0, images, IMAGES_A_FILE):
        path = f"data/train-{first:07d}.parquet"
        last = min(first + IMAGES_A_FILE, images)
        with pq.ParquetWriter(folder / path, FORM.sample_schema, compression="zstd") as writer:
            for start in range(first, last, 100):
                made = [FORM.sample_row(sample(place, texts)) for place in range(start, min(start + 100, last))]
                writer.write_table(pa.Table.from_pylist(made, schema=FORM.sample_schema))
        files.append(CorpusFile(path, "samples", "train", last - first, 0, ""))
    figures = StatisticsGatherer(KIND).result()
    return CorpusManifest(
        "bench", "r" * 16, images, rows, (CorpusSplit("train", images, rows, 0, 0),), tuple(files), figures
    )


def measure(folder: Path) -> None:
    """In a process of its own: reads the corpus, says how long it took and the largest memory that it had."""
    files = sorted((folder / "data").glob("*.parquet"))
    listed = tuple(CorpusFile(f"data/{file.name}", "samples", "train", 0, 0, "") for file in files)
    manifest = CorpusManifest("bench", "", 0, 0, (), listed, StatisticsGatherer(KIND).result())
    started, cpu_started = time.perf_counter(), time.process_time()
    figures = statistics_of(folder, manifest, KIND)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"rows": figures.rows, "seconds": seconds, "cpu_seconds": cpu, "peak_gb": peak * 1024 / 1e9}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure(given.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), given.rows)
        for _ in range(given.rounds):
            found = json.loads(subprocess.check_output([sys.executable, __file__, "--one", folder]))
            spent = f"{found['seconds']:.1f} s ({found['cpu_seconds']:.1f} s of processors)"
            print(f"{found['rows']:,} rows: {spent}, at most {found['peak_gb']:.2f} GB")


if __name__ == "__main__":
    main()
