import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from annotated_images import write_rows
from drawing import write_scenes
from hypothesis import given, settings
from hypothesis import strategies as st
from installed_recipe import TESTS
from noted_run import NOTES, NotedRun
from PIL import Image
from plain_services import plain_services

from ostensive.errors import SettingsError
from ostensive.images.intake import Intake
from ostensive.images.near_settings import PerceptualSettings
from ostensive.images.perceptual import CUTS, HASHES, THUMBNAIL_BYTES
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
from ostensive.records import Annotation, ImageRecord, ImageSignature, ImageSplit, Location
from ostensive.run import partitions
from ostensive.run.engine import LocalEngine
from ostensive.run.folder import RunFolder
from ostensive.run.planning import Plan, plan_partitions
from ostensive.run.reporting import Silence
from ostensive.run.splits import SplitStage
from ostensive.stage import Dropped, ImageEvidence, Kept

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
    intake = IntakeSettings()
    previous = {
        info.index: partitions.read_column(path, "input_id", kept_only=False)
        for path in run.partition_paths("images")
        for info in [partitions.read_info(path)]
    }
    with run.locked():
        run.write_state()
        engine = LocalEngine(run, [stage], services=plain_services(threading.Event()), reporter=Silence())
        engine.run(Plan(plan_partitions(list_items(images, intake), previous, size)), Intake(intake, 2))


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
KILLS = {("summarise", 2): (1, 0, 0), ("decide_after", 1): (3, 0, 0), ("apply", 1): (3, 1, 0), ("apply", 3): (3, 1, 2)}
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


# ---- images that look alike -----------------------------------------------------------------------------------------


def looking(image_id: str, place: int) -> ImageSignature:
    """Of an image on a line: it looks like those one place further, and like no other."""
    bits = sum(1 << (bit % 64) for bit in range(place, place + 8))
    far = np.random.default_rng(place).integers(0, 2**63, HASHES - 1)  # of cuts, like nothing that is whole
    hashes = [f"{value:016x}" for value in (bits, *far.tolist())]
    return ImageSignature(image_id, tuple(hashes), "10" * (CUTS * THUMBNAIL_BYTES))


@dataclass
class Growing:
    """Images on a line that come bit by bit, and the splits that they are put into."""

    stage: SplitStage
    size: int = 3
    places: dict[int, int] = field(default_factory=dict)  # by the image's number
    given: dict[int, str] = field(default_factory=dict)
    rows: dict[int, ImageSplit] = field(default_factory=dict)  # as they lie in the run
    left_out: dict[int, str] = field(default_factory=dict)

    def add(self, places: Mapping[int, int], given: Mapping[int, str] | None = None) -> dict[int, str]:
        self.places.update(places)
        self.given.update(given or {})
        return self.again()

    def again(self) -> dict[int, str]:
        numbers = list(self.places)
        parts = [numbers[start : start + self.size] for start in range(0, len(numbers), self.size)]
        summaries = [self.stage.summarise([image(k) for k in part], self.evidence(part)) for part in parts]
        decision = self.stage.decide_after(summaries, list(self.rows.values()))
        outcomes = [one for part in parts for one in self.stage.apply([image(k) for k in part], decision)]
        kept = {k: one.records[0] for k, one in zip(numbers, outcomes, strict=True) if isinstance(one, Kept)}
        self.left_out = {k: one.detail for k, one in zip(numbers, outcomes, strict=True) if isinstance(one, Dropped)}
        self.rows = kept
        return {number: row.split for number, row in kept.items()}

    def evidence(self, numbers: list[int]) -> dict[str, ImageEvidence]:
        return {
            one.image_id: ImageEvidence(
                one,
                None,
                (Annotation("a", one.image_id, split=self.given.get(number)),),
                looking(one.image_id, self.places[number]),
            )
            for number in numbers
            for one in [image(number)]
        }

    def leaks(self) -> list[tuple[int, int]]:
        """Images that look alike and are in different splits."""
        return [
            (one, other)
            for one, row in self.rows.items()
            for other, second in self.rows.items()
            if abs(self.places[one] - self.places[other]) <= 1 and row.split != second.split
        ]


def near_stage(distance: int = 2, **settings: Any) -> SplitStage:
    return SplitStage({"train": 0.5, "test": 0.5}, 0, PerceptualSettings(max_distance=distance), **settings)


def drawn_into(split: str, count: int, *, first: int = 0) -> list[int]:
    """Numbers of images that are put into that split where they look like no other."""
    stage = near_stage()
    return [k for k in range(first, first + 400) if stage.split_of(image(k).image_id) == split][:count]


def test_images_that_look_alike_go_together() -> None:
    both = [drawn_into("train", 3), drawn_into("test", 3)]
    places = {number: 10 for part in both for number in part}
    growing = Growing(near_stage())
    found = growing.add({**places, 900: 40})
    assert len({found[number] for number in places}) == 1
    smallest = min(places)
    assert found[smallest] == near_stage().split_of(image(smallest).image_id)
    assert {growing.rows[number].group for number in places} == {image(smallest).image_id}
    assert growing.rows[900].group is None
    alone = Growing(SplitStage({"train": 0.5, "test": 0.5}, 0)).add(places)
    assert set(alone.values()) == {"train", "test"}, "without groups they are put apart"


def test_a_new_image_joins_the_split_of_what_it_looks_like() -> None:
    (old,), (new,) = drawn_into("train", 1, first=100), drawn_into("test", 1)
    assert new < old, "by the smallest id alone the group would go to the other"
    growing = Growing(near_stage())
    growing.add({old: 10})
    assert growing.add({new: 11}) == {old: "train", new: "train"}


def test_a_new_image_between_two_splits_is_left_out_and_moves_none() -> None:
    (one,), (other,) = drawn_into("train", 1), drawn_into("test", 1)
    growing = Growing(near_stage())
    growing.add({one: 10, other: 12})
    assert growing.add({900: 11, 901: 30}) == {
        one: "train",
        other: "test",
        901: near_stage().split_of(image(901).image_id),
    }
    train, test = (f"{image(number).image_id[:12]} of {split}" for number, split in ((one, "train"), (other, "test")))
    assert growing.left_out == {900: f"looks like {test} and looks like {train}"}
    del growing.places[other]
    assert growing.again()[900] == "train", "what it was between is gone"


def test_an_image_stays_where_it_was_drawn_when_its_group_goes() -> None:
    (old,), (new,) = drawn_into("train", 1), drawn_into("test", 1, first=100)
    growing = Growing(near_stage())
    assert growing.add({old: 10, new: 10})[new] == "train"
    del growing.places[old]
    assert growing.again() == {new: "train"}


def test_other_shares_draw_anew() -> None:
    (old,), (new,) = drawn_into("train", 1, first=100), drawn_into("test", 1)
    growing = Growing(near_stage())
    growing.add({old: 10})
    growing.add({new: 10})
    growing.stage = SplitStage({"train": 0.5, "test": 0.5}, 0, PerceptualSettings(max_distance=3))
    assert growing.again() == {old: "test", new: "test"}, "by the smallest id, as from the beginning"


def test_what_looks_like_a_given_one_follows_it_and_stays() -> None:
    growing = Growing(near_stage())
    growing.add({1: 10, 2: 10, 3: 50}, given={1: "validation"})
    assert (growing.rows[1].split, growing.rows[2].split) == ("validation", "validation")
    growing.given.clear()
    assert growing.again()[1] == "validation", "with what followed it"


def test_given_splits_that_leak_are_refused_in_one_line_that_names_two_images() -> None:
    growing = Growing(near_stage())
    with pytest.raises(SettingsError) as caught:
        growing.add({1: 10, 2: 10, 3: 10}, given={1: "train", 2: "test"})
    assert str(caught.value) == (
        "splits: '1.png' in train (as given) looks like '2.png' in test (as given), so one would tell of the other;"
        " give both the same split, or let it stand with --set corpus.leaking_splits=keep"
    )
    kept = Growing(near_stage(leaks="keep"))
    assert kept.add({1: 10, 2: 10, 3: 10}, given={1: "train", 2: "test"}) == {1: "train", 2: "test"}
    assert set(kept.left_out) == {3}


def test_groups_are_told_split_by_split_and_what_leaks_is_marked() -> None:
    growing = Growing(near_stage(leaks="keep"))
    growing.add({1: 10, 2: 10, 3: 11, 4: 30, 5: 31}, given={1: "train", 2: "test", 3: "test"})
    assert {k for k, row in growing.rows.items() if row.leaks} == {1, 2, 3}
    assert growing.rows[1].group is None
    assert growing.rows[2].group == growing.rows[3].group == min(image(2).image_id, image(3).image_id)
    assert growing.rows[4].group == growing.rows[5].group is not None


def test_what_only_an_image_that_is_left_out_joins_is_no_group() -> None:
    (one,), (other,) = drawn_into("train", 1), drawn_into("test", 1)
    growing = Growing(near_stage())
    growing.add({one: 10, other: 12})
    growing.add({900: 11})
    assert set(growing.left_out) == {900}
    assert [(row.group, row.leaks) for row in growing.rows.values()] == [(None, False)] * 2


def test_a_group_that_is_too_large_is_told_and_what_it_leaks_is_marked(caplog: pytest.LogCaptureFixture) -> None:
    stage = SplitStage({"train": 0.5, "test": 0.5}, 0, PerceptualSettings(max_distance=2, max_group=2))
    growing = Growing(stage)
    found = growing.add({number: 10 + number for number in range(12)})
    assert set(found.values()) == {"train", "test"}
    across = {k for pair in growing.leaks() for k in pair}
    assert {k for k, row in growing.rows.items() if row.leaks} == across != set()
    (told,) = [record.getMessage() for record in caplog.records if record.name == "ostensive.run.splits"]
    assert told == (
        "splits: groups of more than 2 images that look alike (corpus.near_duplicates.max_group) were taken apart;"
        " images of 11 pairs may be in different splits"
    )


def test_a_given_split_against_an_earlier_drawing_is_refused_too() -> None:
    (old,) = drawn_into("train", 1)
    growing = Growing(near_stage())
    growing.add({old: 10})
    with pytest.raises(SettingsError, match=r"in train \(where it was drawn before\) .* in test \(as given\)"):
        growing.add({900: 10}, given={900: "test"})
    growing.given[old] = "test"
    assert growing.again() == {old: "test", 900: "test"}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_growth_moves_nothing_and_leaks_nothing(data: st.DataObject) -> None:
    """However images come, none that is in a split leaves it, and what looks alike is never in two."""
    growing = Growing(near_stage())
    ways = st.lists(st.integers(0, 25), min_size=1, max_size=6)
    number = 0
    for batch in data.draw(st.lists(ways, min_size=1, max_size=5)):
        before = {k: row.split for k, row in growing.rows.items()}
        order = data.draw(st.permutations(range(number, number + len(batch))))
        after = growing.add(dict(zip(order, batch, strict=True)))
        number += len(batch)
        assert {k: after[k] for k in before} == before
        assert not growing.leaks()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 25), min_size=1, max_size=14), st.integers(1, 9), st.randoms(use_true_random=False))
def test_neither_order_nor_size_of_partitions_count(places: list[int], size: int, random: Random) -> None:
    numbered = list(enumerate(places))
    whole = Growing(near_stage())
    found = whole.add(dict(numbered))
    random.shuffle(numbered)
    other = Growing(near_stage(), size=size)
    assert other.add(dict(numbered)) == found
    assert {k: row.group for k, row in other.rows.items()} == {k: row.group for k, row in whole.rows.items()}


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


# ---- near duplicates in a run ---------------------------------------------------------------------------------------

HALVES = {"train": 0.5, "test": 0.5}


def smaller(run: NotedRun, number: int, name: str) -> None:
    """A copy of a scene, coded anew at another size."""
    with Image.open(run.images / f"scene {number:04d}.jpg") as picture:
        picture.resize((64, 48)).save(run.images / f"{name}.png")


def placed(run: NotedRun) -> dict[str, str]:
    """The splits of images by their source."""
    images = {
        image.image_id: image.source
        for path in run.folder.partition_paths("distinct")
        for image in partitions.read_kept(path, ImageRecord)
    }
    return {images[row.image_id]: row.split for row in rows_of(run.folder)}


def test_copies_that_come_later_join_their_picture_and_move_none(tmp_path: Path) -> None:
    run = noted(tmp_path, splits=HALVES)
    run.build()
    before = placed(run)
    assert set(before.values()) == {"train", "test"}
    for number in range(6):
        smaller(run, number, f"a copy {number}")  # before all others by name
    done = run.build()
    after = placed(run)
    assert {source: after[source] for source in before} == before
    assert {f"a copy {number}.png": after[f"scene {number:04d}.jpg"] for number in range(6)} == {
        source: split for source, split in after.items() if source.startswith("a copy")
    }
    assert (done["signatures"].kept, done["splits"].kept) == (12, 12)
    made = run.files()
    run.build()
    assert run.files() == made
    for path in (run.path / "splits").glob("decision-*"):
        path.unlink()
    run.build()
    assert run.files() == made, "what was drawn is read from the rows"


def test_a_run_that_is_built_at_once_needs_no_past(tmp_path: Path) -> None:
    runs = [noted(tmp_path / name, splits=HALVES, size=size) for name, size in (("a", 2), ("b", 5))]
    for run in runs:
        for number in range(6):
            smaller(run, number, f"copy {number}")
        run.build()
    assert placed(runs[0]) == placed(runs[1])
    assert len({row.group for row in rows_of(runs[0].folder)}) == 6


def test_rows_of_an_earlier_version_are_no_past(tmp_path: Path) -> None:
    run = noted(tmp_path, splits=HALVES)
    run.build()
    before = placed(run)
    for path in run.folder.partition_paths("splits"):
        table = pq.read_table(path)
        path.unlink()
        pq.write_table(table.drop_columns(["group", "drawn_by"]), path.with_name(f"{path.name[:11]}{'f' * 16}.parquet"))
    for path in (run.path / "splits").glob("decision-*"):
        path.unlink()
    write_scenes(run.images, 1, first=50)
    run.build()
    assert {source: split for source, split in placed(run).items() if source in before} == before


def test_a_leak_in_given_splits_ends_the_build_and_is_mended_without_doing_more_again(tmp_path: Path) -> None:
    run = noted(tmp_path, splits=HALVES)
    smaller(run, 0, "copy")
    file = write_rows(
        tmp_path / "s.csv",
        [{"file_name": "scene 0000.jpg", "split": "train"}, {"file_name": "copy.png", "split": "test"}],
    )
    with pytest.raises(SettingsError, match=r"^splits: .*looks like .*; give both the same split, or let it stand"):
        run.build(file)
    file = write_rows(
        tmp_path / "s.csv",
        [{"file_name": "scene 0000.jpg", "split": "test"}, {"file_name": "copy.png", "split": "test"}],
    )
    run.build(file)
    assert placed(run)["copy.png"] == placed(run)["scene 0000.jpg"] == "test"
    assert not {stage for stage, _ in run.worked_on()} & {"images", "signatures", "sizes"}
