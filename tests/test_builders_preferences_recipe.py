"""A whole run of the recipe: every side sees a picture, the corrupted one is never published, and the sums add up."""

import io
import json
import sqlite3
import tarfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from drawing import write_scenes
from hardship import call

import ostensive
from builders.preferences.recipe import KIND, preference
from builders.preferences.records import PreferencePair
from builders.table import load
from cards.samples import PublicForm
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from students.rows import preference_row, slots_in

SETTINGS = [
    "corpus.license=cc0-1.0",
    "corpus.source=drawn by a test",
    "corpus.intended_use=to test",
    "preferences.pairs=3",
    "preferences.corruptions=[resize, colour, noise, swap]",
    "teacher.error_rate=0.2",
    "run.partition_size=2",
]


@dataclass(frozen=True)
class Built:
    images: Path
    run: Path

    def pairs(self) -> list[PreferencePair]:
        paths = RunFolder(self.run).paths_of(PreferencePair)
        return [pair for path in paths for pair in partitions.read_kept(path, PreferencePair)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("preferences")
    write_scenes(folder / "images", 4)
    options = ostensive.BuildOptions(settings=SETTINGS)
    ostensive.build("preferences", images=folder / "images", out=folder / "run", options=options)
    return Built(folder / "images", folder / "run")


def test_every_pair_is_accounted_for(built: Built) -> None:
    stages = {stage["name"]: stage for stage in json.loads(call("status", built.run, "--json").stdout)["stages"]}
    assert list(stages) == ["images", "distinct", "pairs", "unique", "scored", "judged"]
    lost = Counter({**stages["pairs"]["dropped"], **stages["pairs"]["failed"]})
    assert stages["pairs"]["kept"] + lost.total() == 4 * 3
    assert lost
    assert set(lost) <= {"truncated reply", "missing chosen text", "missing rejected text", "both sides say the same"}
    assert stages["judged"]["kept"] > 2


def test_every_request_carries_one_picture(built: Built) -> None:
    with closing(sqlite3.connect(built.run / "journal.sqlite")) as db:
        asked = {key: json.loads(request) for key, request in db.execute("SELECT key, request FROM answers")}
    for request in asked.values():
        (message,) = request["messages"]
        assert [block["type"] for block in message["content"]] == ["image_url", "text"]
    shown = {key: request["messages"][0]["content"][0]["image_url"]["url"] for key, request in asked.items()}
    pairs = built.pairs()
    assert {pair.way for pair in pairs} == {"imagined", "corrupted"}
    for pair in pairs:
        same = shown[pair.request_key] == shown[pair.rejected_request_key]
        assert same == (pair.way == "imagined")
    # One clean picture an image, whichever pair it is asked for.
    assert all(
        len({shown[pair.request_key] for pair in pairs if pair.image_id == image_id}) == 1
        for image_id in {pair.image_id for pair in pairs}
    )


def test_both_sides_share_the_prompt_and_the_row_has_one_slot(built: Built) -> None:
    for pair in built.pairs():
        row = preference_row(preference(pair))
        assert [slots_in(row[side]) for side in ("prompt", "chosen", "rejected")] == [1, 0, 0]
        assert row["prompt"][0]["content"][1]["text"] == pair.prompt
        assert (pair.prompt != "", pair.chosen != pair.rejected) == (True, True)
        assert (pair.way == "corrupted") == bool(pair.corruption) != bool(pair.hallucination_prompt)


def test_no_picture_but_the_clean_ones_is_published(built: Built) -> None:
    clean = [np.asarray(PIL.Image.open(path)) for path in sorted(built.images.iterdir())]
    found = []
    for path in (built.run / "corpus" / "shards").rglob("*.tar"):
        with tarfile.open(path) as shard:
            members = [shard.extractfile(member) for member in shard if member.name.endswith(".jpg")]
            found += [np.asarray(PIL.Image.open(io.BytesIO(member.read()))) for member in members if member]
    assert 0 < len(found) <= 4
    for picture in found:
        assert any(np.array_equal(picture, one) for one in clean)
    kinds = {path.suffix for path in built.run.rglob("*") if path.is_file()}
    assert not kinds & {".png", ".jpg", ".jpeg", ".webp"}


def test_rows_open_with_duckdb_and_say_how_they_were_made(built: Built) -> None:
    import duckdb

    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM '{built.run}/corpus/rows/*.parquet'")
        assert [column[0] for column in found.description or ()] == PublicForm(KIND, "").flat_schema.names
        assert found.fetchall()
    card = (built.run / "corpus" / "README.md").read_text("utf-8")
    assert "STIC (Self-Training on Image Comprehension)" in card
    assert "Rejected texts are false on purpose." in card


def test_the_same_command_does_nothing_again(built: Built) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.run.glob("pairs/*")}
    options = ostensive.BuildOptions(settings=SETTINGS)
    ostensive.build("preferences", images=built.images, out=built.run, options=options)
    assert {path: path.stat().st_mtime_ns for path in built.run.glob("pairs/*")} == before


def test_a_second_round_keeps_what_fitted_and_tells_its_growth(built: Built, tmp_path: Path) -> None:
    options = ostensive.BuildOptions(settings=[*SETTINGS, "seed=1"], parent=built.run)
    ostensive.build("preferences", images=built.images, out=tmp_path / "run", options=options)
    before, now = (
        {row["row_id"]: row for row in ostensive.open_corpus(run).rows()} for run in (built.run, tmp_path / "run")
    )
    for row_id, row in before.items():
        same = ("prompt", "chosen", "rejected", "round", "request_key", "rejected_request_key")
        assert [now[row_id][name] for name in same] == [row[name] for name in same]
    assert {row["round"] for row in before.values()} == {0}
    assert {now[row_id]["round"] for row_id in now.keys() - before.keys()} == {1}
    again = call("build", "preferences", "--images", built.images, "--out", tmp_path / "run", "--parent", built.run,
                 *(word for one in (*SETTINGS, "seed=1") for word in ("--set", one))).stdout  # fmt: skip
    assert f"1: {len(now) - len(before)} new rows beside {len(before)} from before" in again


def test_estimate_counts_two_requests_a_pair(built: Built) -> None:
    arguments = ["--images", built.images, "--set", "preferences.pairs=2", "--json"]
    found = json.loads(call("estimate", "preferences", *arguments).stdout)
    assert (found["images"], found["requests"]) == (4, 16)


def test_a_reviewer_can_be_asked_which_side_is_better(built: Built) -> None:
    folder = built.run / "studio"
    done = call("annotate", built.run, "--to-label-studio", folder)
    assert done.returncode == 0, done.stderr
    tasks = json.loads((folder / "tasks.json").read_text())
    assert {task["data"]["task"] for task in tasks} == {"preference"}
    assert not any({"chosen", "rejected"} & task["data"].keys() for task in tasks)


def test_the_recipe_that_ships_keeps_long_descriptions() -> None:
    recipe = load("preferences", assignments=SETTINGS[:3])
    (rules,) = recipe.critics  # type: ignore[attr-defined] # of a filtered recipe
    assert rules.limits["chosen"].max_words >= 700
    assert not rules.hedging
