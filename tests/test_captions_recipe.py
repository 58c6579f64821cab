"""A recipe of another package goes through the whole house, and no file of the house names it."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from drawing import write_scenes
from hardship import call
from installed_recipe import NAME, TESTS, write_distribution

ROOT = TESTS.parent
NOTES = {
    "scene 0000.jpg": ["A red boat on the lake", "A red boat upon the lake"],
    "scene 0001.jpg": ["Two dogs play with a ball"],
    "scene 0002.jpg": ["An empty street at night"],
    "scene 0003.jpg": [],
}
SETTINGS = [
    "--set",
    "corpus.license=cc0-1.0",
    "--set",
    "corpus.source=drawn by a test",
    "--set",
    "corpus.intended_use=to test",
]
CRITICS = "critics=[{kind: rules, speaks_of_source: false}, {kind: judge, min_accept_probability: 0.25}]"


class House:
    """The command line where the recipe's package is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images, self.run, self.notes = folder / "images", folder / "run", folder / "notes.csv"
        write_scenes(self.images, 4)
        with self.notes.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file_name", "note"])
            writer.writerows((name, note) for name, notes in NOTES.items() for note in notes)
            writer.writerow(["nowhere.jpg", "A picture that is not there"])

    def __call__(self, *arguments: str, status: int = 0) -> str:
        done = call(*arguments)
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    def build(self, *more: str, status: int = 0) -> str:
        images = ["--images", str(self.images), "--annotations", str(self.notes)]
        return self("build", NAME, *images, "--out", str(self.run), *SETTINGS, "--quiet", *more, status=status)


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = write_distribution(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(scope="module")
def built(site: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("built"))
    house.build("--set", CRITICS, "--set", "run.partition_size=2", "--set", "corpus.splits={train: 0.5, test: 0.5}")
    return house


def test_a_process_of_its_own_finds_it(site: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ostensive", "recipes", "list"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(TESTS)])},
    )
    assert f"{NAME}      A caption for each note that came in beside an image." in done.stdout


def test_it_is_listed_shown_copied_and_has_a_schema(house: House) -> None:
    assert f"{NAME}      A caption for each note that came in beside an image." in house("recipes", "list")
    assert "recipe: captions" in house("recipes", "show", NAME)
    mine = str(house.folder / "mine.yaml")
    house("recipes", "copy", NAME, mine)
    assert json.loads(house("recipes", "schema", NAME))["properties"]["recipe"]["const"] == NAME
    images = ["--images", str(house.images), "--annotations", str(house.notes)]
    house("build", mine, *images, "--out", str(house.run), *SETTINGS, "--quiet")


def test_without_notes_nothing_begins(house: House) -> None:
    said = house("build", NAME, "--images", str(house.images), "--out", str(house.run), *SETTINGS, status=2)
    assert "note" in said
    assert "--annotations" in said
    assert len(said.splitlines()) == 1
    assert not list(house.run.glob("*/part-*"))


def test_what_a_critic_lacks_is_said_in_one_line(house: House) -> None:
    said = house.build("--set", "critics=[{kind: overlap, references: r.jsonl, compare: rationale}]", status=2)
    assert "rationale" in said
    assert len(said.splitlines()) == 1


def test_preview_shows_note_prompt_and_caption(house: House) -> None:
    said = house("preview", NAME, "--images", str(house.images), "--annotations", str(house.notes))
    assert "Somebody wrote beside a picture: A red boat on the lake" in said
    assert "caption: Here is a red boat on the lake." in said
    assert not house.run.exists()


def test_estimate_counts_one_request_a_note(house: House) -> None:
    arguments = ["--images", str(house.images), "--annotations", str(house.notes), "--json"]
    found = json.loads(house("estimate", NAME, *arguments))
    assert (found["images"], found["requests"]) == (4, 4)


def test_doctor_needs_the_embedding_model_alone(house: House) -> None:
    assert "dedupe" in house("doctor", NAME)


def test_every_note_and_image_is_accounted_for(built: House) -> None:
    stages = {stage["name"]: stage for stage in json.loads(built("status", str(built.run), "--json"))["stages"]}
    assert list(stages) == [
        "images",
        "distinct",
        "annotations",
        "captions",
        "unique",
        "scored",
        "judged",
        "signatures",
        "splits",
    ]
    notes = stages["annotations"]
    assert (notes["kept"], notes["dropped"]) == (4, {"no such image": 1})
    assert (stages["captions"]["kept"], stages["captions"]["dropped"]) == (4, {"no note": 1})
    assert stages["unique"]["dropped"] == {"near duplicate": 1}
    assert stages["judged"]["rows"] == stages["judged"]["kept"] == 3
    assert stages["splits"]["kept"] == 4
    for stage in stages.values():
        lost = sum(stage["dropped"].values()) + sum(stage["failed"].values())
        assert stage["rows"] == stage["kept"] + lost


def test_running_again_does_nothing_and_another_note_does_one_image(house: House) -> None:
    house.build("--set", "run.partition_size=1")
    before = {path: path.stat().st_mtime_ns for path in house.run.glob("*/part-*.parquet")}
    house.build("--set", "run.partition_size=1")
    assert {path: path.stat().st_mtime_ns for path in house.run.glob("*/part-*.parquet")} == before
    with house.notes.open("a", newline="") as file:
        csv.writer(file).writerow(["scene 0003.jpg", "A lamp behind a window"])
    house.build("--set", "run.partition_size=1")
    after = set(house.run.glob("captions/part-*.parquet"))
    assert len(after) == 4
    assert len(after - before.keys()) == 1, "one image has another note"


def test_both_critics_score_every_caption(built: House) -> None:
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select distinct s.critic from (select unnest(scores) s from '{built.run}/scored/*.parquet') order by 1"
        ).fetchall()
    assert found == [("judge",), ("rules",)]


def test_the_card_counts_the_notes_as_the_stages_do(built: House) -> None:
    text = (built.run / "corpus" / "README.md").read_text()
    assert "items that came in beside images" in text
    assert "no such image" in text
    told = json.loads((built.run / "corpus" / "manifest.json").read_text())["statistics"]
    assert told["annotations"] == 4


def test_a_threshold_is_chosen_and_put_in_force(built: House) -> None:
    splits = [path.read_bytes() for path in sorted(built.run.glob("splits/*"))]
    found = json.loads(
        built("critic", "threshold", str(built.run), "--critic", "judge", "--keep", "1", "--apply", "--quiet", "--json")
    )
    assert found["critic"] == "judge"
    recipe = yaml.safe_load((built.run / "recipe.yaml").read_text())
    assert recipe["critics"][1]["min_accept_probability"] == found["min_accept_probability"]
    assert [path.read_bytes() for path in sorted(built.run.glob("splits/*"))] == splits
    stages = json.loads(built("status", str(built.run), "--json"))["stages"]
    assert stages[-1]["name"] == "splits"


def test_both_loaders_read_the_corpus(built: House, tmp_path: Path) -> None:
    import datasets
    import webdataset

    corpus = built.run / "corpus"
    loaded = datasets.load_dataset(str(corpus), "rows", cache_dir=str(tmp_path / "cache"))
    rows = [row for split in loaded.values() for row in split]
    assert {row["caption"] for row in rows} == {
        "Here is a red boat on the lake.",
        "Here is two dogs play with a ball.",
        "Here is an empty street at night.",
    } or {row["note"] for row in rows} <= {note for notes in NOTES.values() for note in notes}
    assert len(rows) == 3
    images = datasets.load_dataset(str(corpus), cache_dir=str(tmp_path / "cache"))
    assert sum(len(split) for split in images.values()) == 3
    shards = sorted(str(path) for path in (corpus / "shards").glob("*.tar"))
    samples: list[Any] = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    found = [row for sample in samples for row in json.loads(sample["json"])["rows"]]
    assert sorted(row["row_id"] for row in found) == sorted(row["row_id"] for row in rows)
    assert all(sample["jpg"].startswith(b"\xff\xd8") for sample in samples)


def test_the_card_tells_of_captions(built: House) -> None:
    text = (built.run / "corpus" / "README.md").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert header["task_categories"] == ["image-to-text"]
    assert "captions" in header["tags"]
    assert "A teacher that never sees a picture writes a caption from what somebody noted beside it." in text
    assert "A caption says no more than its note." in text
    assert not {"rationales", "regions"} & set(header["tags"]), "those are of another recipe"
    assert "Localized Symbolic" not in text


def test_the_files_that_name_it_are_its_own() -> None:
    """The recipe's folder and the tests that install it; nothing of the house."""
    listed = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
    word = re.compile(r"captions_recipe|recipe: captions\b|CaptionsRecipe")
    naming = sorted(
        name
        for name in listed
        if (ROOT / name).is_file() and word.search((ROOT / name).read_text("utf-8", errors="ignore"))
    )
    assert naming == [
        "docs/development.md",
        "tests/captions_recipe/recipe.py",
        "tests/captions_recipe/recipe.yaml",
        "tests/critic_context.py",
        "tests/installed_recipe.py",
        "tests/test_captions_recipe.py",
        "tests/test_microworld_folder.py",
        "tests/test_recipe_kinds.py",
    ]
