"""The oracle in the place of people: what it says becomes labels, as theirs does."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ostensive
from critics.annotation.foreign import ForeignJudgement
from critics.annotation.stock import AnnotateOptions
from critics.annotation.store import STORE_NAME, AnnotationStore
from critics.labels import read_labels
from microworld.annotate import TASK, annotate_run, ratings_of
from microworld.findings import Finding
from microworld.folder import write_scenes
from microworld.grade import grade_run
from microworld.oracle import QarFinding
from ostensive.cli import app
from ostensive.errors import SettingsError

SETTINGS = (
    "corpus.license=cc0-1.0",
    "corpus.source=rendered",
    "corpus.intended_use=to test",
    "localized.modes=[ids]",
    "critics=[{kind: rules}, {kind: evidence}]",
)
TRUE, FALSE = (Finding("true"), Finding("false"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    images, run = (tmp_path_factory.mktemp(name) / name for name in ("images", "run"))
    write_scenes(images, 6, first_seed=50)
    settings = (*SETTINGS, "teacher.error_rate=0.6")
    ostensive.build("localized", images=images, out=run, options=ostensive.BuildOptions(settings=settings))
    return images, run


@pytest.fixture(autouse=True)
def _nothing_judged(built: tuple[Path, Path]) -> None:
    (built[1] / STORE_NAME).unlink(missing_ok=True)


def annotators_of(run: Path) -> set[str]:
    with AnnotationStore(run / STORE_NAME) as store:
        return {one.annotator for one in store.standing(TASK)}


def test_without_noise_labels_are_what_the_oracle_says(built: tuple[Path, Path]) -> None:
    images, run = built
    done = CliRunner().invoke(
        app, ["microworld", "annotate", str(run), "--images", str(images), "--noise", "0", "--json"]
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    labels = read_labels(run / "annotations" / "labels.parquet")
    graded = grade_run(run, images=images).kept
    assert said["judged"] == len(labels) > 20
    assert said["accepted"] == sum(label.accepted for label in labels)
    assert 0 < said["accepted"] < said["judged"], "the teacher was told to err"
    assert graded.whole.true <= said["accepted"]
    assert annotators_of(run) == {"oracle 1", "oracle 2"}
    again = annotate_run(run, images=images, noise=0)
    assert (again.judged, again.accepted, again.undecided) == (said["judged"], said["accepted"], said["undecided"])


def test_a_threshold_can_be_looked_at(built: tuple[Path, Path]) -> None:
    images, run = built
    annotate_run(run, images=images)
    done = CliRunner().invoke(
        app, ["critic", "threshold", str(run), "--critic", "evidence", "--keep", "0.5", "--quiet"]
    )
    assert done.exit_code == 0, done.output
    assert "precision" in done.output


def test_a_sample_is_judged_in_part(built: tuple[Path, Path]) -> None:
    images, run = built
    said = annotate_run(run, images=images, annotators=3, options=AnnotateOptions(task=TASK, images=2, per_image=3))
    assert said.judged + said.undecided <= 6
    labels = read_labels(run / "annotations" / "labels.parquet")
    assert len({label.image_id for label in labels}) <= 2
    assert annotators_of(run) == {"oracle 1", "oracle 2", "oracle 3"}


def test_people_and_the_oracle_are_not_mixed(built: tuple[Path, Path]) -> None:
    images, run = built
    annotate_run(run, images=images)
    with AnnotationStore(run / STORE_NAME) as store:
        item = store.items("triple")[0]
        said = {"qa": "accept", "rationale": "accept"}
        store.record_imported([ForeignJudgement(item, store.enter_annotator("ada"), said)], "test")
    with pytest.raises(SettingsError, match="ada judged triples of this run; let the oracle judge another run"):
        annotate_run(run, images=images)


def test_other_scenes_are_refused(built: tuple[Path, Path], tmp_path: Path) -> None:
    write_scenes(tmp_path / "other", 2, first_seed=900)
    with pytest.raises(SettingsError, match="give the folder that the run was built from"):
        annotate_run(built[1], images=tmp_path / "other")


def test_annotators_err_as_often_as_they_are_told() -> None:
    right, wrong = QarFinding(TRUE, TRUE), QarFinding(FALSE, TRUE)
    said = [ratings_of(right, str(row), "one", noise=0.1)["qa"] for row in range(4000)]
    assert 0.08 < said.count("reject") / len(said) < 0.12
    assert 0.16 < said.count("maybe") / len(said) < 0.2  # a fifth of what is not rejected
    said_of_wrong = [ratings_of(wrong, str(row), "one", noise=0.1) for row in range(4000)]
    assert 0.88 < sum(one["qa"] == "reject" for one in said_of_wrong) / 4000 < 0.92
    assert all(one["rationale"] == "reject" for one in said_of_wrong if one["qa"] == "reject")
    assert ratings_of(right, "7", "one", noise=0.5) == ratings_of(right, "7", "one", noise=0.5)
    assert said != [ratings_of(right, str(row), "two", noise=0.1)["qa"] for row in range(4000)]
