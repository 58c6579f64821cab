"""How fast shards are written, over copying the same bytes with `tar`. Run: python benchmarks/shards.py

The yardstick is `tar --create` of the members, as files in a folder, into a new archive: what a person would do who has
the pictures and the JSON as files; they lie in the page cache. Our writer gets the same bytes from memory, computes
the SHA-256 of every shard as it writes, and has the disk confirm it (`fsync`); so `tar` is timed with a `fsync` of
its archive, and without one for comparison. The rounds alternate; figures are medians. Hashing needs a second core.
"""

import argparse
import hashlib
import io
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from cards.samples import CorpusSample, PublicForm, sample_key, to_json
from cards.shards import ShardWriter
from cards.writing import write_corpus
from ostensive.recipe import CorpusSettings
from ostensive.records import (
    Box,
    ImageRecord,
    Judged,
    Judgement,
    Location,
    Region,
    Verbalization,
)
from ostensive.run.summary import RunFacts, StageSummary

TARGET = 0.7
ROWS_A_SAMPLE = 6
WORDS = ("the", "small", "large", "bright", "dark", "region", "left", "right", "of", "shows", "why", "because", "green")
SETTINGS = CorpusSettings(
    name="bench", license="cc0-1.0", source="noise", intended_use="to test", max_shard_bytes=100_000_000
)


def words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(WORDS, k=count))


def make_sample(place: int, base: bytes, jpeg_bytes: int) -> CorpusSample:
    rng = random.Random(place)
    image_id = hashlib.sha256(str(place).encode()).hexdigest()
    # A real JPEG, then noise behind its end marker: no two samples alike, as incompressible as photographs.
    jpeg = base + rng.randbytes(jpeg_bytes - len(base))
    regions = tuple(Region(k, Box(0.1 * k, 0.1, 0.1 * k + 0.1, 0.9), "area", None, words(rng, 12)) for k in range(8))
    rows = tuple(
        Judged(
            Qar(
                row_id=hashlib.sha256(f"{place} {k}".encode()).hexdigest()[:32],
                image_id=image_id,
                mode="ids",
                question=words(rng, 12),
                answer=words(rng, 12),
                rationale=words(rng, 24),
                mentions=(k,),
                teacher="scripted",
                prompt_hash="0" * 64,
                request_key="0" * 64,
            ),
            (Judgement("rules", "1", 1.0, True, ""),),
        )
        for k in range(ROWS_A_SAMPLE)
    )
    image = ImageRecord(image_id, 64, 64, "JPEG", "RGB", len(jpeg), f"{place}.jpg", Location(f"/{place}.jpg"))
    text = Verbalization(image_id, (words(rng, 10),), (words(rng, 40),), regions, ())
    return CorpusSample(image, jpeg, text, rows)


def make_samples(count: int, jpeg_bytes: int) -> list[CorpusSample]:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, "JPEG")
    return [make_sample(place, buffer.getvalue(), jpeg_bytes) for place in range(count)]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run_tar(members: Path, archive: Path, *, confirmed: bool) -> None:
    subprocess.run(["tar", "--create", "--file", str(archive), "--directory", str(members), "."], check=True)
    if confirmed:
        descriptor = os.open(archive, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def run_shards(encoded: list[tuple[str, bytes, bytes]], folder: Path) -> None:
    folder.mkdir()
    with ShardWriter(folder, "bench", max_bytes=SETTINGS.max_shard_bytes, max_samples=10_000) as writer:
        for key, jpeg, row in encoded:
            writer.add(key, jpeg, row)
        writer.finish()


def run_shards_from_records(samples: list[CorpusSample], form: PublicForm, folder: Path) -> None:
    folder.mkdir()
    with ShardWriter(folder, "bench", max_bytes=SETTINGS.max_shard_bytes, max_samples=10_000) as writer:
        for sample in samples:
            writer.add(sample_key(sample.image.image_id), sample.jpeg, to_json(form.sample_row(sample)))
        writer.finish()


def run_corpus(samples: list[CorpusSample], folder: Path) -> None:
    rows = len(samples) * ROWS_A_SAMPLE
    facts = RunFacts(
        recipe={},
        recipe_hash="0" * 64,
        stages=(StageSummary("judged", rows, rows),),
        records={"verbalized": Verbalization.__name__, "judged": Judged.__name__},
        accepted=rows,
        teachers=("scripted",),
        prompt_hashes=(),
        critics=(),
        ostensive_version="0",
    )
    write_corpus(iter(samples), folder, kind=KIND, settings=SETTINGS, facts=facts)


def measure(samples: list[CorpusSample], root: Path, rounds: int) -> dict[str, list[float]]:
    form = PublicForm(KIND, "0" * 64)
    encoded = [(sample_key(s.image.image_id), s.jpeg, to_json(form.sample_row(s))) for s in samples]
    members = root / "members"
    members.mkdir()
    for key, jpeg, row in encoded:
        (members / f"{key}.jpg").write_bytes(jpeg)
        (members / f"{key}.json").write_bytes(row)
    out = root / "out"
    ways: dict[str, Callable[[], object]] = {
        "tar": lambda: run_tar(members, out, confirmed=False),
        "tar, fsync": lambda: run_tar(members, out, confirmed=True),
        "shards from bytes": lambda: run_shards(encoded, out),
        "shards from records": lambda: run_shards_from_records(samples, form, out),
        "whole corpus": lambda: run_corpus(samples, out),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in interleaved(ways, rounds + 1):
        os.sync()  # nobody writes back what another left behind
        times[name].append(timed(way))
        shutil.rmtree(out) if out.is_dir() else out.unlink()
    return {name: values[1:] for name, values in times.items()}  # the first round warms up


def interleaved(ways: dict[str, Callable[[], object]], rounds: int) -> Iterator[tuple[str, Callable[[], object]]]:
    for _ in range(rounds):
        yield from ways.items()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--jpeg-bytes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; the temporary folder by default")
    options = parser.parse_args()
    samples = make_samples(options.samples, options.jpeg_bytes)
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        times = measure(samples, Path(root), options.rounds)
    payload_mb = sum(len(sample.jpeg) for sample in samples) / 1e6
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{options.samples} samples, {payload_mb:.0f} MB of pictures, medians of {options.rounds} alternating rounds")
    for name, seconds in medians.items():
        low, high = min(times[name]), max(times[name])
        print(f"{name:22s} {seconds:6.3f} s ({low:.3f}-{high:.3f})  {payload_mb / seconds:6.0f} MB/s")
    ratio = medians["tar, fsync"] / medians["shards from bytes"]
    print(f"shards over tar, the same bytes, both confirmed by the disk: {ratio:.2f} (must reach {TARGET})")
    print(f"shards over tar that does not wait for the disk: {medians['tar'] / medians['shards from bytes']:.2f}")
    print(f"with the JSON made from records: {medians['tar, fsync'] / medians['shards from records']:.2f}")
    print(f"with JSON, Parquet of both kinds and the card: {medians['tar, fsync'] / medians['whole corpus']:.2f}")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
