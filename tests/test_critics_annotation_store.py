"""The store of judgements: nothing lost, nothing overwritten, nothing of one annotator shown to another."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from critics.annotation.assignment import is_swapped
from critics.annotation.foreign import ForeignJudgement
from critics.annotation.items import Item
from critics.annotation.store import AnnotationStore, Progress
from critics.annotation.tasks import AnswerError
from ostensive.errors import SettingsError, StorageError
from ostensive.recipe_kind import ShownText

FINE = {"qa": "accept", "rationale": "accept"}
BAD = {"qa": "reject"}


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def triples(image: str, count: int = 2, says: str = "So.") -> list[Item]:
    return [
        Item(
            "triple",
            f"{image}{number}",
            image,
            (
                ShownText("question", f"Why {number}?", (number, 7)),
                ShownText("answer", says),
                ShownText("rationale", "Because."),
            ),
        )
        for number in range(count)
    ]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[AnnotationStore]:
    with AnnotationStore(tmp_path / "annotations.sqlite", clock=clock) as store:
        store.add_items([*triples("a"), *triples("b"), *triples("c", 1)])
        yield store


def work(store: AnnotationStore, annotator: str, count: int = 99, *, per_item: int = 2) -> list[str]:
    """Judges what comes next, up to `count` items; returns their ids."""
    done: list[str] = []
    while len(done) < count and (item := store.next_item("triple", annotator, per_item)) is not None:
        store.record("triple", item.item_id, annotator, FINE)
        done.append(item.item_id)
    return done


def test_items_come_back_as_they_went_in_and_in_order(store: AnnotationStore) -> None:
    assert store.items("triple") == [*triples("a"), *triples("b"), *triples("c", 1)]
    assert store.item("triple", "b1") == triples("b")[1]
    assert store.item("triple", "z") is None
    assert store.items("rating") == []


def test_an_image_at_a_time_each_to_two(store: AnnotationStore) -> None:
    assert work(store, "ada", 3) == ["a0", "a1", "b0"]
    assert work(store, "bo") == ["a0", "a1", "b0", "b1", "c0"]
    assert work(store, "cy") == ["c0"]  # a and b have bo and ada, who is still at b
    assert work(store, "ada") == ["b1"]
    assert store.next_item("triple", "di", 2) is None
    assert work(store, "di", per_item=3) == ["a0", "a1", "b0", "b1", "c0"]


def test_the_same_item_until_it_is_judged(store: AnnotationStore) -> None:
    first = store.next_item("triple", "ada", 2)
    assert first == store.next_item("triple", "ada", 2)
    assert first is not None
    assert store.judged_in_image(first, "ada") == (0, 2)
    work(store, "ada", 1)
    assert store.judged_in_image(first, "ada") == (1, 2)


def test_what_was_left_goes_to_others_and_is_still_there_for_who_comes_back(
    store: AnnotationStore, clock: Clock
) -> None:
    work(store, "ada", 1)
    work(store, "bo", 1)
    assert work(store, "cy", 1) == ["b0"]
    clock.now += 3601
    assert work(store, "di", 1) == ["a0"]
    assert work(store, "ada", 1) == ["a1"]


def test_taking_back_goes_further_each_time(store: AnnotationStore) -> None:
    work(store, "ada", 3)
    assert [store.take_back("triple", "ada") for _ in range(2)] == [triples("b")[0], triples("a")[1]]
    assert [one.item.item_id for one in store.standing("triple")] == ["a0"]
    assert work(store, "ada", 2) == ["a1", "b0"]
    for _ in range(3):
        store.take_back("triple", "ada")
    assert store.take_back("triple", "ada") is None
    assert store.standing("triple") == []
    assert work(store, "ada", 1) == ["a0"]


def test_taking_back_is_a_row_and_not_a_loss(store: AnnotationStore) -> None:
    work(store, "ada", 1)
    store.take_back("triple", "ada")
    store.next_item("triple", "ada", 2)
    store.record("triple", "a0", "ada", BAD)
    with closing(sqlite3.connect(store.path)) as connection:
        rows = connection.execute("SELECT sequence, answers, takes_back FROM judgements ORDER BY sequence").fetchall()
    assert rows == [
        (1, '{"qa": "accept", "rationale": "accept"}', None),
        (2, None, 1),
        (3, '{"qa": "reject", "rationale": "reject"}', None),
    ]


def test_a_second_judgement_of_an_item_takes_the_place_of_the_first(store: AnnotationStore, clock: Clock) -> None:
    work(store, "ada", 1)
    clock.now += 5
    store.record("triple", "a0", "ada", BAD)
    store.record("triple", "a0", "ada", BAD)  # a form that was sent twice
    (one,) = store.standing("triple")
    assert (one.answers, one.judged_at, one.sequence) == ({"qa": "reject", "rationale": "reject"}, clock.now, 2)
    store.take_back("triple", "ada")
    assert store.standing("triple") == []


def test_only_what_was_given_can_be_judged(store: AnnotationStore) -> None:
    with pytest.raises(AnswerError, match="the item 'a0' was not given to ada; go back to the list of tasks"):
        store.record("triple", "a0", "ada", FINE)
    work(store, "bo", 1)
    with pytest.raises(AnswerError, match="the item 'a0' was not given to ada"):
        store.record("triple", "a0", "ada", FINE)
    with pytest.raises(AnswerError, match="the item 'zzz' was not given to bo"):
        store.record("triple", "zzz", "bo", FINE)
    with pytest.raises(AnswerError, match="no answer to rationale"):
        store.record("triple", "a0", "bo", {"qa": "accept"})
    assert len(store.standing("triple")) == 1


def test_progress(store: AnnotationStore) -> None:
    work(store, "ada", 3)
    work(store, "bo", 1)
    assert store.progress("triple", "ada", 2) == Progress(judged=3, items=5, done=1)
    assert store.progress("triple", "bo", 1) == Progress(judged=1, items=5, done=3)
    assert store.progress("triple", "nobody", 3) == Progress(judged=0, items=5, done=0)


def test_retired_items_are_not_given_out_and_keep_what_was_said(store: AnnotationStore) -> None:
    work(store, "ada", 1)
    store.retire_items("triple", ["a0", "b0"])
    assert work(store, "ada") == ["a1", "b1", "c0"]
    assert "a0" in store.answers("triple")
    assert store.progress("triple", "ada", 2) == Progress(judged=3, items=3, done=0)
    assert len(store.items("triple", with_retired=True)) == 5
    assert store.add_items(triples("b")) == 0
    assert work(store, "ada") == ["b0"]


def test_new_items_come_after_the_others(store: AnnotationStore) -> None:
    assert store.add_items([*triples("c", 3), *triples("d", 1)]) == 3
    assert [item.item_id for item in store.items("triple")] == ["a0", "a1", "b0", "b1", "c0", "c1", "c2", "d0"]


def test_texts_that_were_judged_stay_as_they_were_shown(store: AnnotationStore) -> None:
    work(store, "ada", 1)
    store.add_items(triples("b", says="Thus."))
    assert store.items("triple")[2].text("answer").text == "Thus."
    with pytest.raises(SettingsError, match="the item 'a0' was judged with other texts; give the new ones an item_id"):
        store.add_items(triples("a", says="Thus."))
    assert store.items("triple")[0].text("answer").text == "So."


def test_a_person_is_one_annotator_however_the_name_is_written(store: AnnotationStore) -> None:
    assert store.enter_annotator("  Ada   Lovelace ") == "Ada Lovelace"
    assert store.enter_annotator("ada lovelace") == "Ada Lovelace"
    assert store.enter_annotator("\uff21da Lovelace") == "Ada Lovelace"
    assert store.enter_annotator("Łukasz 王") == "Łukasz 王"


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "a\u202eb", "a\x00b", "\u200b"])
def test_what_is_no_name(store: AnnotationStore, name: str) -> None:
    with pytest.raises(AnswerError, match="a name of 1 to 40 visible characters is expected"):
        store.enter_annotator(name)


def test_sides_are_recorded_as_they_were_shown(store: AnnotationStore) -> None:
    texts = (ShownText("prompt", "Describe."), ShownText("first", "A cat."), ShownText("second", "A dog."))
    store.add_items([Item("pairwise", f"p{number}", "a", texts) for number in range(12)])
    ties = dict.fromkeys(("correctness", "informativeness", "plausibility", "overall"), "tie")
    while (item := store.next_item("pairwise", "ada", 1)) is not None:
        store.record("pairwise", item.item_id, "ada", ties)
    shown = {one.item.item_id: one.swapped for one in store.standing("pairwise")}
    assert shown == {f"p{number}": is_swapped(f"p{number}", "ada") for number in range(12)}
    assert set(shown.values()) == {True, False}


def test_imported_judgements_count_once_and_are_not_undone(store: AnnotationStore) -> None:
    item = triples("b")[0]
    assert store.record_imported([ForeignJudgement(item, "cy", FINE)], "export.json") == 1
    assert store.record_imported([ForeignJudgement(item, "cy", FINE)], "export.json") == 0
    assert store.record_imported([ForeignJudgement(item, "cy", BAD)], "export.json") == 1
    assert store.take_back("triple", "cy") is None
    (one,) = store.standing("triple")
    assert (one.annotator, one.source, one.answers["qa"]) == ("cy", "export.json", "reject")


def test_everything_is_there_when_the_file_is_opened_again(store: AnnotationStore) -> None:
    work(store, "ada", 2)
    before, secret = store.standing("triple"), store.secret()
    with AnnotationStore(store.path) as again:
        assert again.standing("triple") == before
        assert again.secret() == secret
        assert len(secret) == 32


def test_lone_surrogates_do_not_stop_anything(store: AnnotationStore) -> None:
    store.add_items(
        [
            Item(
                "triple",
                "s",
                "s",
                (ShownText("question", "\ud800?"), ShownText("answer", "a"), ShownText("rationale", "r")),
            )
        ]
    )
    assert store.item("triple", "s") is not None


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    path, people = tmp_path / "annotations.sqlite", [f"p{number}" for number in range(6)]
    with AnnotationStore(path) as store:
        store.add_items([item for image in "abcdefgh" for item in triples(image)])

    def person(name: str) -> None:
        # A store of its own, as another process would have.
        with AnnotationStore(path) as own:
            work(own, name, per_item=3)

    threads = [threading.Thread(target=person, args=(name,)) for name in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with AnnotationStore(path) as store:
        standing = store.standing("triple")
        counts = Counter(one.item.item_id for one in standing)
        assert set(counts.values()) == {3}
        assert len(counts) == 16
        assert len({(one.item.item_id, one.annotator) for one in standing}) == len(standing) == 48


steps = st.lists(st.sampled_from(["ada good", "ada bad", "ada undo", "bo good", "bo undo"]), max_size=25)


@given(steps=steps)
def test_the_store_does_what_a_list_would(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    path = tmp_path_factory.mktemp("store") / "annotations.sqlite"
    model: dict[str, list[tuple[str, str]]] = {"ada": [], "bo": []}
    with AnnotationStore(path) as store:
        store.add_items([*triples("a"), *triples("b")])
        store._connection.execute("PRAGMA synchronous = OFF")  # many small stores; none is killed
        for step in steps:
            name, what = step.split()
            if what == "undo":
                taken = store.take_back("triple", name)
                assert (taken.item_id if taken else None) == (model[name].pop()[0] if model[name] else None)
            elif (item := store.next_item("triple", name, 2)) is not None:
                store.record("triple", item.item_id, name, FINE if what == "good" else BAD)
                model[name].append((item.item_id, "accept" if what == "good" else "reject"))
        found = {(one.annotator, one.item.item_id, one.answers["qa"]) for one in store.standing("triple")}
    assert found == {(name, *said) for name, all_said in model.items() for said in all_said}


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, and long enough to be taken for a page of one" * 40)
    with pytest.raises(StorageError, match=r"text: not a file of judgements \(not an SQLite file\); move it away"):
        AnnotationStore(tmp_path / "text").__enter__()
    with closing(sqlite3.connect(tmp_path / "other")) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(StorageError, match="other: an SQLite file, but not a file of judgements; move it away"):
        AnnotationStore(tmp_path / "other").__enter__()
    with AnnotationStore(tmp_path / "new"):
        pass
    with closing(sqlite3.connect(tmp_path / "new")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(
        StorageError, match="new: a file of judgements in format 99, this version of ostensive works with format 4"
    ):
        AnnotationStore(tmp_path / "new").__enter__()
    with pytest.raises(
        StorageError, match="file: the file cannot be opened or made; look at its folder and permissions"
    ):
        AnnotationStore(tmp_path / "no folder" / "file").__enter__()


def test_a_full_disk_says_so_and_keeps_what_is_there(store: AnnotationStore) -> None:
    work(store, "ada", 1)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    huge = [
        Item(
            "triple",
            f"h{n}",
            "h",
            (ShownText("question", "x" * 9000), ShownText("answer", "a"), ShownText("rationale", "r")),
        )
        for n in range(9)
    ]
    with pytest.raises(StorageError, match="the disk is full; make room and save again"):
        store.add_items(huge)
    assert len(store.standing("triple")) == 1
    assert len(store.items("triple")) == 5
