"""Judgements as Parquet, and the labels that follow from them."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from annotated_run import candidate, triple_item
from critic_context import CAPTIONS, caption

from critics.annotation.export import AnswerRow, answer_rows, export, label_judgements, labels_path, run_labels
from critics.annotation.items import Item, candidate_item
from critics.annotation.store import STORE_NAME, AnnotationStore
from critics.annotation.tasks import TASKS
from critics.labels import CriterionTarget, Draw, Label, read_labels
from ostensive.errors import SettingsError
from ostensive.recipe_kind import ShownText
from ostensive.run.agreements import FILE_NAME, read_agreements
from ostensive.run.folder import RunFolder

IMAGE = "ab" * 32
DRAW = Draw("doubt", held_out=True, round_number=2)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def store(run: RunFolder) -> Iterator[AnnotationStore]:
    with AnnotationStore(run.path / STORE_NAME, clock=lambda: 1_700_000_000.25) as store:
        items = [triple_item(candidate(IMAGE, number)) for number in range(3)]
        store.add_items([replace(item, draw=DRAW) for item in items])
        yield store


def judge(store: AnnotationStore, annotator: str, *pairs: tuple[str, str]) -> None:
    for qa, rationale in pairs:
        item = store.next_item("triple", annotator, 2)
        assert item is not None
        store.record("triple", item.item_id, annotator, {"qa": qa, "rationale": rationale})


def test_one_row_an_answer(run: RunFolder, store: AnnotationStore) -> None:
    judge(store, "Ada", ("accept", "maybe"))
    first = store.items("triple")[0]
    common = {"annotator": "Ada", "swapped": False, "source": "page", "judged_at": "2023-11-14T22:13:20.250+00:00"}
    common |= asdict(DRAW)
    assert list(answer_rows(store.standing("triple"))) == [
        AnswerRow("triple", first.item_id, IMAGE, question="qa", answer="accept", **common),  # type: ignore[arg-type] # of one dict
        AnswerRow("triple", first.item_id, IMAGE, question="rationale", answer="maybe", **common),  # type: ignore[arg-type] # likewise
    ]


def test_labels_follow_from_what_stands(run: RunFolder, store: AnnotationStore) -> None:
    judge(store, "Ada", ("accept", "accept"), ("accept", "maybe"), ("reject", "reject"))
    judge(store, "Bo", ("maybe", "accept"), ("accept", "reject"))
    store.take_back("triple", "Ada")
    texts = (ShownText("question", "q"), ShownText("answer", "a"), ShownText("rationale", "r"))
    store.add_items([Item("rating", "one", IMAGE, texts)])
    store.next_item("rating", "Ada", 2)
    store.record("rating", "one", "Ada", {"rating": "2"})
    exported = export(run, store)
    first, second, _ = (item.item_id for item in store.items("triple"))
    wanted = [label(first, True, 2.5, 3.0), label(second, False, 3.0, 0.0)]
    assert read_labels(labels_path(run)) == sorted(wanted, key=lambda one: one.row_id) == run_labels(run)
    assert (exported.judgement_count, exported.label_count, exported.labels) == (5, 2, labels_path(run))
    table = pq.read_table(exported.judgements)
    assert table.num_rows == 4 * 2 + 1
    assert table.column("task").to_pylist().count("rating") == 1
    assert len(label_judgements(store)) == 4


def test_an_export_leaves_how_far_people_agree_without_their_names(run: RunFolder, store: AnnotationStore) -> None:
    assert read_agreements(run.path) == ()
    judge(store, "Ada Long", ("accept", "accept"), ("accept", "accept"), ("reject", "accept"))
    judge(store, "Bo Long", ("accept", "accept"), ("maybe", "accept"))
    export(run, store)
    qa, rationale = read_agreements(run.path)
    assert (qa.task, qa.question, qa.items, qa.annotators, qa.same_share) == ("triple", "qa", 2, 2, 0.5)
    assert qa.alpha_nominal == 0.0
    assert (rationale.same_share, rationale.alpha_nominal, rationale.alpha_ordinal) == (1.0, None, None)
    text = (run.path / FILE_NAME).read_text("utf-8")
    assert "Long" not in text
    judge(store, "Bo Long", ("reject", "accept"))
    export(run, store)
    assert read_agreements(run.path)[0].items == 3, "the last export is told"


@pytest.mark.parametrize("damage", [("questions", "answers"), ('"items": 2', '"items": "2"'), ("{", "[")])
def test_a_file_of_agreement_that_was_changed_by_hand_is_refused(
    run: RunFolder, store: AnnotationStore, damage: tuple[str, str]
) -> None:
    judge(store, "Ada", ("accept", "accept"), ("accept", "maybe"))
    judge(store, "Bo", ("accept", "accept"), ("accept", "maybe"))
    export(run, store)
    path = run.path / FILE_NAME
    path.write_text(path.read_text("utf-8").replace(*damage), "utf-8")
    with pytest.raises(SettingsError) as caught:
        read_agreements(run.path)
    assert str(caught.value) == (
        f"{path}: not a file of agreement; remove it and export the judgements again, by"
        " `ostensive annotate RUN --export`"
    )


def label(row_id: str, accepted: bool, qa: float, rationale: float) -> Label:
    targets = CriterionTarget("qa", qa), CriterionTarget("rationale", rationale)
    return Label(row_id, IMAGE, accepted, targets, **asdict(DRAW))


def test_labels_of_candidates_of_any_recipe(run: RunFolder, tmp_path: Path) -> None:
    with AnnotationStore(run.path / STORE_NAME) as store:
        rows = [caption("A dog.", row_id=f"c{number}", image_id=IMAGE) for number in range(2)]
        store.add_items([candidate_item(TASKS["accept"], row, CAPTIONS) for row in rows])
        for name, ratings in {"Ada": ("maybe", "accept"), "Bo": ("accept", "reject")}.items():
            for rating in ratings:
                item = store.next_item("accept", name, 2)
                assert item is not None
                store.record("accept", item.item_id, name, {"acceptable": rating})
        export(run, store)
    targets = [(CriterionTarget("acceptable", value),) for value in (2.5, 0.0)]
    wanted = [Label("c0", IMAGE, True, targets[0]), Label("c1", IMAGE, False, targets[1])]
    assert read_labels(labels_path(run)) == wanted == run_labels(run)


def test_without_candidates_there_are_no_labels(run: RunFolder, store: AnnotationStore) -> None:
    exported = export(run, store)
    assert (exported.judgement_count, exported.labels, exported.label_count) == (0, None, 0)
    assert not labels_path(run).exists()
    with pytest.raises(
        SettingsError, match="no candidate of this run was judged yet; label with `ostensive annotate RUN`"
    ):
        run_labels(run)


def test_asking_for_labels_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no candidate of this run was judged yet"):
        run_labels(RunFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []
