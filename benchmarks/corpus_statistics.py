"""How long the figures of a corpus take, and how much memory. Run: python benchmarks/corpus_statistics.py

A corpus of triples about six to an image is drawn: words of a vocabulary by Zipf's law in texts as long as those that
LSKD prints of its own, ten regions an image, two critics; its Parquet has the columns and row groups of a real one, but
for the pictures, which are not read. `statistics_of` then works out all figures from the files, in a process of its
own, whose largest memory is that of the whole process. Beside it, over the first rows: the same figures gathered row by
row as a corpus is written, and a plain loop that does nothing but split texts and count words with a `Counter`.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from cards.samples import CorpusSample, PublicForm
from cards.statistics import StatisticsGatherer, statistics_of
from ostensive import arrow
from ostensive.records import ImageRecord, Judged, Judgement, Location, Region, Verbalization

TARGET_SECONDS, TARGET_GIB = 60.0, 4.0
ROWS_AN_IMAGE, REGIONS = 6, 10
MEAN_WORDS = {"question": 12, "answer": 12, "rationale": 24}
VOCABULARY = 60_000
IMAGES_A_FILE, IMAGES_A_GROUP = 10_000, 100
FIRST_ROWS = 30_000
OPENINGS = (
    "What is",
    "Why would",
    "How might",
    "Where are",
    "What is the purpose of",
    "Is there",
    "Who has",
    "What kind of",
)


def texts(rng: np.random.Generator, words: pa.Array, count: int, mean: int, start: tuple[str, ...] = ("",)) -> pa.Array:
    lengths = np.maximum(rng.poisson(mean, count), 1)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    ranks = np.minimum(rng.zipf(1.3, offsets[-1]) - 1, VOCABULARY - 1)
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words.take(pa.array(ranks)))
    begun = pa.array(start).take(pa.array(rng.integers(0, len(start), count)))
    return pc.binary_join_element_wise(begun, pc.binary_join(lists, " "), pa.array([" [1]."] * count), " ")


def constant(value: str, count: int) -> pa.Array:
    return pa.array([value]).take(pa.array(np.zeros(count, np.int64)))


def lists_of(values: pa.Array, each: int) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(values) + 1, each), pa.int32()), values)


def samples(rng: np.random.Generator, words: pa.Array, images: int, schema: pa.Schema) -> pa.Table:
    rows, regions = images * ROWS_AN_IMAGE, images * REGIONS
    ids = pa.array([f"{number:064x}" for number in rng.integers(0, 2**63, images)])
    row_type = schema.field("rows").type.value_type
    judgement = row_type.field("judgements").type.value_type
    judgements = pa.StructArray.from_arrays(
        [
            pa.array(["rules", "trained"] * rows),
            constant("1", 2 * rows),
            pa.array(np.stack([np.ones(rows), rng.beta(5, 2, rows)], axis=1).ravel()),
            pa.array(np.ones(2 * rows, bool)),
            constant("", 2 * rows),
        ],
        fields=list(judgement),
    )
    said = {part: texts(rng, words, rows, mean) for part, mean in MEAN_WORDS.items()}
    said["question"] = pc.replace_substring(texts(rng, words, rows, 10, OPENINGS), ".", "?")
    columns = {
        "image_id": ids.take(pa.array(np.arange(images).repeat(ROWS_AN_IMAGE))),
        "mode": constant("ids", rows),
        **said,
        "mentions": lists_of(pa.array(np.ones(rows, np.int64)), 1),
        "teacher": constant("teacher", rows),
        "unanswerable": constant("", rows),
        "judgements": lists_of(judgements, 2),
    }
    made = [columns.get(field.name, constant("0" * 64, rows)) for field in row_type]
    corners = np.sort(rng.random((2, 2, regions)), axis=1)
    labels = pa.array(["area", "person", "car", "dog"]).take(pa.array(rng.integers(0, 4, regions)))
    numbers = pa.array(np.tile(np.arange(REGIONS), images))
    region_type = schema.field("regions").type.value_type
    box = pa.StructArray.from_arrays(
        [pa.array(corners[axis, end]) for end in (0, 1) for axis in (0, 1)], fields=list(region_type.field("box").type)
    )
    region = pa.StructArray.from_arrays(
        [numbers, box, labels, pa.nulls(regions, pa.float64()), texts(rng, words, regions, 6)], fields=list(region_type)
    )
    table = {
        "image_id": ids,
        "width": pa.array(np.full(images, 640)),
        "height": pa.array(np.full(images, 480)),
        "source": ids,
        "regions": lists_of(region, REGIONS),
        "rows": lists_of(pa.StructArray.from_arrays(made, fields=list(row_type)), ROWS_AN_IMAGE),
    }
    return pa.table([table.get(field.name, pa.nulls(images, field.type)) for field in schema], schema=schema)


def draw(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 11, VOCABULARY)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = pa.array(["".join(letters[k] for k in rng.integers(0, 26, length)) for length in lengths])
    schema = PublicForm(KIND, "").sample_schema
    left, number = -(-rows // ROWS_AN_IMAGE), 0
    while left:
        count = min(left, IMAGES_A_FILE)
        table = samples(rng, words, count, schema)
        pq.write_table(table, folder / f"{number:05d}.parquet", compression="zstd", row_group_size=IMAGES_A_GROUP)
        left, number = left - count, number + 1


def measure(folder: Path) -> None:
    started, cpu = time.monotonic(), time.process_time()
    figures = statistics_of(sorted(folder.glob("*.parquet")), KIND)
    print(
        json.dumps(
            {
                "rows": figures.rows,
                "words": sum(round(figures.mean_words[part] * figures.rows) for part in MEAN_WORDS),
                "seconds": time.monotonic() - started,
                "cpu": time.process_time() - cpu,
                "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            }
        )
    )


def first_samples(folder: Path) -> list[CorpusSample]:
    found = []
    for row in pq.ParquetFile(folder / "00000.parquet").read().slice(0, FIRST_ROWS // ROWS_AN_IMAGE).to_pylist():
        image = ImageRecord(row["image_id"], 640, 480, "JPEG", "RGB", 0, row["source"], Location(""))
        regions = tuple(arrow.from_plain(row["regions"], Region))
        triples = arrow.from_plain(row["rows"], Qar)
        judged = [
            Judged(one, tuple(arrow.from_plain(plain["judgements"], Judgement)))
            for one, plain in zip(triples, row["rows"], strict=True)
        ]
        found.append(CorpusSample(image, b"", Verbalization(row["image_id"], (), (), regions, ()), tuple(judged)))
    return found


def gathered(folder: Path) -> float:
    """Rows a second of the gatherer, beside the writing that gives it samples in their public form."""
    form = PublicForm(KIND, "")
    ready = [
        (one, [KIND.shown(judged.candidate) for judged in one.rows], form.sample_row(one))
        for one in first_samples(folder)
    ]
    started = time.monotonic()
    gatherer = StatisticsGatherer(KIND)
    for sample, shown, row in ready:
        gatherer.add(sample, shown, row)
    return gatherer.result().rows / (time.monotonic() - started)


def bare(folder: Path) -> float:
    """Rows a second of the plain loop."""
    rows = [one for sample in first_samples(folder) for one in sample.rows]
    counts = {part: Counter[str]() for part in MEAN_WORDS}
    started = time.monotonic()
    for judged in rows:
        for text in KIND.shown(judged.candidate):
            counts[text.name].update(text.text.lower().split())
    return len(rows) / (time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure is not None:
        measure(asked.measure)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        draw(folder, asked.rows)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"drawn: {size / 1e6:,.0f} MB of Parquet in {time.monotonic() - started:.0f} s")
        done = subprocess.run(
            [sys.executable, __file__, "--measure", name], check=True, capture_output=True, text=True
        ).stdout
        found = json.loads(done)
        print(
            f"statistics_of: {found['rows']:,} rows, {found['words']:,} words: {found['seconds']:.1f} s"
            f" ({found['cpu']:.1f} s of processors), {found['gib']:.2f} GiB at most"
            f" (target: {TARGET_SECONDS:.0f} s, {TARGET_GIB:.0f} GiB)"
        )
        print(f"rows a second: {found['rows'] / found['seconds']:,.0f}; gathered as a corpus is written:", end=" ")
        print(f"{gathered(folder):,.0f}; a plain loop that counts words only: {bare(folder):,.0f}")


if __name__ == "__main__":
    main()
