"""Training on rows that are drawn each time: what TRL is given, what changes with the epoch, and going on."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any  # Any: parts of transformers, TRL and datasets

import datasets
import pytest
from drawn_corpus import written_corpus
from tiny_models import one_thread  # noqa: F401 - a fixture

from builders.localized.recipe import KIND, dialogue
from builders.table import recipe_kind
from cards.reading import Corpus
from ostensive.errors import Interrupted, SettingsError
from ostensive.recipe_kind import Preference
from ostensive.records import Turn
from students.exporting import UNUSABLE, export
from students.training.augmented import AugmentedRows, augmented_rows
from students.training.settings import StudentSettings
from students.training.student import train_student

BASE = "microworld:vlm-base"
pytestmark = pytest.mark.usefixtures("one_thread")


def settings_of(**values: Any) -> StudentSettings:
    small = {"base": BASE, "device": "cpu", "lora": {"rank": 4, "alpha": 8, "dropout": 0.0}, "learning_rate": 1e-3}
    return StudentSettings.model_validate({**small, "batch_size": 4, "regions": "augmented", **values})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return written_corpus(tmp_path_factory.mktemp("corpus"), 6)


@pytest.fixture
def rows(corpus: Corpus) -> AugmentedRows:
    return augmented_rows(corpus, KIND, "prompt-completion", settings_of())


def texts_of(row: dict[str, Any]) -> list[str]:
    return [
        part["text"]
        for message in (*row["prompt"], *row["completion"])
        for part in message["content"]
        if part["type"] == "text"
    ]


def test_the_table_is_drawn_anew_in_each_epoch_and_the_same_within_one(corpus: Corpus, rows: AugmentedRows) -> None:
    table = rows.dataset
    assert len(table) == rows.exported.rows["train"] == 2 * corpus.row_count
    assert rows.exported.lost == {}
    first = [table[place] for place in range(len(table))]
    assert first[0].keys() == {"prompt", "completion", "images", "row_id", "image_id"}
    again = table.select(range(4, 8))  # a copy, as the trainer makes them
    for place in range(4):
        assert again[place]["images"][0].tobytes() == first[4 + place]["images"][0].tobytes()
        assert texts_of(again[place]) == texts_of(first[4 + place])
    (callback,) = rows.callbacks()

    class State:
        epoch = 0.9999999999

    callback.on_epoch_begin(None, State(), None)
    later = [again[place] for place in range(4)]
    assert any(texts_of(one) != texts_of(other) for one, other in zip(later, first[4:], strict=False))
    assert any(
        one["images"][0].tobytes() != other["images"][0].tobytes() for one, other in zip(later, first[4:], strict=False)
    )
    assert [one["row_id"] for one in later] == [one["row_id"] for one in first[4:8]]


@pytest.mark.slow
def test_a_training_with_drawn_rows_goes_on_as_if_it_had_not_been_stopped(corpus: Corpus, tmp_path: Path) -> None:
    """Stopped in its second epoch, of which the draws differ from those of the first."""
    steps_an_epoch = 2 * corpus.row_count // 4
    settings = settings_of(max_steps=14)
    stop = threading.Event()

    def stop_in_the_second(line: str) -> None:
        if line.startswith("step 10 "):
            stop.set()

    def train(name: str, **more: Any) -> Any:
        return train_student(corpus, KIND, settings, tmp_path / name, **more)

    with pytest.raises(Interrupted):
        train("stopped", stop=stop, tell=stop_in_the_second)
    checkpoints = sorted((tmp_path / "stopped" / "checkpoints").glob("checkpoint-*"))
    assert int(checkpoints[-1].name.rpartition("-")[2]) > steps_an_epoch
    resumed, straight = train("stopped"), train("straight")
    assert resumed == straight
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("stopped", "straight")]
    assert weights[0] == weights[1]
    assert not (tmp_path / "straight" / "rows").exists(), "no picture is written"


def test_pairs_are_drawn_for_preference_training(corpus: Corpus) -> None:
    kind = replace(KIND, preference=preference_of)
    rows = augmented_rows(corpus, kind, "preference", settings_of(objective="dpo")).dataset
    assert len(rows) == corpus.row_count
    row = rows[0]
    assert row["prompt"][0]["content"][0] == {"type": "image"}
    assert row["chosen"][0]["content"][0]["text"] != row["rejected"][0]["content"][0]["text"]


def preference_of(candidate: Any) -> Preference:
    return Preference(candidate.question, candidate.answer, candidate.rationale)


def test_rows_of_other_sources_stand_behind_those_that_are_drawn(corpus: Corpus, tmp_path: Path) -> None:
    exported = tmp_path / "rows"
    export(corpus, KIND, "prompt-completion", exported, regions="none")
    others = datasets.Dataset.from_parquet([*map(str, (exported / "data").glob("*.parquet"))]).select(range(3))
    made = augmented_rows(corpus, KIND, "prompt-completion", settings_of(), others=others, has_kinds=True)
    table, own = made.dataset, 2 * corpus.row_count
    assert len(table) == own + 3
    assert [row["row_id"] for row in table.select([own, own + 2])] == [others[0]["row_id"], others[2]["row_id"]]
    mixed = table[own - 1 : own + 1]
    assert mixed["row_id"][1] == others[0]["row_id"]
    assert texts_of(table[own + 1]) == texts_of(others[1])
    assert table["is_rationale"][:] == [*[False, True] * corpus.row_count, False, False, False]
    assert (
        list(made.are_rationales) == [any(one["role"] == "assistant" for one in row["prompt"]) for row in table][:own]
    )


def test_rationales_that_are_drawn_have_a_loss_of_their_own(corpus: Corpus, tmp_path: Path) -> None:
    settings = settings_of(rationale_loss={"weight": 2.0, "replay": 0.0}, max_steps=2)
    student = train_student(corpus, KIND, settings, tmp_path / "student")
    assert (student.rows, student.explanation_weight) == (2 * corpus.row_count, 2.0)


def test_a_row_that_cannot_be_trained_on_is_counted(corpus: Corpus) -> None:
    kind = replace(KIND, dialogue=dialogue_with_a_slot)
    found = augmented_rows(corpus, kind, "prompt-completion", settings_of()).exported
    assert found.lost == {UNUSABLE: 1}
    assert found.details == ("000-0: turn 1, of user holds the image placeholder <image>; take it out",)
    assert found.rows == {"train": 2 * (corpus.row_count - 1)}


def dialogue_with_a_slot(candidate: Any) -> tuple[Turn, ...]:
    first, *others = dialogue(candidate)
    return (replace(first, text="<image>"), *others) if candidate.row_id == "000-0" else (first, *others)


def test_settings_that_do_not_fit_are_one_line(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="augmentation: is of no use without regions=augmented"):
        settings_of(regions="all", augmentation={"flip": 0.0})
    kind = recipe_kind("rationales")
    with pytest.raises(SettingsError, match=r"^regions: nothing is drawn on pictures of rationales; leave it out$"):
        train_student(corpus, kind, settings_of(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
