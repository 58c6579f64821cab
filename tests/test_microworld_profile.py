"""The profile `microworld`: models by name, what they know, and the images that they are not for."""

import json
import shutil
from pathlib import Path

import PIL.Image
import pytest
from typer.testing import CliRunner

import ostensive
from microworld.folder import read_truth, write_scenes
from microworld.oracle import judge_probe
from ostensive.cli import app
from ostensive.errors import SettingsError
from ostensive.models.files import located, model_version
from ostensive.records import Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder

SETTINGS = [
    "corpus.license=cc0-1.0",
    "corpus.source=rendered",
    "corpus.intended_use=to test",
    "verbalize.narratives.draw.temperature=0",
]
NAMES = ["microworld:blip2", "microworld:clip", "microworld:teacher", "microworld:vlm", "microworld:vlm-base"]


def options(*settings: str) -> ostensive.BuildOptions:
    return ostensive.BuildOptions(profile="microworld", settings=(*SETTINGS, *settings))


# Models by name


def test_the_models_are_small_and_say_what_they_are() -> None:
    folders = [Path(located(name)) for name in NAMES]
    assert sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file()) <= 24e6
    for name, folder in zip(NAMES, folders, strict=True):
        assert "knows nothing but one small rendered world" in " ".join((folder / "README.md").read_text().split())
        assert json.loads((folder / "training.json").read_text())["seed"] == 0
        assert not [file for file in folder.iterdir() if file.suffix in {".bin", ".pt", ".pth", ".pkl"}]
        assert model_version(name).startswith("sha256:")


def test_a_model_that_does_not_come_with_the_package() -> None:
    with pytest.raises(SettingsError) as caught:
        located("microworld:nose")
    assert str(caught.value) == f"microworld:nose: no such model comes with this package; there are {', '.join(NAMES)}"
    assert located("org/model") == "org/model"


def test_doctor_finds_them() -> None:
    done = CliRunner().invoke(app, ["doctor", "localized", "--profile", "microworld", "--json"])
    assert done.exit_code == 0, done.output
    found = {model["name"] for model in json.loads(done.stdout)["needs"]}
    assert {"microworld:vlm", "microworld:clip"} <= found


# A run


@pytest.mark.slow
def test_scenes_are_put_into_words_that_are_mostly_true(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", 10, first_seed=900)
    corpus = ostensive.build(
        "localized", images=tmp_path / "scenes", out=tmp_path / "run", options=options("localized.turns=1")
    )
    assert next(iter(corpus.rows()))
    truth = read_truth(tmp_path / "scenes")
    texts = [
        text
        for path in RunFolder(tmp_path / "run").partition_paths("verbalized")
        for text in partitions.read_kept(path, Verbalization)
    ]
    assert len(texts) == 10
    places = sum(truth[text.image_id].place in text.concepts[0] for text in texts)
    answered = [
        judge_probe(probe.question, probe.answer, truth[text.image_id]) for text in texts for probe in text.probes
    ]
    assert places == 10, "the likeliest two of five places hold the right one"
    assert len(answered) == 70
    assert sum(finding.is_true for finding in answered) > 0.8 * len(answered)
    assert all(text.narratives and all(region.caption for region in text.regions) for text in texts)
    for text in texts:
        assert text.probes[0].question == "what place is this ?"
        assert truth[text.image_id].place in text.probes[0].answer


# Images that the models are not for


def photograph(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.effect_noise((80, 80), 60).convert("RGB").save(path)
    return path


def test_other_images_are_refused_before_any_work(tmp_path: Path) -> None:
    photograph(tmp_path / "photos" / "a.png")
    with pytest.raises(SettingsError) as caught:
        ostensive.build("localized", images=tmp_path / "photos", out=tmp_path / "run", options=options())
    assert str(caught.value) == (
        "images: none of the first 1 is of the microworld, and the models of this recipe know nothing else; make some"
        " with `ostensive microworld render FOLDER`, choose another --profile, or take any images with --set"
        " intake.world=any"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_other_images_among_scenes_are_dropped_and_counted(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", 2)
    photograph(tmp_path / "scenes" / "z.png")
    few = ("localized.turns=1", "verbalize.narratives.count=1", "verbalize.probes.count=1")
    corpus = ostensive.build("localized", images=tmp_path / "scenes", out=tmp_path / "run", options=options(*few))
    assert corpus.stages[0].dropped == {"not of the microworld": 1}
    assert corpus.stages[0].kept == 2
    shutil.rmtree(tmp_path / "run")
    taken = ostensive.build(
        "localized",
        images=tmp_path / "scenes",
        out=tmp_path / "run",
        options=options(*few, "intake.world=any"),
    )
    assert taken.stages[0].kept == 3
