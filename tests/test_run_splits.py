import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from annotated_images import write_rows
from drawing import write_scenes
from hypothesis import given
from hypothesis import strategies as st
from installed_recipe import TESTS
from noted_run import NOTES, NotedRun
from plain_services import plain_services

from ostensive.errors import SettingsError
from ostensive.images.intake import Intake
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
from ostensive.records import Annotation, ImageRecord, ImageSplit, Location
from ostensive.run import partitions
from ostensive.run.engine import LocalEngine
from ostensive.run.folder import RunFolder
from ostensive.run.planning import Plan, plan_partitions
from ostensive.run.reporting import Silence
from ostensive.run.splits import SplitStage
from ostensive.stage import ImageEvidence, Kept

SHARES = {"train": 0.9, "test": 0.1}


def image(number: int) -> ImageRecord:
    return ImageRecord(f"{number:064x}", 32, 32, "PNG", "RGB", 10, f"{number}.png", Location(f"/{number}.png"))


def splits_of(stage: SplitStage, images: list[ImageRecord], given_: dict[str, str] | None = None) -> dict[str, str]:
    evidence = {
        one.image_id: ImageEvidence(one, None, (Annotation("a", one.image_id, split=(given_ or {}).get(one.image_id)),))
        for one in images
    }
    outcomes = stage.apply(images, stage.decide([stage.summarise(images, evidence)]))
    return {record.image_id: record.split for kept in outcomes if isinstance(kept, Kept) for record in kept.records}


def test_shares_are_reached() -> None:
    found = Counter(splits_of(SplitStage(SHARES, 0), [image(k) for k in range(4000)]).values())
    assert 0.08 < found["test"] / 4000 < 0.12
    three = Counter(splits_of(SplitStage({"a": 1, "b": 1, "c": 2}, 0), [image(k) for k in range(4000)]).values())
    assert 0.47 < three["c"] / 4000 < 0.53


@given(st.sets(st.integers(0, 10**9), min_size=1, max_size=50), st.sets(st.integers(0, 10**9), max_size=50))
def test_an_image_stays_where_it_is_when_others_come(numbers: set[int], more: set[int]) -> None:
    stage = SplitStage(SHARES, 3)
    before = splits_of(stage, [image(k) for k in numbers])
    after = splits_of(stage, [image(k) for k in numbers | more])
    assert {image_id: after[image_id] for image_id in before} == before


def test_what_came_in_beside_an_image_wins() -> None:
    images = [image(k) for k in range(20)]
    found = splits_of(SplitStage(SHARES, 0), images, {images[3].image_id: "validation"})
    assert found[images[3].image_id] == "validation"
    assert set(found.values()) <= {"train", "test", "validation"}


def test_without_shares_all_others_are_train() -> None:
    images = [image(0), image(1)]
    assert splits_of(SplitStage({}, 0), images, {images[0].image_id: "test"}) == {
        images[0].image_id: "test",
        images[1].image_id: "train",
    }


def test_another_seed_gives_other_splits() -> None:
    images = [image(k) for k in range(200)]
    assert splits_of(SplitStage(SHARES, 0), images) != splits_of(SplitStage(SHARES, 1), images)


def build(run: RunFolder, images: Path, stage: SplitStage, *, size: int = 3) -> None:
    settings = IntakeSettings()
    previous = {
        info.index: partitions.read_column(path, "input_id", kept_only=False)
        for path in run.partition_paths("images")
        for info in [partitions.read_info(path)]
    }
    with run.locked():
        run.write_state()
        engine = LocalEngine(run, [stage], services=plain_services(threading.Event()), reporter=Silence())
        engine.run(Plan(plan_partitions(list_items(images, settings), previous, size)), Intake(settings, 2))


def rows_of(run: RunFolder) -> list[ImageSplit]:
    return [row for path in run.partition_paths("splits") for row in partitions.read_kept(path, ImageSplit)]


def files_of(run: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run.path / "splits").iterdir())}


def test_summaries_decision_and_partitions_are_files_that_are_made_once(tmp_path: Path) -> None:
    images, run, stage = write_scenes(tmp_path / "images", 8), RunFolder(tmp_path / "run"), SplitStage(SHARES, 0)
    build(run, images, stage)
    made = files_of(run)
    kinds = Counter(name.partition("-")[0] for name in made)
    assert kinds == {"part": 3, "summary": 3, "decision": 1}
    assert len(rows_of(run)) == 8
    before = {path: path.stat().st_mtime_ns for path in (run.path / "splits").iterdir()}
    build(run, images, stage)
    assert {path: path.stat().st_mtime_ns for path in (run.path / "splits").iterdir()} == before
    elsewhere = RunFolder(tmp_path / "elsewhere")
    build(elsewhere, images, stage)
    assert files_of(elsewhere) == made, "the same bytes wherever it runs"


@pytest.mark.parametrize("lost", ["part", "summary", "decision"])
def test_what_a_kill_left_out_is_made_again_with_the_same_bytes(tmp_path: Path, lost: str) -> None:
    images, run, stage = write_scenes(tmp_path / "images", 8), RunFolder(tmp_path / "run"), SplitStage(SHARES, 0)
    build(run, images, stage)
    made = files_of(run)
    for path in (run.path / "splits").glob(f"{lost}-*"):
        path.unlink()
    build(run, images, stage)
    assert files_of(run) == made


def test_an_image_more_redoes_no_partition_that_was_there(tmp_path: Path) -> None:
    images, run, stage = write_scenes(tmp_path / "images", 8), RunFolder(tmp_path / "run"), SplitStage(SHARES, 0)
    build(run, images, stage)
    before = {path for path in files_of(run) if path.startswith(("part", "summary"))}
    write_scenes(images, 1, first=100)
    build(run, images, stage)
    after = {path for path in files_of(run) if path.startswith(("part", "summary"))}
    assert len(after - before) == 2
    assert before <= after
    assert len(rows_of(run)) == 9


def test_other_shares_leave_no_old_files(tmp_path: Path) -> None:
    images, run = write_scenes(tmp_path / "images", 8), RunFolder(tmp_path / "run")
    build(run, images, SplitStage(SHARES, 0))
    before = set(files_of(run))
    build(run, images, SplitStage({"train": 0.5, "test": 0.5}, 0))
    assert set(files_of(run)).isdisjoint(before)
    assert Counter(name.partition("-")[0] for name in files_of(run)) == {"part": 3, "summary": 3, "decision": 1}
    (decision,) = (run.path / "splits").glob("decision-*")
    assert pq.read_table(decision).num_rows == 0, "none came in beside an image"


# Kills itself before a step of the stage is written. One process that forks for each kill: a fork of the test's own
# would have the threads of its libraries, and one process for each kill would import them each time.
KILLED = """
import os, signal, sys
from pathlib import Path
from test_run_splits import KILLS, SHARES, RunFolder, SplitStage, build

def before(step, left):
    def killed(self, *arguments):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return getattr(SplitStage, step)(self, *arguments)
    return type("Killed", (SplitStage,), {step: killed, "left": left})

images, runs = map(Path, sys.argv[1:])
for step, left in KILLS:
    child = os.fork()
    if child == 0:
        try:
            build(RunFolder(runs / f"{step} {left}"), images, before(step, left)(SHARES, 0))
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, (step, left)
"""
KILLS = {("summarise", 2): (1, 0, 0), ("decide", 1): (3, 0, 0), ("apply", 1): (3, 1, 0), ("apply", 3): (3, 1, 2)}
"""The call of a step before which the process is killed, and the summaries, decisions and partitions that are there."""


@pytest.mark.slow
def test_a_run_that_is_killed_between_summary_decision_and_apply_goes_on(tmp_path: Path) -> None:
    images, whole = write_scenes(tmp_path / "images", 8), RunFolder(tmp_path / "whole")
    build(whole, images, SplitStage(SHARES, 0))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(images), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 0, done.stderr
    for (step, left), there in KILLS.items():
        run = RunFolder(tmp_path / f"{step} {left}")
        folder = run.path / "splits"
        assert tuple(len(list(folder.glob(f"{kind}-*"))) for kind in ("summary", "decision", "part")) == there
        kept = {path: path.stat().st_mtime_ns for path in folder.glob("[!.]*")}
        build(run, images, SplitStage(SHARES, 0))
        assert files_of(run) == files_of(whole)
        assert all(path.stat().st_mtime_ns == time for path, time in kept.items()), "what was there is not made again"


def test_what_is_left_of_images_that_went_goes_too(tmp_path: Path) -> None:
    images, run, stage = write_scenes(tmp_path / "images", 8), RunFolder(tmp_path / "run"), SplitStage(SHARES, 0)
    build(run, images, stage)
    for number in (6, 7):  # the last partition
        (images / f"scene {number:04d}.jpg").unlink()
    build(run, images, stage)
    assert Counter(name.partition("-")[0] for name in files_of(run)) == {"part": 2, "summary": 2, "decision": 1}


# ---- splits of a run ------------------------------------------------------------------------------------------------


def noted(tmp_path: Path, **settings: Any) -> NotedRun:
    return NotedRun(write_scenes(tmp_path / "images", 6), tmp_path / "run", **settings)


def given_file(path: Path, splits: Mapping[int, str]) -> Path:
    rows = [{"file_name": f"scene {number:04d}.jpg", "split": split} for number, split in splits.items()]
    return write_rows(path, rows)


def by_source(run: NotedRun) -> dict[int, str]:
    images = {
        image.image_id: int(image.source[6:10])
        for path in run.folder.partition_paths("distinct")
        for image in partitions.read_kept(path, ImageRecord)
    }
    return {images[row.image_id]: row.split for row in rows_of(run.folder)}


def test_a_split_beside_an_image_wins_over_shares_and_comes_and_goes(tmp_path: Path) -> None:
    run = noted(tmp_path, splits=SHARES)
    run.build()
    drawn = by_source(run)
    assert len(drawn) == 6
    run.build(given_file(tmp_path / "splits.csv", {0: "validation", 3: "test"}))
    assert by_source(run) == drawn | {0: "validation", 3: "test"}
    run.build()
    assert by_source(run) == drawn


def test_splits_that_came_in_make_the_stage_without_being_asked_for(tmp_path: Path) -> None:
    run = noted(tmp_path)
    assert "splits" not in {stage.name for stage in run.build().stages}
    done = run.build(given_file(tmp_path / "splits.csv", {1: "test"}))
    assert done["splits"].kept == 6
    assert by_source(run) == dict.fromkeys(range(6), "train") | {1: "test"}
    assert "splits" not in {stage.name for stage in run.build().stages}
    assert "splits" not in run.folder.stage_names()


def test_what_starts_in_the_middle_keeps_the_splits(tmp_path: Path) -> None:
    run = noted(tmp_path)
    run.build(given_file(tmp_path / "splits.csv", {1: "test"}))
    before = run.files()
    done = run.again(NOTES)
    assert done["splits"].kept == 6
    assert run.folder.stage_names()[-1] == "splits"
    assert run.files() == before


@pytest.mark.parametrize("name", ["all", "te st", "../up", "x" * 65])
def test_what_is_no_name_for_a_split_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    run = noted(tmp_path)
    with pytest.raises(SettingsError, match=r"^annotations: the split '.* is no name for one") as caught:
        run.build(given_file(tmp_path / "splits.csv", {1: name, 2: "test"}))
    assert "\n" not in str(caught.value)
    assert not run.path.exists()
