"""Later rounds of `explanations`: concepts are taken over, of several answers the best is kept, nothing is lost."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from annotated_images import write_rows
from drawing import write_scenes
from opened_verbalizers import journaled_services

import ostensive
from builders.explanations.answering import LABEL_MISSING, NOT_BEST, AnswerStage
from builders.explanations.choosing import AnswerChooser, Choice
from builders.explanations.records import Selected
from builders.explanations.settings import ExplanationsSettings
from builders.explanations.taking_over import NOT_BEFORE, OTHER_LABEL, TakeOverStage
from builders.rounds import RoundSettings
from ostensive.chat.records import Message
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.records import Annotation, ImageRecord
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.stage import Dropped, ImageEvidence, Kept

CONCEPTS = {
    "robin": ["red breast", "thin dark bill", "round body"],
    "737-700": ["two engines under the wings", "short tail", "pointed nose"],
}
LABELS = ("robin", "737-700", "robin")
QUERIES, SAMPLES = 2, 3


def build(folder: Path, number: int) -> Path:
    """Carries out the round of that number after the one before it, with other words of the teacher each time."""
    out, parent = folder / str(number), folder / str(number - 1) if number else None
    settings = [
        "corpus.license=cc0-1.0",
        "corpus.source=drawn by a test",
        "corpus.intended_use=to test",
        f"explanations.concepts={folder / 'concepts.json'}",
        "explanations.draws=1",
        f"explanations.queries={QUERIES}",
        "teacher.error_rate=0.3",
        f"seed={number}",
    ]
    options = ostensive.BuildOptions(settings=settings, parent=parent, annotations=folder / "labels.jsonl")
    ostensive.build("explanations", images=folder / "images", out=out, options=options)
    return out


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rounds about three drawn scenes; the labels are made up."""
    folder = tmp_path_factory.mktemp("rounds")
    write_scenes(folder / "images", len(LABELS))
    write_rows(
        folder / "labels.jsonl",
        [{"file_name": f"scene {place:04d}.jpg", "label": label} for place, label in enumerate(LABELS)],
    )
    (folder / "concepts.json").write_text(json.dumps(CONCEPTS), "utf-8")
    for number in range(3):
        build(folder, number)
    return folder


def corpus_rows(run: Path) -> dict[str, Mapping[str, Any]]:
    return {row["row_id"]: row for row in ostensive.open_corpus(run).rows()}


def selected_of(run: Path) -> list[Selected]:
    paths = RunFolder(run).paths_of(Selected)
    return [row for path in paths for row in partitions.read_kept(path, Selected)]


def images_of(run: Path) -> list[ImageRecord]:
    paths = RunFolder(run).paths_of(ImageRecord)
    return [row for path in paths for row in partitions.read_kept(path, ImageRecord)]


def test_concepts_are_taken_over_and_nothing_is_described_again(rounds: Path) -> None:
    assert "described" in RunFolder(rounds / "0").stage_names()
    assert "described" not in RunFolder(rounds / "1").stage_names()
    first, second, third = (selected_of(rounds / str(number)) for number in range(3))
    assert first == second == third
    assert len(first) == len(LABELS)


def test_every_round_holds_all_that_fitted_before_and_nothing_twice(rounds: Path) -> None:
    found = [corpus_rows(rounds / str(number)) for number in range(3)]
    for before, now in pairwise(found):
        assert before.keys() < now.keys(), "it grows, and nothing goes"
        assert all(now[row_id]["answer"] == row["answer"] for row_id, row in before.items())
        texts = [(row["image_id"], row["query"], row["answer"]) for row in now.values()]
        assert len(set(texts)) == len(texts)
    assert {row["round"] for row in found[2].values()} == {0, 1, 2}
    assert "simple" not in {
        row["query_kind"] for row in found[2].values() if row["round"] and row["way"] == "explained"
    }


def test_every_answer_is_accounted_for(rounds: Path) -> None:
    before, now = (RunFolder(rounds / number).summary("candidates") for number in ("0", "1"))
    kept_before = len(corpus_rows(rounds / "0"))
    assert now.rows == kept_before + len(LABELS) * QUERIES * SAMPLES
    assert now.rows == now.kept + sum(now.dropped.values()) + sum(now.failed.values())
    assert now.dropped[NOT_BEST] > 0
    assert now.kept == kept_before + len(LABELS) * QUERIES, "one answer to a question"
    assert now.spend.requests == len(LABELS) * QUERIES * SAMPLES
    assert before.spend.requests == len(LABELS) * QUERIES


@contextmanager
def answering(rounds: Path, folder: Path, script: Script, **values: object) -> Iterator[AnswerStage]:
    settings = ExplanationsSettings.model_validate(
        {"concepts": str(rounds / "concepts.json"), "queries": QUERIES, **values}
    )
    stage = AnswerStage(
        settings,
        teacher=ScriptedTeacherSettings(),
        script=script,
        seed=0,
        rounds=RoundSettings(parent=str(rounds / "0"), number=1),
    )
    with journaled_services(folder / "journal.sqlite") as services, stage.opened(services):
        yield stage


def outcome_of(rounds: Path, folder: Path, replies: list[str], **values: object) -> Any:
    """What becomes of a robin of which nothing was kept before, answered with `replies` again and again."""
    said = iter(replies * QUERIES)

    def script(_messages: Sequence[Message], _seed: int) -> str:
        return next(said)

    image = next(one for one in images_of(rounds / "0"))
    stranger = Selected("0" * 64, "robin", tuple(CONCEPTS["robin"]), (0.0, 0.0, 0.0))
    with answering(rounds, folder, script, **values) as stage:
        (outcome,) = stage.process([stranger], {stranger.image_id: ImageEvidence(renamed(image, stranger.image_id))})
    return outcome


def renamed(image: ImageRecord, image_id: str) -> ImageRecord:
    return replace(image, image_id=image_id)


BEST = "A robin, because it has a red breast and a thin dark bill on a round body."
WORSE = "A robin, because of two engines under the wings and a short tail."


@pytest.mark.parametrize("place", range(SAMPLES))
def test_the_answer_that_fits_the_concepts_of_the_image_is_kept(rounds: Path, tmp_path: Path, place: int) -> None:
    replies = [WORSE, "A robin, as anybody can tell."]
    replies.insert(place, BEST)
    outcome = outcome_of(rounds, tmp_path, replies)
    assert [record.answer for record in outcome.records] == [BEST] * QUERIES
    assert [(loss.reason, loss.record.answer) for loss in outcome.losses] == [
        (NOT_BEST, answer) for answer in replies if answer != BEST
    ] * QUERIES


def test_an_answer_without_the_label_cannot_win(rounds: Path, tmp_path: Path) -> None:
    unnamed = BEST.replace("A robin", "A bird")
    outcome = outcome_of(rounds, tmp_path, [unnamed, WORSE, unnamed])
    assert [record.answer for record in outcome.records] == [WORSE] * QUERIES
    assert Counter(loss.reason for loss in outcome.losses) == {LABEL_MISSING: 2 * QUERIES}


def test_where_no_answer_has_the_label_one_plain_pair_stands_for_all(rounds: Path, tmp_path: Path) -> None:
    outcome = outcome_of(rounds, tmp_path, ["A bird."] * SAMPLES)
    assert [(one.way, one.answer, one.query_kind) for one in outcome.records] == [
        ("label only", "The answer is robin.", "simple")
    ] * QUERIES
    assert Counter(loss.reason for loss in outcome.losses) == {LABEL_MISSING: 2 * QUERIES}
    (tmp_path / "dropped").mkdir()
    dropped = outcome_of(rounds, tmp_path / "dropped", ["A bird."] * SAMPLES, fallback=False)
    assert dropped.records == ()
    assert Counter(loss.reason for loss in dropped.losses) == {LABEL_MISSING: SAMPLES * QUERIES}


def test_concepts_that_the_list_has_no_more_are_compared_all_the_same(rounds: Path) -> None:
    chooser = AnswerChooser(ExplanationsSettings(concepts=str(rounds / "concepts.json")))
    with chooser.opened() as opened:
        found = opened.best(
            [
                Choice(("a long blue tail",), ("It has a red breast.", "It has a long tail that is blue.")),
                Choice(("red breast",), ("It has a red breast.", "It has a short tail.", "Its breast is red.")),
                Choice(("red breast",), ("Nothing.",)),
            ]
        )
    assert found[0] == 1
    assert found[1] in (0, 2)
    assert found[2] == 0


def test_an_image_that_was_not_there_before_or_has_another_label_now_stays_out(rounds: Path) -> None:
    stage = TakeOverStage(RoundSettings(parent=str(rounds / "0"), number=1))
    first, *_ = selected_of(rounds / "0")
    known = next(one for one in images_of(rounds / "0") if one.image_id == first.image_id)
    stranger = renamed(known, "f" * 64)

    def evidence(label: str) -> dict[str, ImageEvidence]:
        return {
            one.image_id: ImageEvidence(one, None, (Annotation("a", one.image_id, label=label),))
            for one in (known, stranger)
        }

    with stage.opened(None):  # type: ignore[arg-type]  # it takes nothing of them
        kept, lost = stage.process([known, stranger], evidence(first.label.upper()))
        (other,) = stage.process([known], evidence("wren"))
    assert isinstance(kept, Kept)
    assert isinstance(lost, Dropped)
    assert isinstance(other, Dropped)
    assert kept.records == (first,)
    assert lost.reason == NOT_BEFORE
    assert (other.reason, other.detail) == (OTHER_LABEL, f"wren, before {first.label}")
