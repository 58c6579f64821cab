"""Folders of scenes, what they are known by, and the commands that render and grade them."""

import json
from pathlib import Path

import PIL.Image
import pytest
from installed_recipe import captions_installed
from typer.testing import CliRunner

import ostensive
from microworld.folder import TRUTH_NAME, read_truth, write_scenes
from microworld.grade import grade_lines, grade_run
from microworld.sample import sample_scene
from ostensive.cli import app
from ostensive.errors import SettingsError
from ostensive.images.decode import MICROWORLD_MARK
from ostensive.run.folder import RunFolder

__all__ = ["captions_installed"]

SETTINGS = ("corpus.license=cc0-1.0", "corpus.source=rendered", "corpus.intended_use=to test")


def test_the_truth_is_read_back_as_it_was_drawn(tmp_path: Path) -> None:
    made = write_scenes(tmp_path / "a", 5, first_seed=7)
    assert read_truth(tmp_path / "a") == {line.image_id: sample_scene(seed) for seed, line in enumerate(made, start=7)}
    write_scenes(tmp_path / "b", 5, first_seed=7)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), "same seeds, same bytes"
    with PIL.Image.open(tmp_path / "a" / made[0].file) as image:
        assert MICROWORLD_MARK in image.info
        assert image.size == (64, 64)


def test_a_truth_is_never_written_over(tmp_path: Path) -> None:
    write_scenes(tmp_path, 1)
    with pytest.raises(SettingsError, match=r"truth\.jsonl is there already; choose another folder"):
        write_scenes(tmp_path, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"there is no such file; a folder that `ostensive microworld render` wrote is expected"),
        ("{", r"truth\.jsonl:1: no scene of the microworld: the line: Invalid JSON"),
        (
            '{"file": "a.png", "image_id": "0", "scene": {"seed": 1, "place": "sea", "things": []}}',
            r"scene\.place: Inp",
        ),
        ('{"file": "a.png"}', r":1: no scene of the microworld: image_id: Field required"),
    ],
)
def test_a_truth_that_is_none(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / TRUTH_NAME).write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_truth(tmp_path)


@pytest.mark.slow
def test_scenes_are_rendered_built_and_graded(tmp_path: Path) -> None:
    """As a user does it: the filters must not lower the share of what is true."""
    images, run = tmp_path / "images", tmp_path / "run"
    done = CliRunner().invoke(app, ["microworld", "render", str(images), "--count", "6", "--first-seed", "50"])
    assert (done.exit_code, done.output.split(" in ")[0]) == (0, "6 scenes")
    options = ostensive.BuildOptions(settings=(*SETTINGS, "teacher.error_rate=0.3"))
    corpus = ostensive.build("localized", images=images, out=run, options=options)
    stages = {stage.name: stage for stage in corpus.stages}
    assert (stages["images"].kept, sum(stages["images"].failed.values())) == (6, 0), "the truth is taken for no image"
    grades = grade_run(run, images=images)
    assert grades.candidates.rows == stages["candidates"].kept
    assert grades.kept.rows == corpus.row_count
    assert grades.kept.without_truth == 0
    assert grades.candidates.whole.false > 0, "the teacher was told to err"
    assert grades.candidates.whole.true > 20
    assert sum(one.count for one in grades.kept.whole.reasons) + grades.kept.whole.true == grades.kept.rows
    lines = list(grade_lines(grades))
    assert lines[0] == f"candidates: {grades.candidates.rows:,} judged"
    shown = CliRunner().invoke(app, ["microworld", "grade", str(run), "--images", str(images), "--json"])
    assert json.loads(shown.output)["kept"]["rows"] == corpus.row_count
    other = tmp_path / "other"
    write_scenes(other, 1, first_seed=999)
    assert grade_run(run, images=other).kept.without_truth == corpus.row_count


@pytest.mark.usefixtures("captions_installed")
def test_what_cannot_be_graded(tmp_path: Path) -> None:
    images, run = tmp_path / "images", RunFolder(tmp_path / "run")
    write_scenes(images, 1)
    with pytest.raises(SettingsError, match="there is no run here"):
        grade_run(run.path, images=images)
    run.path.mkdir()
    run.write_state(status="running")
    run.recipe_path.write_text("recipe: localized\n")
    with pytest.raises(SettingsError, match="no candidate of this run is judged yet"):
        grade_run(run.path, images=images)
    run.recipe_path.write_text("recipe: captions\n")
    with pytest.raises(SettingsError, match="a run of captions; the oracle grades triples of the recipe localized"):
        grade_run(run.path, images=images)
