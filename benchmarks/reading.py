"""How fast a corpus is streamed with regions drawn on it, over bare `webdataset`. Run: python benchmarks/reading.py

Both read the same shards with as many worker processes. The yardstick is what a person writes who has never heard of
regions: `webdataset` decodes each picture to RGB and each JSON to a dictionary, and shuffles. Ours does that, makes
records, cuts out, flips, re-numbers, and draws; with `--side 336` it also brings pictures to what a student's vision
tower takes. Rounds alternate, and every second one goes the other way round; figures are medians. The pictures are
noise of the smoothness of photographs, since a plain ground would decode too fast.

With `--step` a training step of the microworld's tiny model is timed beside the time that a batch takes to be read.
"""

import argparse
import hashlib
import io
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any  # Any: webdataset ships no types

from figures import Figures, Plan, Ways, measure

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from cards.samples import CorpusSample
from cards.writing import write_corpus
from ostensive.recipe import CorpusSettings
from ostensive.records import Box, ImageRecord, Judged, Judgement, Location, Region, Verbalization
from ostensive.run.summary import RunFacts, StageSummary
from students.data.drawn import RegionAugmentation
from students.data.loader import ResumableLoader
from students.data.settings import AugmentationSettings
from students.data.shards import find_shards
from students.data.stream import CorpusStream, StreamSettings

TARGET = 0.7
ROWS_AN_IMAGE = 6
REGIONS = 8
BUFFER = 100
BATCH = 8
WORDS = ("the", "small", "large", "bright", "dark", "cup", "near", "above", "of", "shows", "why", "because", "green")


def make_sample(place: int, size: tuple[int, int]) -> CorpusSample:
    """A picture of smooth noise with regions, and rows that each mention two of them."""
    import numpy as np
    from PIL import Image, ImageFilter

    rng = random.Random(place)
    small = np.random.default_rng(place).integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    grain = Image.effect_noise(size, 24).filter(ImageFilter.GaussianBlur(0.8)).convert("RGB")
    buffer = io.BytesIO()
    Image.blend(picture, grain, 0.4).save(buffer, "JPEG", quality=90)
    image_id = hashlib.sha256(str(place).encode()).hexdigest()
    regions = []
    for number in range(REGIONS):
        x, y = rng.uniform(0, 0.7), rng.uniform(0, 0.7)
        box = Box(x, y, x + rng.uniform(0.1, 0.3), y + rng.uniform(0.1, 0.3))
        regions.append(Region(number, box, "area", None, " ".join(rng.choices(WORDS, k=12))))
    rows = tuple(_row(place, row, image_id, rng) for row in range(ROWS_AN_IMAGE))
    data = buffer.getvalue()
    image = ImageRecord(image_id, *size, "JPEG", "RGB", len(data), f"{place}.jpg", Location(f"/{place}.jpg"))
    text = Verbalization(image_id, ("A scene.",), (" ".join(rng.choices(WORDS, k=40)),), tuple(regions), ())
    return CorpusSample(image, data, text, rows)


def _row(place: int, row: int, image_id: str, rng: random.Random) -> Judged[Qar]:
    one, two = rng.sample(range(REGIONS), 2)
    words = [" ".join(rng.choices(WORDS, k=count)) for count in (10, 8, 24)]
    qar = Qar(
        f"{place}-{row}", image_id, "ids", f"{words[0]} [{one}]?", f"{words[1]} [{two}].", f"[{one}] {words[2]}",
        (one, two), "scripted", "0" * 64, "0" * 64,
    )  # fmt: skip
    return Judged(qar, (Judgement("rules", "1", 1.0, True, ""),))


def write(folder: Path, images: int, size: tuple[int, int]) -> None:
    rows = images * ROWS_AN_IMAGE
    facts = RunFacts(
        recipe={}, recipe_hash="0" * 64, stages=(StageSummary("judged", rows, rows),),
        records={"verbalized": Verbalization.__name__}, accepted=rows, teachers=("scripted",), prompt_hashes=(),
        critics=(), ostensive_version="0",
    )  # fmt: skip
    settings = CorpusSettings(
        name="bench", license="cc0-1.0", source="noise", intended_use="to test", max_shard_samples=-(-images // 8)
    )
    folder.mkdir()
    write_corpus(
        (make_sample(place, size) for place in range(images)), folder, kind=KIND, settings=settings, facts=facts
    )


def counted(batches: Iterable[list[tuple[int, int]]]) -> int:
    """How many samples come; what it takes the workers to start is in the figures of both."""
    return sum(len(batch) for batch in batches)


def read_bare(urls: list[str], workers: int) -> int:
    import webdataset as wds
    from torch.utils.data import DataLoader

    pipeline: Any = wds.DataPipeline(
        wds.SimpleShardList(urls),
        wds.split_by_worker,
        wds.shuffle(len(urls)),
        wds.tarfile_to_samples(),
        wds.shuffle(BUFFER),
        wds.decode("pil"),
        wds.to_tuple("jpg", "json"),
    )
    return counted(DataLoader(pipeline, batch_size=BATCH, num_workers=workers, collate_fn=_sizes))


def read_ours(folder: Path, workers: int, side: int | None) -> int:
    transform = RegionAugmentation(KIND, AugmentationSettings(max_side=side))
    stream = CorpusStream(find_shards(folder), KIND, transform=transform, settings=StreamSettings(buffer=BUFFER))
    return counted(ResumableLoader(stream, batch_size=BATCH, workers=workers, collate=_drawn_sizes))


# Pictures stay in the workers: what it costs to send pixels to the main process is the same for both.
def _sizes(items: list[Any]) -> list[tuple[int, int]]:
    return [picture.size for picture, _ in items]


def _drawn_sizes(items: list[Any]) -> list[tuple[int, int]]:
    return [item.picture.size for item in items]


def timed(read: Callable[[], int], seconds: list[float]) -> Callable[[], int]:
    """`read`, with what it took of all cores added to `seconds`: workers that ended count with this process."""

    def run() -> int:
        before = sum(os.times()[:4])
        count = read()
        seconds.append(sum(os.times()[:4]) - before)
        return count

    return run


def report(found: dict[str, Figures], cpu_seconds: dict[str, list[float]]) -> float:
    cores = {name: statistics.median(seconds[1:]) for name, seconds in cpu_seconds.items()}
    for name, figures in found.items():
        rates = sorted(figures.images / seconds for seconds in figures.seconds)
        print(
            f"{name:5s} {figures.rate:7.1f} samples/s ({rates[0]:.1f} to {rates[-1]:.1f}),"
            f" {figures.images / cores[name]:.1f} for a second of one core",
            flush=True,
        )
    ratio = found["ours"].rate / found["bare"].rate
    by_cpu = cores["bare"] / cores["ours"]
    print(f"ours over bare webdataset: {ratio:.2f} by the clock (must reach {TARGET}), {by_cpu:.2f} by CPU time")
    return ratio


def report_step(folder: Path, workers: int, side: int | None, steps: int) -> None:
    """A step of the tiny model on 8 rows, beside what it waits for the next batch while the workers read ahead."""
    import torch
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from ostensive.models.generator_settings import GeneratorSettings
    from ostensive.models.loading import load_model
    from students.rows import prompt_completion_rows

    torch.set_num_threads(1)
    loaded = load_model(GeneratorSettings(model="microworld:vlm-base", device="cpu", dtype="float32"))
    collate: Any = DataCollatorForVisionLanguageModeling(loaded.processor)
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=1e-5)
    transform = RegionAugmentation(KIND, AugmentationSettings(max_side=side))
    stream = CorpusStream(find_shards(folder), KIND, transform=transform, settings=StreamSettings(buffer=BUFFER))
    waited: list[float] = []
    worked: list[float] = []
    batches = iter(ResumableLoader(stream, batch_size=8, workers=workers))
    next(batches)  # workers start
    for _ in range(steps):
        started = time.perf_counter()
        rows = next(batches)
        got = time.perf_counter()
        made = [{**next(prompt_completion_rows(row.turns)), "images": [row.picture]} for row in rows]
        loaded.model(**collate(made)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        worked.append(time.perf_counter() - got)
        waited.append(got - started)
    print(
        f"a step of 8 on one core takes {sum(worked) / steps * 1e3:.0f} ms; it waits for its batch"
        f" {sum(waited) / steps * 1e3:.1f} ms, {sum(waited) / (sum(waited) + sum(worked)):.1%} of the time"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--side", type=int, help="the longer side to which pictures are brought; as they are else")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--step", type=int, default=0, metavar="STEPS", help="time so many training steps too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "corpus"
        write(folder, options.images, tuple(options.size))
        urls = [str(path) for path in sorted((folder / "shards").glob("*.tar"))]
        cpu_seconds: dict[str, list[float]] = {"bare": [], "ours": []}
        ways = Ways(
            {
                "bare": timed(lambda: read_bare(urls, options.workers), cpu_seconds["bare"]),
                "ours": timed(lambda: read_ours(folder, options.workers, options.side), cpu_seconds["ours"]),
            },
            None,
        )
        counts = [read() for read in ways.loops.values()]  # warms up
        assert counts == [options.images] * 2, counts
        width, height = options.size
        print(
            f"{options.images} pictures of {width} x {height}, {options.workers} workers, medians of {options.rounds}"
            f" alternating rounds; {f'brought to {options.side} pixels' if options.side else 'not made smaller'}"
        )
        ratio = report(measure(ways, Plan(options.images, 0, "cpu", options.rounds, 0, ())), cpu_seconds)
        if options.step:
            report_step(folder, options.workers, options.side, options.step)
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
