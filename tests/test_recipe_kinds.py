"""What holds for every recipe: it loads under every profile, and its stages pickle and do the same work elsewhere."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotated_images import write_rows
from drawing import write_scenes
from installed_recipe import NAME, TESTS, write_distribution

import ostensive
from builders.table import MODULES, load, profile_for, profile_names, recipe_kind, recipe_names
from microworld.folder import write_scenes as write_world
from ostensive.arrow import schema_of
from ostensive.errors import SettingsError
from ostensive.images.intake import Intake
from ostensive.images.settings import IntakeSettings
from ostensive.run.folder import RunFolder
from ostensive.run.pipeline import stages_of
from ostensive.run.planning import plan_partitions
from ostensive.run.services import ServiceSettings
from ostensive.run.sources import find_sources
from ostensive.run.worker import PartitionTask
from ostensive.stage import FunctionStage

CORPUS = ["corpus.license=cc0-1.0", "corpus.source=drawn by a test", "corpus.intended_use=to test"]
RECIPES = [*MODULES, NAME]


@pytest.fixture(scope="module", autouse=True)
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on the path that makes the recipe of the tests known."""
    folder = write_distribution(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


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


def test_every_stage_of_every_recipe_pickles_under_every_profile(tmp_path: Path, known: Path) -> None:
    stages = [
        stage
        for name in RECIPES
        for profile in profile_names()
        for stage in stages_of(
            load(name, profile=profile, assignments=[*CORPUS, "corpus.splits.train=1"]), recipe_kind(name)
        )
    ]
    file = tmp_path / "stages.pickle"
    file.write_bytes(pickle.dumps(stages))
    code = (
        "import pickle, sys\nfrom ostensive.arrow import schema_of\n"
        "for stage in pickle.loads(open(sys.argv[1], 'rb').read()):\n"
        "    print(stage.name, schema_of(stage.record_in).names, schema_of(stage.record_out).names)\n"
        "    print(stage.uses_annotations)"
    )
    done = elsewhere(code, str(file), known=known)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        line
        for one in stages
        for line in (
            f"{one.name} {schema_of(one.record_in).names} {schema_of(one.record_out).names}",
            f"{one.uses_annotations}",
        )
    ]


CARRIED_OUT = [("localized", "offline"), (NAME, "offline"), ("preferences", "offline")]
CARRIED_OUT_BY_MODELS = ("localized", "microworld")


def build_here(name: str, profile: str, folder: Path) -> Path:
    """Builds `folder/here` with the local engine, and writes down what there is to do for `folder/there`."""
    images = folder / "images"
    if profile == "microworld":
        write_world(images, 4, first_seed=500_000)
    else:
        write_scenes(images, 4)
    beside = None
    if name == NAME:
        notes = [("scene 0003.jpg", "A red boat"), ("scene 0000.jpg", "A dog"), ("scene 0003.jpg", "A ship in red")]
        beside = write_rows(folder / "notes.csv", [{"file_name": image, "note": note} for image, note in notes])
    settings = [*CORPUS, "run.partition_size=2", "corpus.splits={train: 0.5, test: 0.5}"]
    settings += ["localized.turns=1"] if name == "localized" else []
    options = ostensive.BuildOptions(profile=profile, settings=settings, annotations=beside)
    ostensive.build(name, images=images, out=folder / "here", options=options)
    recipe, kind = load(str(folder / "here" / "recipe.yaml")), recipe_kind(name)
    run, given = folder / "there", find_sources(recipe, kind, images, options)
    run.mkdir()
    plan = plan_partitions(given.items, {}, 2)
    tasks = [PartitionTask(run, index, len(items), sources=items) for index, items in sorted(plan.items())]
    run_id = RunFolder(folder / "here").read_state()["run_id"]
    services = ServiceSettings(intake=recipe.intake, threads=1, journal=run / "journal.sqlite", run_id=run_id)
    stages = [Intake(recipe.intake, 1), *stages_of(recipe, kind)]
    file = folder / "work.pickle"
    file.write_bytes(pickle.dumps((tasks, stages, services, given.annotations)))
    return file


def carry_out(folders: dict[tuple[str, str], Path], known: Path) -> None:
    """Builds in each folder here, and in one other process, by recipe and profile."""
    work = [str(build_here(*one, folder)) for one, folder in folders.items()]
    code = "import runpy, sys\nrunpy.run_path(sys.argv.pop(1), run_name='__main__')"
    done = elsewhere(code, str(TESTS / "carry_out_elsewhere.py"), *work, known=known)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def carried_out(known: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    folders = {one: tmp_path_factory.mktemp("-".join(one)) for one in CARRIED_OUT}
    carry_out(folders, known)
    return folders


@pytest.mark.slow
@pytest.mark.parametrize(("name", "profile"), CARRIED_OUT)
def test_pickled_stages_make_the_same_bytes_in_another_process(
    name: str, profile: str, carried_out: dict[tuple[str, str], Path]
) -> None:
    assert_same_bytes(name, carried_out[name, profile])


@pytest.mark.slow
def test_so_do_stages_with_models(known: Path, tmp_path: Path) -> None:
    carry_out({CARRIED_OUT_BY_MODELS: tmp_path}, known)
    assert_same_bytes(CARRIED_OUT_BY_MODELS[0], tmp_path)


def assert_same_bytes(name: str, folder: Path) -> None:
    here, there = (folder / run for run in ("here", "there"))

    def files_in(folder: Path) -> dict[str, bytes]:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("[a-z]*/[a-z]*.parquet")}

    made, names = files_in(here), RunFolder(here).stage_names()
    assert len([path for path in made if "/part-" in path]) == 2 * len(names)
    assert ("annotations" in names) == (name == NAME)
    assert files_in(there) == made


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
    assert {path.partition("[")[0] for path in kind.field_notes} <= set(fields)
    assert kind.title
    assert kind.one == {"explanations": "an explanation", "instructions": "an instruction"}.get(name, f"a {kind.noun}")
    assert kind.method
    assert pickle.loads(pickle.dumps(kind)) == kind
