"""How long the report of a run takes to write, and its page to open. Run: python benchmarks/reporting.py

The run is written by hand: photographs of noise, six regions each, eighteen triples each of which some are lost at
every step, and a journal with a request for three of them. The page is opened from its file by the Chromium of this
machine; it counts as open when its first rows stand there and the page has answered a filter once more. A fresh browser
profile each time; figures are medians.
"""

import argparse
import hashlib
import io
import json
import random
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from builders.table import load
from cards.explaining import Explainer
from cards.report.writing import WrittenReport, write_report
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.recipe import dump
from ostensive.records import (
    Box,
    CriticScore,
    ImageRecord,
    Judged,
    Judgement,
    Location,
    Region,
    Scored,
    Verbalization,
)
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import PartitionInfo
from ostensive.stage import Dropped, Kept, record_name

TARGET_S = 3.0
ROWS_AN_IMAGE = 18
ROWS_A_REPLY = 3
IMAGES_A_PARTITION = 500
STAGES = ("images", "verbalized", "candidates", "unique", "scored", "judged")
WORDS = ("the", "small", "large", "bright", "dark", "region", "left", "right", "of", "shows", "why", "because", "green")
SETTINGS = ("corpus.license=cc0-1.0", "corpus.source=noise", "corpus.intended_use=to test")


def words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(WORDS, k=count))


def photographs(folder: Path, count: int) -> list[bytes]:
    """Pictures about as hard to compress as photographs."""
    folder.mkdir()
    made = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (120, 160, 3), dtype=np.uint8)
        picture = (
            Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))
        )
        sink = io.BytesIO()
        picture.save(sink, "JPEG", quality=90)
        made.append(sink.getvalue())
        (folder / f"{number}.jpg").write_bytes(sink.getvalue())
    return made


def triples(image_id: str, rng: random.Random) -> Iterator[Qar]:
    for number in range(ROWS_AN_IMAGE):
        key = hashlib.sha256(f"{image_id} {number // ROWS_A_REPLY}".encode()).hexdigest()
        row_id = hashlib.sha256(f"{key} {number}".encode()).hexdigest()[:16]
        texts = f"What is {words(rng, 12)} [{number % 6}]?", f"[{number % 6}] {words(rng, 8)}.", f"{words(rng, 18)}."
        yield Qar(row_id, image_id, "ids", *texts, (number % 6,), "scripted", "0" * 16, key)


def write_stage(run: RunFolder, stage: str, index: int, inputs: list[Any], outcomes: list[Any], record: Any) -> None:
    table = partitions.outcome_table(inputs, outcomes, record)
    summary = partitions.summarize(stage, len(inputs), outcomes)
    print_ = f"{index:016x}" * 4
    info = PartitionInfo(stage, index, print_, partitions.digest_of(table, record), record_name(record), summary)
    partitions.write(run.partition_path(stage, index, print_), table, info)


def write_partition(run: RunFolder, index: int, images: list[ImageRecord], journal: Journal) -> None:
    """All stages of some images; every ninth row repeats another, every fifth is rejected."""
    rng = random.Random(index)
    kept = [Kept((image,)) for image in images]
    write_stage(run, "images", index, images, kept, ImageRecord)
    regions = tuple(
        Region(k, Box(0.1 * k, 0.1, 0.1 * k + 0.2, 0.6), "area", 0.5, "a part of the picture") for k in range(6)
    )
    seen = [Verbalization(image.image_id, (words(rng, 20),), (words(rng, 30),), regions, ()) for image in images]
    write_stage(run, "verbalized", index, images, [Kept((one,)) for one in seen], Verbalization)
    by_image = [tuple(triples(image.image_id, rng)) for image in images]
    write_stage(run, "candidates", index, seen, [Kept(rows) for rows in by_image], Qar)
    rows = [row for some in by_image for row in some]
    unique = [
        Dropped("near duplicate", f"{rows[place - 1].row_id} at cosine distance 0.05", row)
        if place % 9 == 8
        else Kept((row,))
        for place, row in enumerate(rows)
    ]
    write_stage(run, "unique", index, rows, unique, Qar)
    rows = [row for place, row in enumerate(rows) if place % 9 != 8]
    scored = [Scored(row, (CriticScore("rules", "1", rng.random(), "hedging", words(rng, 4)),)) for row in rows]
    write_stage(run, "scored", index, rows, [Kept((one,)) for one in scored], Scored[Qar])
    outcomes: list[Any] = []
    for one in scored:
        chance = one.scores[0].accept_probability
        verdict = Judgement("rules", "1", chance, chance >= 0.2, "" if chance >= 0.2 else "hedging")
        judged = Judged(one.candidate, (verdict,))
        outcomes.append(Kept((judged,)) if verdict.accepted else Dropped("hedging", f"rules {chance:.3f}", judged))
    write_stage(run, "judged", index, scored, outcomes, Judged[Qar])
    entries = [entry_of(key, rng) for key in {row.request_key for row in rows}]
    journal.record(entries).result()


def entry_of(key: str, rng: random.Random) -> Entry:
    request = {"model": "scripted", "messages": [{"role": "user", "content": words(rng, 400)}], "seed": 1}
    reply = {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": words(rng, 120)}}]
    }
    return Entry(Answer(key, "scripted", "scripted", json.dumps(reply), 400, 120, 0, 0.0), json.dumps(request))


def write_run(folder: Path, rows: int) -> RunFolder:
    """A run of about so many rows; beyond 2,000 photographs there are no files behind the images."""
    run = RunFolder(folder / "run")
    run.path.mkdir(parents=True)
    run.recipe_path.write_text(dump(load("localized", assignments=SETTINGS)), "utf-8")
    count = rows // ROWS_AN_IMAGE
    pictures = photographs(folder / "photos", min(count, 2_000))
    images = [
        ImageRecord(
            hashlib.sha256(pictures[place]).hexdigest()
            if place < len(pictures)
            else hashlib.sha256(b"%d" % place).hexdigest(),
            640,
            480,
            "JPEG",
            "RGB",
            len(pictures[place % len(pictures)]),
            f"{place}.jpg",
            Location(str(folder / "photos" / f"{place}.jpg")),
        )
        for place in range(count)
    ]
    with Journal(run.journal_path, "run") as journal:
        for index, start in enumerate(range(0, count, IMAGES_A_PARTITION)):
            write_partition(run, index, images[start : start + IMAGES_A_PARTITION], journal)
    run.write_state(outcome="done", stages=list(STAGES), version="0")
    return run


def opening_s(page: Path) -> float:
    """Seconds until the page stands and has answered a filter, in a browser that is running already."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        opened = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        started = time.perf_counter()
        opened.goto(page.as_uri())
        opened.locator("article").first.wait_for()
        opened.locator("#filters [name=state]").select_option("dropped")
        opened.locator("article .state.dropped").first.wait_for()
        seconds = time.perf_counter() - started
        browser.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="of the run")
    parser.add_argument("--shown", type=int, default=10_000, help="at most, on the page")
    parser.add_argument("--max-bytes", type=int, default=15_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = write_run(Path(name), asked.rows)
        started = time.perf_counter()
        explainer = Explainer(run, load(str(run.recipe_path)), KIND)
        found: WrittenReport = write_report(explainer, rows=asked.shown, max_bytes=asked.max_bytes)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{found.total:,} rows, {found.rows:,} of them shown in {found.byte_count / 1e6:.1f} MB")
        print(f"written in {seconds:.1f} s; largest resident size of the process {peak:,.0f} MiB")
        times = [opening_s(found.path) for _ in range(asked.rounds)]
        print(
            f"opened in {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f}); at most {TARGET_S:g} s"
        )


if __name__ == "__main__":
    main()
