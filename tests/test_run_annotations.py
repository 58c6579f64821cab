"""What came in beside images on its way through a run: to which images it goes, what is done again, what is counted."""

import hashlib
import json
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from annotated_images import jpeg, write_rows
from installed_recipe import TESTS
from noted_run import NOTES, SIZES, NotedRun

from ostensive.records import Annotation
from ostensive.run import partitions
from ostensive.run.annotating import ANNOTATIONS
from ostensive.run.preview import as_text, preview
from ostensive.run.sources import find_sources
from ostensive.run.status import status

NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
HASH_OF_A = hashlib.sha256(jpeg(0)).hexdigest()
ITEMS = [("a.jpg", "one"), ("c.jpg", "two"), ("a.jpg", "three"), ("e.jpg", "four"), ("a.jpg", "five")]


def save_images(folder: Path, *names: str) -> None:
    folder.mkdir()
    for place, name in enumerate(names):
        (folder / name).write_bytes(jpeg(40 * place))


def notes_file(path: Path, items: list[tuple[str, str]], **more: str) -> Path:
    return write_rows(path, [{"file_name": name, "note": note, **more} for name, note in items])


@pytest.fixture
def run(tmp_path: Path) -> NotedRun:
    save_images(tmp_path / "images", *NAMES)
    return NotedRun(tmp_path / "images", tmp_path / "run")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return notes_file(tmp_path / "notes.csv", ITEMS)


def test_items_go_to_their_images_in_their_order(run: NotedRun, file: Path) -> None:
    done = run.build(file)
    assert run.notes() == {"a.jpg": ["one", "three", "five"], "c.jpg": ["two"], "e.jpg": ["four"]}
    assert (done[ANNOTATIONS].kept, done[ANNOTATIONS].rows, done[NOTES].kept) == (5, 5, 5)
    run.build(file)
    assert run.worked_on() == []


@pytest.mark.parametrize("size", [1, 2, 9])
def test_the_items_of_all_copies_of_an_image_go_to_the_one_that_is_kept(tmp_path: Path, size: int) -> None:
    run = NotedRun(tmp_path / "images", tmp_path / "run", size)
    save_images(run.images, "a.jpg", "b.jpg")
    for name in ("a again.jpg", "z.jpg"):
        (run.images / name).write_bytes(jpeg(0))
    items = [("z.jpg", "of z"), ("a.jpg", "of a"), ("b.jpg", "of b"), ("a again.jpg", "of the second")]
    items += [("z.jpg", "of a")]
    done = run.build(notes_file(tmp_path / "notes.csv", items))
    assert done["distinct"].kept == 2
    (kept,) = (source for source in run.notes() if source != "b.jpg")
    assert kept == "a again.jpg", "the first in the listing"
    assert sorted(run.notes()[kept]) == ["of a", "of the second", "of z"]
    assert done[ANNOTATIONS].dropped == {"repeats another item": 1}
    assert done[ANNOTATIONS].rows == len(items)


@pytest.mark.parametrize("size", [1, 4])
def test_parquet_with_a_row_for_each_question_and_the_image_repeated(tmp_path: Path, size: int) -> None:
    rows = [{"image": {"bytes": jpeg(k // 3 * 40), "path": None}, "question": f"What is {k}?"} for k in range(6)]
    run = NotedRun(write_rows(tmp_path / "vqa.parquet", rows), tmp_path / "run", size)
    done = run.build()
    assert done["distinct"].kept == 2
    assert sum(done[name].dropped.get("exact duplicate", 0) for name in ("images", "distinct")) == 4
    assert [sorted(texts) for texts in run.notes().values()] == [
        [f"What is {k}?" for k in range(3)],
        [f"What is {k}?" for k in range(3, 6)],
    ]


def test_what_belongs_to_no_image_that_was_taken_in_is_counted(run: NotedRun, tmp_path: Path) -> None:
    (run.images / "b.jpg").write_bytes(b"no image")
    items: list[Mapping[str, Any]] = [
        {"image_id": HASH_OF_A, "note": "by its hash"},
        {"image_id": HASH_OF_A.upper(), "note": "in capitals"},
        {"image_id": "b.jpg", "note": "of a refused image"},
        {"image_id": "f.jpg", "note": "of a missing image"},
        {"image_id": "ab" * 32, "note": "of an unknown hash"},
        {"image_id": "", "note": "of nothing"},
        {"image_id": "d.jpg", "note": ""},
    ]
    done = run.build(write_rows(tmp_path / "items.csv", items))
    assert run.notes() == {"a.jpg": ["by its hash", "in capitals"]}
    assert done[ANNOTATIONS].dropped == {
        "empty item": 1,
        "image was not taken in": 1,
        "names no image": 1,
        "no such image": 2,
    }
    assert done[ANNOTATIONS].rows == len(items), "nothing vanishes"
    counted = {stage.summary.name: stage.summary for stage in status(run.path).stages}
    assert counted == {stage.name: stage for stage in done.stages}


def test_an_item_without_what_the_recipe_requires_is_dropped_with_its_place(run: NotedRun, tmp_path: Path) -> None:
    items = [{"file_name": "a.jpg", "note": "one", "question": ""}, {"file_name": "b.jpg", "note": "", "question": "?"}]
    run = NotedRun(run.images, run.path, required=["note"])
    done = run.build(write_rows(tmp_path / "items.csv", items))
    assert done[ANNOTATIONS].dropped == {"no note": 1}
    rows = [row for path in run.folder.partition_paths(ANNOTATIONS) for row in partitions.read_kept(path, Annotation)]
    assert len(rows) == 1


def test_another_item_redoes_what_looks_at_items_and_nothing_else(run: NotedRun, tmp_path: Path, file: Path) -> None:
    run.build(file)
    notes_file(file, [*ITEMS, ("c.jpg", "another")])
    run.build(file)
    assert run.worked_on() == [(ANNOTATIONS, 1), (NOTES, 1)], "c.jpg is in the second partition"
    assert run.notes()["c.jpg"] == ["two", "another"]
    notes_file(file, [("nowhere.jpg", "of no image"), *ITEMS, ("c.jpg", "another")])
    done = run.build(file)
    assert run.worked_on() == [(ANNOTATIONS, 0)], "what is lost of the file is no business of later stages"
    assert done[ANNOTATIONS].dropped == {"no such image": 1}


@pytest.mark.parametrize("size", [1, 3, 100])
def test_neither_the_order_of_items_nor_the_partition_size_changes_a_row(run: NotedRun, file: Path, size: int) -> None:
    run.build(file)
    same = NotedRun(run.images, run.path.with_name("same"), size)
    same.build(file)
    assert same.rows() == run.rows()
    mixed = NotedRun(run.images, run.path.with_name("mixed"), size)
    mixed.build(notes_file(file.with_name("mixed.jsonl"), random.Random(size).sample(ITEMS, len(ITEMS))))
    assert set(mixed.rows()) == set(run.rows())
    assert list(mixed.notes()) == list(run.notes()), "images are in their own order"


def test_a_limit_leaves_the_items_of_other_images_out_and_loses_none(run: NotedRun, file: Path) -> None:
    done = run.build(file, limit=2)
    assert run.notes() == {"a.jpg": ["one", "three", "five"]}
    assert done[ANNOTATIONS].dropped == {}, "an image beyond the limit is there all the same"
    run.build(file)
    whole = NotedRun(run.images, run.path.with_name("whole"))
    whole.build(file)
    assert run.files() == whole.files()


def test_items_that_come_later_and_go_again_leave_nothing_behind_that_is_read(run: NotedRun, file: Path) -> None:
    run.build()
    before, names = run.files(), run.folder.stage_names()
    assert names == ["images", "distinct", SIZES, NOTES]
    run.build(file)
    assert run.folder.stage_names() == ["images", "distinct", ANNOTATIONS, SIZES, NOTES]
    assert run.notes()["c.jpg"] == ["two"]
    assert not [stage for stage, _ in run.worked_on() if stage in ("images", "distinct", SIZES)]
    done = run.build()
    assert {name: data for name, data in run.files().items() if not name.startswith(ANNOTATIONS)} == before
    assert run.rows() == []
    assert run.folder.stage_names() == [stage.summary.name for stage in status(run.path).stages] == names
    assert [stage.name for stage in done.stages] == names
    assert run.folder.paths_of(Annotation) == []
    assert run.again(NOTES).row_count == 0, "nor is it read by what starts in the middle"


@pytest.mark.slow
def test_a_run_that_is_killed_while_items_are_joined_goes_on(run: NotedRun, file: Path, tmp_path: Path) -> None:
    asked = {"images": str(run.images), "path": str(run.path), "annotations": str(file), "size": run.size}
    asked |= {"kill": [ANNOTATIONS, 2]}
    killed = subprocess.run(
        [sys.executable, str(TESTS / "noted_run.py"), json.dumps(asked)], check=False, capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    there = run.files(ANNOTATIONS)
    assert len(there) == 2
    run.build(file)
    assert [index for stage, index in run.worked_on() if stage == ANNOTATIONS] == [2]
    whole = NotedRun(run.images, tmp_path / "whole")
    whole.build(file)
    assert run.files() == whole.files()
    assert there.items() <= run.files().items()


def test_a_preview_shows_items_and_splits_to_the_stages_that_use_them(run: NotedRun, tmp_path: Path) -> None:
    asked = run.asked(notes_file(tmp_path / "notes.csv", ITEMS, split="test"))
    told = preview(asked.recipe, asked.kind, find_sources(asked.recipe, asked.kind, run.images, asked.options))
    assert [stage.name for stage in told.stages] == ["images", ANNOTATIONS, SIZES, NOTES, "signatures", "splits"]
    shown = as_text(told).splitlines()
    assert shown[-3:-2] == ["test"]
    assert shown[shown.index("=== signatures ===") + 1] == "of one colour, so that it has no hash"
