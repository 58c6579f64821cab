import json
import os
from pathlib import Path

import pytest
from drawing import write_scenes

import ostensive
from ostensive.errors import SettingsError
from ostensive.files import temporary_name
from ostensive.images.refusals import OWN_FOLDER
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
from ostensive.own_folders import (
    CRITIC,
    RUN,
    RUN_MARK,
    check_apart,
    check_folder_for,
    check_none_inside,
    claim_folder,
    own_kind,
)

SETTINGS = ("corpus.license=cc0-1.0", "corpus.source=mine", "corpus.intended_use=tests", "dedupe.max_distance=0")
OPTIONS = ostensive.BuildOptions(settings=SETTINGS)
STATE = {"run_id": "0123456789abcdef" * 2, "pins": {}}
OURS = {
    "run.json": (json.dumps(STATE), "run"),
    "loop.yaml": ("kind: ostensive-loop\nversion: '1'\n", "loop"),
    "manifest.json": ('{"kind": "ostensive-corpus", "version": 3}', "corpus"),
    "student.json": ('{"kind": "ostensive-student", "version": 1}', "student"),
    "made_from.json": ('{"made_from": "ab", "processes": 1}', "student"),
    ".ostensive.json": ('{"kind": "ostensive-export"}', "export"),
}
THEIRS = (
    "",
    "{",
    "[]",
    "7",
    '{"run_id": "mine"}',
    '{"kind": 5}',
    '{"kind": "ours"}',
    "[" * 100_000,
    "\udcff",
    "run: 1",
)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    ostensive.build("localized", images=write_scenes(folder / "images", 1), out=folder / "run", options=OPTIONS)
    return folder / "run"


def refused(images: Path | str, out: Path | str) -> str:
    with pytest.raises(SettingsError) as caught:
        ostensive.build("localized", images=images, out=out, options=OPTIONS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", OURS)
def test_a_folder_of_ours_is_known_by_what_its_mark_says(name: str, tmp_path: Path) -> None:
    text, kind = OURS[name]
    assert own_kind(tmp_path) is None
    (tmp_path / name).write_text(text)
    assert own_kind(tmp_path) == kind
    for other in THEIRS:
        (tmp_path / name).write_bytes(os.fsencode(other))
        assert own_kind(tmp_path) is None, other[:80]
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert own_kind(tmp_path) is None
    assert own_kind(tmp_path / "none") is None


@pytest.mark.parametrize(
    "names",
    [
        ("recipe.yaml",),
        ("recipe.yaml", "images/part-00000-0123456789abcdef.parquet"),
        ("run.json",),
        (".partial-mine",),
        (".partial-deadbeef-run.json",),
        ("deep/er/.partial-x",),
        (".gitignore",),
        (".lock", "journal.sqlite"),
        (".ostensive.json",),
    ],
)
def test_a_folder_with_anything_of_theirs_is_refused_and_left_as_it_is(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, mine = write_scenes(tmp_path / "photographs", 1), tmp_path / "mine"
    for name in names:
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_text("run_id: of mine")
    before = files_of(tmp_path)
    monkeypatch.chdir(mine)
    first = sorted(name for name in os.listdir(mine) if name != ".lock")[0]  # noqa: PTH208 - names alone
    for out in (mine, Path(), tmp_path / "mine" / ".." / "mine"):
        told = refused(images, out)
        assert f"holds other files ({first}, ...)" in told or "run.json is not of a run, or damaged" in told
    (tmp_path / "link").symlink_to(mine)
    refused(images, tmp_path / "link")
    (tmp_path / "link").unlink()
    assert files_of(tmp_path) == before


def test_a_recipe_in_the_way_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scenes(tmp_path / "images", 1)
    (tmp_path / "recipe.yaml").write_text("recipe: localized\n# mine\n")
    monkeypatch.chdir(tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(SettingsError, match=r"holds other files \(images, \.\.\.\)"):
        ostensive.build("recipe.yaml", images="images", out=".", options=OPTIONS)
    assert files_of(tmp_path) == before


def test_files_of_theirs_in_a_run_stay(run: Path, tmp_path: Path) -> None:
    theirs = [
        run / name for name in ("notes.txt", ".partial-x", "images/.partial-deadbeef-x", "corpus/.partial-corpus")
    ]
    for path in theirs:
        path.write_text("theirs")
    ostensive.build("localized", images=run.parent / "images", out=run, options=OPTIONS)
    for path in theirs:
        assert path.read_text() == "theirs"
        path.unlink()


def test_a_run_and_its_images_are_apart(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 1)
    (tmp_path / "link").symlink_to(images)
    (images / "deep").mkdir()
    (tmp_path / "deep").symlink_to(images / "deep")
    before = files_of(tmp_path)
    inside = "where its own files would be taken in as images; choose a folder beside it"
    for out in (images / "run", images / "deep" / "er" / "run", tmp_path / "link" / "run", tmp_path / "deep" / "run"):
        for given in (images, tmp_path / "link"):
            assert refused(given, out) == f"--out {out}: lies inside --images {given}, {inside}"
    (images / "empty").mkdir()
    assert refused(images / "empty", images / "empty").endswith(f"is the folder of --images, {inside}")
    assert "lies inside --images" in refused(tmp_path, tmp_path / "run")
    assert files_of(tmp_path) == before
    check_apart(images, tmp_path / "images-run")
    check_apart(images / "scene-0.png", images / "run")


def test_nothing_in_a_run_is_given_to_it_as_images(run: Path, tmp_path: Path) -> None:
    (shard,) = (run / "corpus" / "shards").glob("*.tar")
    (tmp_path / "link").symlink_to(run / "corpus")
    before = files_of(run)
    for images in (run / "corpus", run / "images", shard, tmp_path / "link" / "shards"):
        assert f"--images {images}: lies inside --out {run}" in refused(images, run)
    listed = tmp_path / "list.txt"
    (tmp_path / "shard.tar").symlink_to(shard)
    for name in (str(shard), "link/shards/" + shard.name, "shard.tar"):
        listed.write_text(f"{run.parent / 'images' / 'scene-0.png'}\n{name}\n")
        assert f"is a file of --out {run} itself" in refused(listed, run), name
    assert files_of(run) == before
    check_none_inside([f"{run}-2/x.png"], run)


def test_a_run_is_not_a_folder_of_images(run: Path, tmp_path: Path) -> None:
    told = "is the folder of a run, not of images; give the images that it was made from"
    assert told in refused(run, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", OURS)
def test_what_we_made_among_images_is_one_refused_row(name: str, run: Path, tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 1)
    before = [item.key for item in list_items(images, IntakeSettings())]
    ours = images / "deep" / "ours"
    (ours / "shards").mkdir(parents=True)
    (ours / name).write_text(OURS[name][0])
    for shard in (run / "corpus" / "shards").iterdir():
        (ours / "shards" / shard.name).write_bytes(shard.read_bytes())
    (ours / "picture.png").write_bytes((images / before[0]).read_bytes())
    found = list_items(images, IntakeSettings())
    assert [item.key for item in found if item.problem is None] == before
    assert [(item.key, item.problem, item.detail) for item in found if item.problem] == [
        ("deep/ours", OWN_FOLDER, OURS[name][1])
    ]
    (ours / name).write_text("{}")
    assert len([item for item in list_items(images, IntakeSettings()) if item.problem is None]) == 2


def test_a_corpus_given_by_itself_is_a_data_set(run: Path) -> None:
    """A corpus that came from elsewhere is one as any other."""
    items = list_items(run / "corpus" / "shards", IntakeSettings())
    assert [item.problem for item in items] == [None]


def test_a_folder_is_claimed_once(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "critic"
    claim_folder(folder, CRITIC)
    (folder / "more").write_text("x")
    claim_folder(folder, CRITIC)
    assert own_kind(folder) == CRITIC
    with pytest.raises(SettingsError, match="holds other files"):
        claim_folder(folder, "export")
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / temporary_name(RUN_MARK)).write_text("{")
    (tmp_path / "killed" / ".lock").touch()
    check_folder_for(tmp_path / "killed", RUN, RUN_MARK)
    with pytest.raises(SettingsError, match="holds other files"):
        check_folder_for(tmp_path / "killed", CRITIC)
