"""A small run to label: real images, regions and candidates in real partition files, made in a moment."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drawing import draw_scene

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from builders.table import load
from critics.annotation.items import Item, candidate_item
from critics.annotation.tasks import TASKS
from ostensive.recipe import dump
from ostensive.records import Box, ImageRecord, Location, Region, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import PartitionInfo
from ostensive.stage import Kept, record_name

BOXES = (Box(0.05, 0.1, 0.35, 0.6), Box(0.4, 0.2, 0.7, 0.9), Box(0.72, 0.05, 0.95, 0.4))
SETTINGS = ("corpus.license=other", "corpus.source=a test", "corpus.intended_use=to test")


def write_run(folder: Path, *, images: int = 3, per_image: int = 5) -> RunFolder:
    """A run with `images` images of `per_image` candidates each, as `build` leaves it."""
    records = [_write_image(folder / "photos", number) for number in range(images)]
    run = RunFolder(folder / "run")
    run.path.mkdir(parents=True)
    run.recipe_path.write_text(dump(load("localized", assignments=SETTINGS)), "utf-8")
    run.write_state(outcome="done", stages=["images", "verbalized", "candidates", "unique", "judged"])
    texts = [Verbalization(image.image_id, (), (), _regions(), ()) for image in records]
    rows = [candidate(image.image_id, number) for image in records for number in range(per_image)]
    write_stage(run, "images", records, ImageRecord)
    write_stage(run, "verbalized", texts, Verbalization)
    write_stage(run, "unique", rows, Qar)
    return run


def candidate(image_id: str, number: int, **texts: str) -> Qar:
    """A triple about an image; `texts` replace those that it has by itself."""
    said = {
        "question": f"What stands at [{number % 3}] beside [2], and why is it number {number}?",
        "answer": f"[{number % 3}] is a block.",
        "rationale": f"[{number % 3}] has the straight edges and even colour of a painted block.",
    } | texts
    row_id = hashlib.sha256(f"{image_id} {number}".encode()).hexdigest()[:16]
    mentions = tuple(dict.fromkeys((number % 3, 2)))
    return Qar(row_id, image_id, "ids", mentions=mentions, teacher="t", prompt_hash="p", request_key="k", **said)


def triple_item(row: Qar) -> Item:
    """The item of a triple in its usual task."""
    return candidate_item(TASKS["triple"], row, KIND)


def write_stage(run: RunFolder, name: str, rows: Sequence[Any], record: Any) -> None:
    """One partition in which every row was kept, in place of what the stage had."""
    for path in run.partition_paths(name):
        path.unlink()
    outcomes = [Kept((row,)) for row in rows]
    table = partitions.outcome_table(rows, outcomes, record)
    summary = partitions.summarize(name, len(rows), outcomes)
    print_ = hashlib.sha256(f"{name} {len(rows)}".encode()).hexdigest()
    info = PartitionInfo(name, 0, print_, partitions.digest_of(table, record), record_name(record), summary)
    partitions.write(run.partition_path(name, 0, print_), table, info)


def _write_image(folder: Path, number: int) -> ImageRecord:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scene {number}.png"
    draw_scene(number, width=640, height=480).save(path)
    data = path.read_bytes()
    image_id = hashlib.sha256(data).hexdigest()
    return ImageRecord(image_id, 640, 480, "PNG", "RGB", len(data), path.name, Location(str(path)))


def _regions() -> tuple[Region, ...]:
    return tuple(Region(number, box, "area", None, "a block") for number, box in enumerate(BOXES))
