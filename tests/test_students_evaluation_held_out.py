"""The loss of rows that were held out of training, on a corpus that was built here."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import write_scenes
from tiny_models import one_thread  # noqa: F401 - a fixture

import ostensive
from builders.table import recipe_kind
from cards.reading import open_corpus
from ostensive.commands.evaluation import evaluate
from ostensive.errors import SettingsError
from ostensive.records import Turn
from students.evaluation.held_out import CorpusPictures, read_held_out
from students.evaluation.reading import ReadOptions
from students.evaluation.results import read_lines
from students.reading import read_images

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]  # it builds a corpus
KIND = recipe_kind("localized")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_scenes(folder / "images", 4)
    settings = [
        "corpus.license=cc0-1.0",
        "corpus.source=drawn by a test",
        "corpus.intended_use=to test",
        "localized.turns=1",
        "dedupe.max_distance=0",
    ]
    settings.append("corpus.splits={train: 0.5, test: 0.5}")
    ostensive.build(
        "localized", images=folder / "images", out=folder / "run", options=ostensive.BuildOptions(settings=settings)
    )
    return folder / "run"


def test_items_are_what_the_assistant_says_in_the_split(run: Path) -> None:
    corpus = open_corpus(run)
    images = list(read_images(corpus, KIND))
    rows = {split: sum(len(image.rows) for image in images if image.split == split) for split in ("train", "test")}
    assert min(rows.values()) > 0
    read = read_held_out(corpus, KIND, ReadOptions())
    assert (read.rows, read.passed_over, len(read.items)) == (rows["test"], rows["train"], 2 * rows["test"])
    answer, rationale = read.items[:2]
    said = (Turn("assistant", answer.choices[0]), Turn("user", "Why?"))
    assert rationale.question.turns == (*answer.question.turns, *said)
    pictures = CorpusPictures(corpus, KIND)
    drawn = [pictures.picture(item.question) for item in read.items]
    plain = [CorpusPictures(corpus, KIND).picture(item.question) for item in read_plain(run)]
    assert any(np.asarray(one).tolist() != np.asarray(two).tolist() for one, two in zip(drawn, plain, strict=True))


def read_plain(run: Path) -> Any:
    return read_held_out(open_corpus(run), KIND, ReadOptions(regions="none")).items


def test_the_loss_is_the_mean_over_all_tokens(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "loss.jsonl"
    settings = {"device": "cpu", "dtype": "float32", "batch_size": 4, "limit": 6}
    summary = evaluate("microworld:vlm-base", run, out, task_format="corpus", settings=settings)
    lines = read_lines(out)
    (figure,) = summary["figures"]
    tokens = sum(line["tokens"][0] for line in lines)
    assert figure["value"] == pytest.approx(-sum(line["log_likelihoods"][0] for line in lines) / tokens)
    assert 0 < figure["value"] < 3 * math.log(500)
    assert (figure["name"], figure["items"]) == ("loss", 6)
    with pytest.raises(SettingsError, match=r"^microworld:clip: has no likelihoods"):
        evaluate("microworld:clip", run, tmp_path / "o.jsonl", task_format="corpus", settings=settings)


def test_a_split_that_is_not_there_is_one_line(run: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--split val: .* has no row in it; build with --set corpus.splits"):
        read_held_out(open_corpus(run), KIND, ReadOptions(split="val"))
    with pytest.raises(SettingsError, match=r"^--format corpus: rows of preferences are no conversations"):
        read_held_out(open_corpus(run), recipe_kind("preferences"), ReadOptions())
