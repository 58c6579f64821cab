"""Paths as people write them."""

import os
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.table import load
from cards.assembling import publishable_settings
from critics.trained.settings import TrainedSettings
from ostensive.chat.local import SelfTeacherSettings
from ostensive.chat.records import Reply
from ostensive.chat.replies import Answered, reply_of
from ostensive.chat.usage import NO_USAGE
from ostensive.errors import SettingsError
from ostensive.recipe import Recipe, dump, recipe_hash
from ostensive.records import NO_SPEND
from ostensive.settings import Operational, Settings, validate
from ostensive.user_paths import (
    ModelName,
    PathMark,
    PlacedText,
    UserPath,
    absolute_path,
    model_label,
    shown_path,
    user_path,
)
from verbalizers.label_lists import LabelSource

CORPUS = ("corpus.license=cc0-1.0", "corpus.source=mine", "corpus.intended_use=to test")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, and beside it `home`, the home folder."""
    folder, home = tmp_path / "here", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(home))
    return folder


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("run", "here/run"),
        ("./run", "here/run"),
        ("../run", "here/../run"),
        ("~", "home"),
        ("~/run", "home/run"),
        ("~/a b/ü", "home/a b/ü"),
        ("./~", "here/~"),
        ("./~/run", "here/~/run"),
        ("a/~/b", "here/a/~/b"),
        ("$HOME/run", "here/$HOME/run"),
        ("run~", "here/run~"),
        (" run", "here/ run"),
        ("run/", "here/run"),
    ],
)
def test_a_tilde_is_the_home_folder_and_nothing_else_is_expanded(here: Path, given: str, meant: str) -> None:
    assert user_path(given, "--out") == here.parent / meant


def test_the_home_folder_of_somebody_is_known_by_name(here: Path) -> None:
    import pwd

    user = pwd.getpwuid(os.getuid())
    assert user_path(f"~{user.pw_name}/run", "--out") == Path(user.pw_dir, "run")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "--out '': is empty; a path is expected"),
        ("  ", "--out '  ': is empty; a path is expected"),
        ("ü" * 128, f"--out '{'ü' * 79}: has a name of more than 255 bytes in it, which no file has"),
        ("a\0b", "--out 'a\\x00b': has a null character in it, which no path has"),
        (
            "~nobody-of-this-name/run",
            "--out '~nobody-of-this-name/run': begins with ~nobody-of-this-name, and there is no such home folder; a"
            " name of that kind is ./~nobody-of-this-name/run",
        ),
    ],
)
def test_what_is_no_path_is_refused_in_one_line(given: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        user_path(given, "--out")
    assert str(caught.value) == message


def test_a_working_directory_that_was_removed_is_told(here: Path) -> None:
    here.rmdir()
    with pytest.raises(SettingsError, match="is relative, and the working directory is no longer there"):
        user_path("run", "--out")
    assert user_path("/run", "--out") == Path("/run")


@given(st.text(min_size=1))
def test_an_absolute_path_stays_what_it_is(text: str) -> None:
    try:
        path = absolute_path(text)
    except ValueError:
        assert not text.strip() or "\0" in text or text.startswith("~") or not text.isascii() or len(text) > 255
        return
    assert path.is_absolute()
    assert absolute_path(path) == path


def test_paths_are_shown_from_the_working_directory(here: Path) -> None:
    assert shown_path(here / "runs" / "street") == "runs/street"
    assert shown_path(here.parent / "x") == str(here.parent / "x")


class Sample(Settings):
    file: UserPath | None = None
    cache: Operational[UserPath | None] = None
    model: ModelName = "org/name"
    prompts: Annotated[str, PathMark(or_name="folder", names=("built-in",))] = "built-in"
    clip: Annotated[str, PathMark(prefix="local-dir:")] = "ViT-B-32"
    labels: LabelSource = "places"


def test_paths_in_settings_are_absolute_and_names_stay(here: Path) -> None:
    (here / "org" / "name").mkdir(parents=True)
    (here / "built-in").mkdir()
    (here / "places").write_text("x\n")
    (here / "mine.txt").write_text("x\n")
    made = Sample(file="a/b.txt", cache="~/c", clip="local-dir:~/m", labels="mine.txt")
    assert made.model_dump() == {
        "file": str(here / "a/b.txt"),
        "cache": str(here.parent / "home" / "c"),
        "model": str(here / "org" / "name"),
        "prompts": "built-in",
        "clip": f"local-dir:{here.parent / 'home' / 'm'}",
        "labels": str(here / "mine.txt"),
    }
    bare = Sample(model="other/name", labels=["~/a", "./b"], prompts="elsewhere")
    assert (bare.model, bare.labels, bare.prompts, bare.file) == ("other/name", ("~/a", "./b"), "elsewhere", None)
    assert Sample(labels="places").labels == "places"
    assert Sample(model="~/x").model == str(here.parent / "home" / "x")


@pytest.mark.parametrize("given", ["", "a\0b", "~nobody-of-this-name/x", "x" * 256])
def test_what_is_no_path_is_refused_with_its_setting(given: str) -> None:
    problem = "(is empty|has a null character|has a name of more than 255 bytes|begins with ~nobody)"
    for field in ("file", "model", "labels")[: 3 if given else 1]:
        with pytest.raises(SettingsError, match=f"^x: {field}: {problem}"):
            validate(Sample, {field: given}, "x")


def test_where_a_file_lies_is_no_part_of_the_identity(here: Path) -> None:
    first, second = here / "one", here / "two"
    for folder in (first, second):
        (folder / "model").mkdir(parents=True)
        (folder / "labels.txt").write_text("x\n")

    def identity(folder: Path) -> dict[str, object]:
        named = {"clip": f"local-dir:{folder / 'clip'}", "labels": str(folder / "labels.txt")}
        return Sample(file=str(folder / "a.txt"), model=str(folder / "model"), **named).identity()

    assert identity(first) == identity(second)
    assert str(first) not in str(identity(first))
    assert identity(first)["file"] == "a.txt"
    assert Sample().identity()["model"] == "org/name"


def test_a_model_in_a_folder_is_known_by_the_folders_name(here: Path) -> None:
    (here / "vlm").mkdir()
    teacher = SelfTeacherSettings(model="vlm")
    assert (teacher.model, teacher.model_name) == (str(here / "vlm"), "vlm")
    assert SelfTeacherSettings(model="org/name").model_name == "org/name"


def test_text_of_a_file_is_meant_from_its_folder(here: Path) -> None:
    other = here.parent / "recipes"
    (other / "net").mkdir(parents=True)
    (here / "local").mkdir()
    made = Sample(file=PlacedText.of("a.txt", other), model=PlacedText.of("net", other))
    assert (made.file, made.model) == (str(other / "a.txt"), str(other / "net"))
    assert type(made.file) is type(made.model) is str
    assert Sample(model=PlacedText.of("local", other)).model == str(here / "local"), "libraries look there too"


def recipe_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "street.yaml"
    file.write_text(
        "recipe: localized\ncorpus: {license: cc0-1.0, source: mine, intended_use: to test}\n"
        "verbalize:\n  regions:\n    kind: pixels\n    choice: {frequencies: counts.tsv}\n"
        "critics:\n- {kind: overlap, references: ../refs.jsonl}\n- {kind: rules}\n"
    )
    return file


def test_a_recipe_means_its_paths_from_its_own_folder_and_set_from_the_working_directory(here: Path) -> None:
    folder = here / "recipes"
    recipe = load(str(recipe_file(folder)))
    assert recipe.model_dump()["verbalize"]["regions"]["choice"]["frequencies"] == str(folder / "counts.tsv")
    assert recipe.model_dump()["critics"][0]["references"] == str(folder / "../refs.jsonl")
    changed = load("recipes/street.yaml", assignments=["verbalize.regions.choice.frequencies=~/counts.tsv"])
    frequencies = changed.model_dump()["verbalize"]["regions"]["choice"]["frequencies"]
    assert frequencies == str(here.parent / "home" / "counts.tsv")
    critics = load("recipes/street.yaml", assignments=["critics=[{kind: feedback, ratings: ./r.jsonl}]"])
    assert critics.model_dump()["critics"][0]["ratings"] == str(here / "r.jsonl")


def test_the_resolved_recipe_means_the_same_from_anywhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load(str(recipe_file(here / "recipes")))
    (here / "run").mkdir()
    (here / "run" / "recipe.yaml").write_text(dump(recipe))
    monkeypatch.chdir(here.parent)
    assert load(str(here / "run" / "recipe.yaml")) == recipe


def test_a_recipe_that_was_moved_with_its_files_is_the_same_recipe(here: Path) -> None:
    first, second = (load(str(recipe_file(here / name))) for name in ("one", "two"))
    assert first != second
    assert recipe_hash(first) == recipe_hash(second)


def test_a_recipe_by_a_tilde(here: Path) -> None:
    recipe_file(here.parent / "home")
    assert isinstance(load("~/street.yaml"), Recipe)
    with pytest.raises(SettingsError, match=r"^~/steet\.yaml: there is no such file$"):
        load("~/steet.yaml")


def test_a_name_of_a_recipe_wins_over_a_file_of_that_name(here: Path) -> None:
    (here / "localized").write_text("recipe: nonsense\n")
    assert load("localized", assignments=CORPUS).recipe == "localized"
    with pytest.raises(SettingsError, match="there is no recipe called 'nonsense'"):
        load("./localized")


def test_the_folder_of_a_critic_is_always_a_path(here: Path) -> None:
    assert TrainedSettings(model="critic").model == str(here / "critic")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("/home/me/models/llava", "llava"), ("/home/me/models/llava/", "llava"), ("~/x/y", "y"), ("./a/b", "b"),
        ("../b", "b"), ("C:\\Users\\me\\phi", "phi"), ("d:/m/phi", "phi"), ("file:///home/me/q", "q"), ("/", "model"),
        ("\\\\share\\me\\z", "z"), ("org/name", "org/name"), ("gpt-4o", "gpt-4o"), ("qwen2.5:7b", "qwen2.5:7b"),
        ("https://evil.example/buy", "https://evil.example/buy"), ("accounts/a/models/b", "accounts/a/models/b"),
    ],
)  # fmt: skip
def test_of_a_model_by_its_path_the_last_name_is_told(name: str, label: str) -> None:
    assert model_label(name) == label


def test_the_path_of_a_served_model_is_in_no_published_settings() -> None:
    settings = ("teacher.kind=served", "teacher.model=/home/me/models/llava", "corpus.license=mit", "corpus.source=x")
    recipe = load("localized", assignments=(*settings, "corpus.intended_use=x"))
    assert publishable_settings(recipe)["teacher"]["model"] == "llava"
    assert "/home/me" not in str(publishable_settings(recipe))


def test_a_reply_names_a_model_in_a_folder_by_the_folder() -> None:
    answered = Answered("yes", "stop", "/srv/models/phi-4/", NO_USAGE)
    reply = reply_of(answered, "asked", "key", NO_SPEND)
    assert isinstance(reply, Reply)
    assert reply.model == "phi-4"
