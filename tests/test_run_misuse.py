"""What is wrong is said in one line before anything is written; paths are what a shell would take them for."""

import os
from pathlib import Path
from typing import Any

import pytest
from drawing import write_scenes
from hardship import call

import ostensive
from ostensive.errors import SettingsError, StorageError

SETTINGS = ("corpus.license=cc0-1.0", "corpus.source=mine", "corpus.intended_use=to test", "localized.turns=1")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("images"), 1)


def everything_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (("localized.trns=1",), {}, "localized.trns: unknown key"),
        (("localized.turns=0",), {}, "localized.turns: input should be greater than or equal to 1, not 0"),
        (("localized.turns=2", "localized.turns=3"), {}, "--set localized.turns: is given twice"),
        ((f"localized.prompt_set={'x' * 300}",), {}, "has a name of more than 255 bytes"),
        ((f"verbalize.regions.choice.frequencies={'x' * 300}",), {}, "has a name of more than 255 bytes"),
        ((), {"prices": "x" * 300}, "has a name of more than 255 bytes"),
        (("localized.prompt_set=nowhere",), {}, "nowhere: neither a built-in prompt set"),
        (("verbalize.probes.asked_by=teacher", "verbalize.probes.prompt_set=no"), {}, "verbalize.probes.asked_by"),
        (("verbalize.regions.choice.frequencies=no.tsv",), {}, "frequencies: there is no file"),
        (("verbalize.concepts.kind=clip", "verbalize.concepts.model=ViT"), {}, "model: open_clip has no model"),
        (("dedupe.model=./none",), {}, "./none: there is no such folder"),
        (("critics=[{kind: overlap, references: no.jsonl}]",), {}, "no.jsonl: there is no such file"),
        (("critics=[{kind: trained, model: no}]",), {}, "no: "),
        (("critics=[{kind: judge, prompt_set: gudge}]",), {}, "gudge: neither a built-in prompt set"),
        (("teacher.kind=served", "teacher.model=m"), {}, "no key for https://api.openai.com/v1"),
        (
            ("teacher.kind=served", "teacher.model=m", "teacher.base_url=http://127.0.0.1:9/v1"),
            {"max_cost_usd": 1.0},
            "--max-cost: the price of 'm' is not known",
        ),
        ((), {"prices": Path("none.yaml")}, "none.yaml: there is no such file"),
        ((), {"annotations": Path("none.csv")}, "none.csv"),
        ((), {"journal": Path("none") / "journal.sqlite"}, "there is no folder"),
        ((), {"journal": Path()}, ": is a folder; a file is expected"),
        ((), {"journal": "a\0b"}, "journal 'a\\x00b': has a null character in it"),
        ((), {"prices": ""}, "prices '': is empty"),
        ((), {"profile": "ofline"}, "profile: there is no profile called 'ofline'"),
    ],
)
def test_a_misuse_leaves_nothing_behind(
    settings: tuple[str, ...],
    options: dict[str, Any],
    message: str,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    given = ostensive.BuildOptions(settings=(*SETTINGS[:3], *settings), **options)
    with pytest.raises(SettingsError) as caught:
        ostensive.build("localized", images=images, out="runs/new", options=given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert everything_in(tmp_path) == []


def test_a_journal_that_is_none_is_told_before_there_is_a_folder(images: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff" * 100)
    options = ostensive.BuildOptions(settings=SETTINGS, journal=tmp_path / "photo.jpg")
    with pytest.raises(StorageError, match=r"photo\.jpg: not a journal"):
        ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    assert everything_in(tmp_path) == ["photo.jpg"]


def test_a_name_that_is_too_long_is_told(images: Path, tmp_path: Path) -> None:
    """A name, and a path of names that are short enough."""
    options = ostensive.BuildOptions(settings=SETTINGS)
    for name, problem in (("x" * 300, "has a name of more than 255 bytes"), ("x/" * 3_000 + "y", "")):
        with pytest.raises(SettingsError, match=problem or "y: neither a recipe"):
            ostensive.build(name, images=images, out=tmp_path / "run", options=options)
        with pytest.raises(SettingsError, match=problem or "y: cannot be read: File name too long"):
            ostensive.build("localized", images=images, out=tmp_path / name, options=options)
        with pytest.raises(SettingsError, match=problem or "y: cannot be read: File name too long"):
            ostensive.status(tmp_path / name)
        long = ostensive.BuildOptions(settings=SETTINGS, journal=tmp_path / name)
        with pytest.raises((SettingsError, StorageError), match=problem or "y: File name too long"):
            ostensive.build("localized", images=images, out=tmp_path / "run", options=long)
        for setting in ("localized.prompt_set", "dedupe.model", "verbalize.regions.choice.frequencies"):
            named = ostensive.BuildOptions(settings=(*SETTINGS, f"{setting}={name}"))
            with pytest.raises(SettingsError, match=problem or "x/y"):
                ostensive.build("localized", images=images, out=tmp_path / "run", options=named)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("file", "file: {0}/file is a file, not a folder; choose another folder"),
        ("file/run", "file/run: {0}/file is a file, not a folder; choose another folder"),
        ("full", "full holds other files (notes.txt, ...); choose an empty folder"),
        ("", "out '': is empty; a path is expected"),
        ("a\0b", "out 'a\\x00b': has a null character in it, which no path has"),
        ("~nobody-of-this-name/x", "begins with ~nobody-of-this-name, and there is no such home folder"),
    ],
)
def test_a_folder_that_cannot_be_one_is_told_first(
    out: str, message: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("x")
    before = everything_in(tmp_path)
    options = ostensive.BuildOptions(settings=SETTINGS)
    with pytest.raises(SettingsError) as caught:
        ostensive.build("localized", images=images, out=out, options=options)
    assert message.format(tmp_path) in str(caught.value)
    assert everything_in(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write anywhere")
def test_a_folder_that_may_not_be_read_is_told(images: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    options = ostensive.BuildOptions(settings=SETTINGS)
    with pytest.raises(SettingsError, match=r"closed/run: cannot be read: Permission denied"):
        ostensive.build("localized", images=images, out=tmp_path / "closed" / "run", options=options)


def test_the_demo_copies_nothing_for_a_setting_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown key"):
        ostensive.demo(tmp_path / "demo", options=ostensive.BuildOptions(settings=["localized.trns=1"]))
    assert everything_in(tmp_path) == []


def test_a_setting_of_the_demo_may_be_changed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--set corpus\.name: is given twice, as 'a' and as 'b'"):
        ostensive.demo(tmp_path, options=ostensive.BuildOptions(settings=["corpus.name=a", "corpus.name=b"]))
    with pytest.raises(SettingsError, match=r"corpus\.name: letters, digits"):
        ostensive.demo(tmp_path, options=ostensive.BuildOptions(settings=["corpus.name=a b"]))


@pytest.mark.parametrize("path", ["file.txt", "file.txt/run", "nowhere"])
def test_what_is_no_run_is_told(path: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(SettingsError, match="there is no run here"):
        ostensive.status(tmp_path / path)


def test_a_tilde_is_the_home_folder_for_every_command(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As bash hands `--out=~/run` on; and `./~` is a folder of that name."""
    home, here = tmp_path / "home", tmp_path / "here"
    (home / "notes").mkdir(parents=True)
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    (home / "photos").symlink_to(images)
    (home / "prices.yaml").write_text("models: {}\n")
    (home / "items.csv").write_text("file_name,question\nscene-0.png,What is it?\n")
    sets = [word for text in SETTINGS for word in ("--set", text)]
    given = ["--images=~/photos", "--journal=~/notes/j.sqlite", "--prices=~/prices.yaml", "--quiet"]
    done = call("build", "localized", *given, "--out=~/run", *sets)
    assert done.returncode == 0, done.stderr
    assert (home / "run" / "corpus" / "README.md").exists()
    assert (home / "notes" / "j.sqlite").exists()
    assert everything_in(here) == []
    assert call("status", "~/run").returncode == 0
    copied = call("recipes", "copy", "localized", "~/street.yaml")
    assert (copied.returncode, (home / "street.yaml").exists()) == (0, True), copied.stderr
    done = call("build", "~/street.yaml", "--images=~/photos", "--out=./~/run", "--quiet", *sets)
    assert done.returncode == 0, done.stderr
    assert (here / "~" / "run" / "corpus").is_dir()
    assert "card        ~/run/corpus/README.md" in done.stdout, "from the working directory"
    ostensive.build("localized", images="~/photos", out="~/run2", options=ostensive.BuildOptions(settings=SETTINGS))
    assert ostensive.open_corpus("~/run2").image_count == ostensive.open_corpus("~/run").image_count == 1
    assert ostensive.status("~/run2").outcome == "done"


def test_a_run_and_its_recipe_mean_the_same_from_elsewhere(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the prompts moved and the command given elsewhere nothing is done again."""
    from importlib.resources import files
    from shutil import copytree

    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    copytree(str(files("builders.localized") / "templates" / "localized"), first / "mine")
    monkeypatch.chdir(first)
    options = ostensive.BuildOptions(settings=(*SETTINGS, "localized.prompt_set=mine"))
    ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("part-*.parquet")}
    monkeypatch.chdir(tmp_path)
    ostensive.build(str(tmp_path / "run" / "recipe.yaml"), images=images, out="run")
    first.rename(second)
    moved = ostensive.BuildOptions(settings=(*SETTINGS, "localized.prompt_set=second/mine"))
    corpus = ostensive.build("localized", images=images, out="run", options=moved)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("part-*.parquet")} == parts
    assert str(tmp_path) not in (corpus.path / "README.md").read_text("utf-8"), "nobody's business"
