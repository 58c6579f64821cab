"""Rounds of real runs: what fitted before stands, nothing is lost, nothing is there twice, and growth is told."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from annotated_images import write_rows
from drawing import write_scenes
from hardship import call

import ostensive
from builders.dedupe import DedupeStage
from builders.rationales.records import Rationale
from builders.rounds import Inherited, RoundSettings, RoundsRecipe
from builders.table import MODULES, load, recipe_kind
from ostensive.commands import api
from ostensive.errors import SettingsError
from ostensive.recipe import recipe_hash
from ostensive.records import Judged
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.growth import Growth
from ostensive.settings import validate

SETTINGS = [
    "corpus.license=cc0-1.0",
    "corpus.source=drawn by a test",
    "corpus.intended_use=to test",
    "rationales.temperatures=[0.5]",
    "rationales.samples=2",
    "run.partition_size=2",
]


def build(folder: Path, number: int, *, recipe: str = "rationales", settings: tuple[str, ...] = ()) -> Path:
    """Carries out the round of that number after the one before it, with other words of the teacher each time."""
    out, parent = folder / str(number), folder / str(number - 1) if number else None
    own = SETTINGS if recipe == "rationales" else SETTINGS[:3]
    options = ostensive.BuildOptions(
        settings=[*own, f"seed={number}", *settings], parent=parent, annotations=folder / "questions.jsonl"
    )
    ostensive.build(recipe, images=folder / "images", out=out, options=options)
    return out


def rows(run: Path) -> dict[str, Mapping[str, Any]]:
    return {row["row_id"]: row for row in ostensive.open_corpus(run).rows()}


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rounds. In the second no rationale of the last image fits: it has no items there."""
    folder = tmp_path_factory.mktemp("rounds")
    write_scenes(folder / "images", 3)
    asked = [
        {"file_name": f"scene {k:04d}.jpg", "question": f"What's seen in {k}: colours?", "answer": "colours"}
        for k in range(3)
    ]
    for number in range(3):
        write_rows(folder / "questions.jsonl", asked[:2] if number == 1 else asked)
        build(folder, number)
    return folder


def test_every_round_holds_all_that_fitted_before_and_nothing_twice(rounds: Path) -> None:
    found = [rows(rounds / str(number)) for number in range(3)]
    assert len({row["image_id"] for row in found[0].values()}) == 3
    for before, now in pairwise(found):
        assert before.keys() <= now.keys()
        for row_id, row in before.items():
            same = {"rationale", "round", "teacher", "request_key", "image_id"}
            assert {name: now[row_id][name] for name in same} == {name: row[name] for name in same}
        texts = [(row["image_id"], row["question"], row["rationale"]) for row in now.values()]
        assert len(set(texts)) == len(texts)
    assert {row["round"] for row in found[2].values()} == {0, 1, 2}


def test_what_a_round_added_is_told(rounds: Path) -> None:
    counts = [len(rows(rounds / str(number))) for number in range(3)]
    grown = api.growth(rounds / "2")
    assert grown == Growth(2, counts[2] - counts[1], counts[1], 0.05)
    assert api.growth(rounds / "0") == Growth(0, counts[0], 0, 0.05)
    done = call(
        "build", "rationales", "--images", rounds / "images", "--annotations", rounds / "questions.jsonl",
        "--out", rounds / "2", "--parent", rounds / "1", "--quiet",
        *(word for setting in [*SETTINGS, "seed=2"] for word in ("--set", setting)),
    )  # fmt: skip
    assert f"round       2: {grown.new} new rows beside {grown.before} from before (" in done.stdout
    recipe = (rounds / "2" / "recipe.yaml").read_text("utf-8")
    assert f"parent: {rounds / '1'}" in recipe
    card = (rounds / "2" / "corpus" / "README.md").read_text("utf-8")
    assert "round" in card


@pytest.mark.parametrize("name", [name for name in MODULES if issubclass(recipe_kind(name).recipe, RoundsRecipe)])
def test_rows_of_earlier_rounds_are_no_repeats_in_any_recipe(name: str) -> None:
    recipe = load(name, assignments=[*SETTINGS[:3], "rounds.parent=before", "rounds.number=2"])
    (dedupe,) = (one for one in recipe_kind(name).make_stages(recipe) if isinstance(one, DedupeStage))
    assert dedupe.identity["round"] == 2


@pytest.mark.parametrize(("name", "own"), [("rationales", None), ("preferences", 1), ("explanations", 4)])
def test_how_many_rounds_a_loop_has_is_said_by_the_recipe_and_changes_no_row(name: str, own: int | None) -> None:
    def loaded(*more: str) -> RoundsRecipe:
        recipe = load(name, assignments=[*SETTINGS[:3], *more])
        assert isinstance(recipe, RoundsRecipe)
        return recipe

    assert loaded().rounds.max_rounds == own
    assert loaded("rounds.stop_below=0.1").rounds.max_rounds == own, "also where the section is set in part"
    assert loaded("rounds.max_rounds=7").rounds.max_rounds == 7
    assert recipe_hash(loaded("rounds.max_rounds=7")) == recipe_hash(loaded())


def test_the_stop_rule() -> None:
    assert Growth(8, 156, 3385, 0.05).is_enough, "ILLUME's last round on VQA-X: 4.6 %"
    assert "(+4.6%); that is below 5%" in Growth(8, 156, 3385, 0.05).line()
    assert not Growth(1, 1, 20, 0.05).is_enough, "one in twenty is 5 %"
    assert not Growth(0, 0, 0, 0.05).is_enough
    assert Growth(0, 3, 0, 0.05).line() == "0: 3 new rows beside 0 from before"


def test_a_parent_that_is_none(rounds: Path, tmp_path: Path) -> None:
    def refused(parent: Path, out: Path, recipe: str = "rationales") -> str:
        options = ostensive.BuildOptions(settings=SETTINGS[:3], parent=parent)
        with pytest.raises(SettingsError) as caught:
            ostensive.build(recipe, images=rounds / "images", out=out, options=options)
        assert not (tmp_path / "x").exists()
        return str(caught.value)

    assert "there is no run here" in refused(tmp_path / "nowhere", tmp_path / "x")
    assert "a run of rationales; one of preferences is expected" in refused(rounds / "0", tmp_path / "x", "preferences")
    assert "is --out itself; every round has a folder of its own" in refused(rounds / "0", rounds / "0")
    with pytest.raises(SettingsError, match="number is 0 without a parent"):
        validate(RoundSettings, {"number": 1}, "rounds")


def test_json_has_the_same_figures(rounds: Path) -> None:
    done = call(
        "build", "rationales", "--images", rounds / "images", "--annotations", rounds / "questions.jsonl",
        "--out", rounds / "1", "--parent", rounds / "0", "--quiet", "--json", "--set", "seed=1", "--retry-failed",
        *(word for setting in SETTINGS for word in ("--set", setting)),
    )  # fmt: skip
    figures = json.loads(done.stdout)["round"]
    assert figures["number"] == 1
    assert figures["share"] == pytest.approx(figures["new"] / figures["before"])


def test_a_round_is_done_again_when_its_parent_keeps_other_rows_under_the_same_names(
    rounds: Path, tmp_path: Path
) -> None:
    """As it does after `--retry-failed`: partitions are named by what they were made from."""
    parent = shutil.copytree(rounds / "0", tmp_path / "0")
    settings = RoundSettings(parent=str(parent), number=1)
    before = Inherited(settings, Rationale).identity
    path = RunFolder(parent).paths_of(Judged[Rationale])[0]
    table, info = pq.read_table(path), partitions.read_info(path)
    fewer = table.slice(1)
    partitions.write(path, fewer, replace(info, digest=partitions.digest_of(fewer, Judged[Rationale])))
    after = Inherited(settings, Rationale)
    assert after.identity != before
    assert list(after.identity[1:]) == list(before[1:])
    kept = table.column("candidate").to_pylist()
    with after.opened() as inherited:
        rows = {row.row_id for image_id in {row["image_id"] for row in kept} for row in inherited.of(image_id)}
    assert rows == {row["row_id"] for row in fewer.filter(pc.equal(fewer["outcome"], "kept"))["candidate"].to_pylist()}
