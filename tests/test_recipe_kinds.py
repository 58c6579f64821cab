"""What holds for every recipe: it loads under every profile, and its stages pickle and do the same work elsewhere."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from drawing import write_scenes
from installed_recipe import NAME, TESTS, captions_installed, write_distribution

import ostensive
from builders.table import MODULES, load, profile_for, profile_names, recipe_kind, recipe_names
from microworld.folder import write_scenes as write_world
from ostensive.arrow import schema_of
from ostensive.errors import SettingsError
from ostensive.images.intake import Intake
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
from ostensive.run.folder import RunFolder
from ostensive.run.pipeline import stages_of
from ostensive.run.planning import plan_partitions
from ostensive.run.services import ServiceSettings
from ostensive.run.worker import PartitionTask
from ostensive.stage import FunctionStage

__all__ = ["captions_installed"]
CORPUS = ["corpus.license=cc0-1.0", "corpus.source=drawn by a test"]
RECIPES = [*MODULES, NAME]


@pytest.fixture(autouse=True)
def known(captions_installed: Path) -> Path:
    return captions_installed


def elsewhere(code: str, *arguments: str, known: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(known), str(TESTS)])
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_recipes_of_other_packages_stand_beside_ours() -> None:
    assert recipe_names() == [*MODULES, NAME]
    assert recipe_kind(NAME).noun == "caption"


@pytest.mark.parametrize("profile", profile_names())
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_what_it_has_of_every_profile(name: str, profile: str) -> None:
    recipe = load(name, profile=profile, assignments=CORPUS)
    assert recipe.profile == profile
    kind = recipe_kind(name)
    told = profile_for(profile, kind.recipe)
    assert told.keys() <= kind.recipe.model_fields.keys()
    assert stages_of(recipe, kind)


@pytest.mark.parametrize("profile", profile_names())
@pytest.mark.parametrize("name", RECIPES)
def test_every_stage_pickles_under_every_profile(name: str, profile: str, tmp_path: Path, known: Path) -> None:
    recipe = load(name, profile=profile, assignments=CORPUS)
    stages = stages_of(recipe, recipe_kind(name))
    file = tmp_path / "stages.pickle"
    file.write_bytes(pickle.dumps(stages))
    code = (
        "import pickle, sys\nfrom ostensive.arrow import schema_of\n"
        "for stage in pickle.loads(open(sys.argv[1], 'rb').read()):\n"
        "    print(stage.name, schema_of(stage.record_in).names, schema_of(stage.record_out).names)"
    )
    done = elsewhere(code, str(file), known=known)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"{one.name} {schema_of(one.record_in).names} {schema_of(one.record_out).names}" for one in stages
    ]


@pytest.mark.parametrize("profile", ["offline", "microworld"])
def test_a_pickled_stage_makes_the_same_bytes_in_another_process(profile: str, tmp_path: Path, known: Path) -> None:
    images = tmp_path / "images"
    if profile == "microworld":
        write_world(images, 4, first_seed=500_000)
    else:
        write_scenes(images, 4)
    settings = [*CORPUS, "run.partition_size=2"]
    options = ostensive.BuildOptions(profile=profile, settings=settings)
    ostensive.build("localized", images=images, out=tmp_path / "here", options=options)

    recipe = load(str(tmp_path / "here" / "recipe.yaml"))
    run = RunFolder(tmp_path / "there")
    plan = plan_partitions(list_items(images, recipe.intake), {}, 2)
    tasks = [PartitionTask(run.path, index, len(items), sources=items) for index, items in sorted(plan.items())]
    services = ServiceSettings(
        intake=recipe.intake,
        threads=1,
        journal=run.journal_path,
        run_id=RunFolder(tmp_path / "here").read_state()["run_id"],
    )
    run.path.mkdir()
    file = tmp_path / "work.pickle"
    stages = [Intake(recipe.intake, 1), *stages_of(recipe, recipe_kind("localized"))]
    file.write_bytes(pickle.dumps((tasks, stages, services)))
    code = "import runpy, sys\nrunpy.run_path(sys.argv[2], run_name='__main__')"
    done = elsewhere(code, str(file), str(TESTS / "carry_out_elsewhere.py"), known=known)
    assert done.returncode == 0, done.stderr

    def partitions_in(folder: Path) -> dict[str, bytes]:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/part-*.parquet")}

    made = partitions_in(tmp_path / "here")
    assert len(made) == 2 * (2 + len(stages) - 1)
    assert partitions_in(run.path) == made


def test_a_stage_that_holds_what_does_not_pickle_is_seen() -> None:
    def within(_rows: object, _evidence: object) -> list[object]:
        return []

    stage = FunctionStage("s", within, record_in=IntakeSettings, record_out=IntakeSettings, identity={})  # type: ignore[arg-type, var-annotated]  # on purpose
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(stage)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "verbalise:\n  concepts:\n    kind: pixels\n",
            "no recipe has a section verbalise; the nearest known one is verbalize",
        ),
        (
            "verbalize:\n  concept:\n    kind: pixels\n",
            r"no recipe has a part verbalize\.concept; the nearest known one is concepts",
        ),
    ],
)
def test_a_misspelt_key_of_a_profile_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builders.table as table

    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.yaml").write_text(text)
    monkeypatch.setattr(table, "files", lambda _package: tmp_path)
    for name in RECIPES:
        with pytest.raises(SettingsError, match=f"profile mine: {message}"):
            profile_for("mine", recipe_kind(name).recipe)


def test_a_misspelt_key_of_a_recipe_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"captions: verbalize: unknown key"):
        load(NAME, assignments=[*CORPUS, "verbalize.concepts.kind=pixels"])
    with pytest.raises(SettingsError, match="there is no recipe called 'capshuns'; the nearest known one is captions"):
        recipe_kind("capshuns")


def test_an_entry_point_that_is_no_recipe_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(
        str(write_distribution(tmp_path / "a", name="wrong", value="captions_recipe.recipe:Caption"))
    )
    monkeypatch.syspath_prepend(
        str(write_distribution(tmp_path / "b", name="gone", value="captions_recipe.nowhere:KIND"))
    )
    with pytest.raises(
        SettingsError, match=r"recipe wrong: captions_recipe\.recipe:Caption is no RecipeKind of that name"
    ):
        recipe_kind("wrong")
    with pytest.raises(
        SettingsError, match=r"recipe gone: cannot be imported from captions_recipe\.nowhere:KIND: ModuleNotFoundError"
    ):
        recipe_kind("gone")


@pytest.mark.parametrize("name", RECIPES)
def test_a_kind_says_what_the_house_needs(name: str) -> None:
    kind = recipe_kind(name)
    candidate: Any = kind.candidate
    fields = schema_of(candidate).names
    assert {"row_id", "image_id", "teacher", "prompt_hash", "request_key"} <= set(fields)
    assert set(kind.judged_parts) <= set(kind.parts) <= set(fields)
    assert set(kind.field_notes) <= set(fields)
    assert kind.title
    assert kind.method
    assert pickle.loads(pickle.dumps(kind)) == kind
