"""People who judged in Label Studio: who is who over several exports, and what of them is new."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from annotated_run import write_run
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.records import Qar
from builders.representatives import annotated_run
from critics.annotation.export import agreement
from critics.annotation.foreign import MAX_FOREIGN_NAME, fitting
from critics.annotation.label_studio import from_label_studio
from critics.annotation.stock import AnnotatedRun
from critics.annotation.store import STORE_NAME, AnnotationStore
from ostensive.run.partitions import read_kept

ADA = {"id": 7, "email": "ada@example.org"}
LONG = "annotators+of+the+street+scenes+project+{}@example.org"


@pytest.fixture
def run(tmp_path: Path) -> AnnotatedRun:
    return annotated_run(write_run(tmp_path, images=1, per_image=4).path)


def items_of(run: AnnotatedRun) -> list[str]:
    return [row.row_id for row in read_kept(run.folder.partition_paths("unique")[0], Qar)]


def said(value: str, by: object, **more: Any) -> dict[str, Any]:
    result = [
        {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": [value]}}
        for name in ("qa", "rationale")
    ]
    return {"result": result, "completed_by": by, **more}


def take(run: AnnotatedRun, annotations: dict[int, list[dict[str, Any]]], name: str = "export.json") -> list[str]:
    """Takes in an export with these annotations of items by their place; how many were new, and the notes."""
    items = items_of(run)
    path = run.folder.path.parent / name
    tasks = [{"data": {"item_id": items[place]}, "annotations": given} for place, given in annotations.items()]
    path.write_text(json.dumps(tasks), "utf-8")
    notes: list[str] = []
    added = from_label_studio(run, path, on_note=notes.append)
    return [str(added), *(note.removeprefix(f"{path}: ") for note in notes)]


def standing(run: AnnotatedRun) -> dict[str, dict[int, str]]:
    """What each person thinks of the items, by their place."""
    items, found = items_of(run), dict[str, dict[int, str]]()
    with AnnotationStore(run.folder.path / STORE_NAME) as store:
        for one in store.standing("triple"):
            found.setdefault(one.annotator, {})[items.index(one.item.item_id)] = one.answers["qa"]
    return found


def test_long_names_stay_two_people(run: AnnotatedRun) -> None:
    both = [said("accept", {"email": LONG.format("alice")}), said("reject", {"email": LONG.format("bob")})]
    assert take(run, {0: both}) == ["2"]
    assert standing(run) == {LONG.format("alice"): {0: "accept"}, LONG.format("bob"): {0: "reject"}}
    assert take(run, {0: both}) == ["0"]
    longest = ["x" * 300 + end for end in "ab"]
    assert take(run, {1: [said("accept", longest[0]), said("reject", longest[1])]}) == ["2"]
    names = set(standing(run)) - {LONG.format("alice"), LONG.format("bob")}
    assert names == {fitting(name) for name in longest}
    assert {len(name) for name in names} == {MAX_FOREIGN_NAME}


@given(st.lists(st.text(min_size=1, max_size=600), max_size=4, unique_by=lambda name: " ".join(name.split())))
def test_names_fit_and_stay_apart(names: list[str]) -> None:
    fitted = [fitting(name) for name in names]
    assert all(len(name) <= MAX_FOREIGN_NAME for name in fitted)
    assert len(set(fitted)) == len(names)
    assert [fitting(name) for name in fitted] == fitted


def test_one_annotation_by_two_kinds_of_export_is_one_persons(run: AnnotatedRun) -> None:
    by_number = {place: [said("accept", 7, id=5)] for place in range(2)}
    by_mail = {place: [said("accept", ADA, id=5)] for place in range(2)}
    assert take(run, by_number) == ["2"]
    assert set(standing(run)) == {"Label Studio 7"}
    assert take(run, by_mail) == ["0", "Label Studio 7, who judged earlier, is ada@example.org"]
    assert standing(run) == {"ada@example.org": {0: "accept", 1: "accept"}}
    assert take(run, by_number) == take(run, by_mail) == ["0"]
    assert take(run, {2: [said("reject", 7, id=6)]}) == ["1"], "the number is known now"
    assert standing(run) == {"ada@example.org": {0: "accept", 1: "accept", 2: "reject"}}
    assert agreement(run.folder.path)["triple"][0].items == 0, "nobody agrees with themselves"


PARTS = (
    {0: [said("accept", 7, id=1)]},
    {1: [said("reject", ADA, id=2)]},
    {0: [said("accept", ADA, id=1)], 2: [said("maybe", {"email": "bo@example.org"}, id=3)]},
    {3: [said("accept", 7, id=4), said("reject", {"id": 8, "email": "bo@example.org"}, id=5)]},
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(PARTS)))), ids=str)
def test_the_order_of_exports_makes_no_difference(order: tuple[int, ...], run: AnnotatedRun) -> None:
    for place in order:
        take(run, PARTS[place])
    expected = {
        "ada@example.org": {0: "accept", 1: "reject", 3: "accept"},
        "bo@example.org": {2: "maybe", 3: "reject"},
    }
    assert standing(run) == expected
    for place in reversed(order):
        assert take(run, PARTS[place])[0] == "0"
    assert standing(run) == expected


def test_two_people_of_one_item_who_become_one(run: AnnotatedRun) -> None:
    take(run, {0: [said("accept", 7, id=1)]})
    take(run, {0: [said("reject", "ada@example.org", id=2)]})
    assert len(standing(run)) == 2
    take(run, {1: [said("accept", ADA, id=3)]})
    assert standing(run) == {"ada@example.org": {0: "reject", 1: "accept"}}, "what was said last stands"


def test_a_number_that_stands_for_two_people_is_nobody_of_them(run: AnnotatedRun) -> None:
    take(run, {0: [said("accept", ADA, id=1)]})
    take(run, {0: [said("reject", {"id": 7, "email": "bo@example.org"}, id=9)]})
    assert take(run, {1: [said("accept", 7, id=2)]}) == ["1"]
    assert standing(run) == {
        "ada@example.org": {0: "accept"},
        "bo@example.org": {0: "reject"},
        "Label Studio 7": {1: "accept"},
    }
    mine = {2: [said("accept", ADA, id=11)], 3: [said("reject", 7, id=12)]}
    assert take(run, mine) == ["2"]
    assert standing(run)["ada@example.org"] == {0: "accept", 2: "accept", 3: "reject"}, "of the same export"


def test_the_same_id_of_another_installation(run: AnnotatedRun) -> None:
    here, there = "2026-03-09T22:16:08.728353Z", "2026-03-10T10:00:00Z"
    assert take(run, {0: [said("accept", 1, id=1, created_at=here)]}) == ["1"]
    items = items_of(run)
    assert take(run, {0: [said("reject", 1, id=1, created_at=there)]}) == [
        "0",
        f"item {items[0]}: its annotation 1 is not the one that was taken in earlier, but as of another Label Studio,"
        " so Label Studio 1 may be somebody else; left out, export with the users' e-mail addresses",
    ]
    by_mail = {0: [said("reject", {"id": 1, "email": "bo@example.org"}, id=1, created_at=there)]}
    assert take(run, by_mail)[0] == "1"
    assert "reject" in {said[0] for said in standing(run).values()}


def test_two_people_of_one_name_get_their_numbers(run: AnnotatedRun) -> None:
    first, second = {"id": 3, "first_name": "Ada"}, {"id": 9, "first_name": "Ada"}
    told = "there is another Ada; the one with the number 9 is called Ada (Label Studio 9)"
    assert take(run, {0: [said("accept", first, id=1), said("reject", second, id=2)]}) == ["2", told]
    expected = {"Ada": {0: "accept"}, "Ada (Label Studio 9)": {0: "reject"}}
    assert standing(run) == expected
    assert take(run, {0: [said("reject", second, id=2)]})[0] == "0"
    assert take(run, {1: [said("maybe", second, id=3)]}) == ["1", told]
    assert take(run, {2: [said("maybe", 9, id=4)]}) == ["1"]
    assert standing(run) == {"Ada": {0: "accept"}, "Ada (Label Studio 9)": {0: "reject", 1: "maybe", 2: "maybe"}}
    mails = [said("accept", {"id": number, "email": "bo@example.org"}, id=number) for number in (20, 21)]
    take(run, {3: mails})
    assert standing(run)["bo@example.org"] == {3: "accept"}, "an address is one person's"


def test_what_was_changed_there_replaces_and_what_is_older_does_not(run: AnnotatedRun) -> None:
    old, new = "2026-03-09T22:16:08Z", "2026-03-11T08:00:00Z"
    first = {0: [said("accept", 7, id=1, updated_at=old)]}
    changed = {0: [said("reject", 7, id=1, updated_at=new)]}
    assert take(run, first) == ["1"]
    assert take(run, changed) == ["1"]
    assert take(run, first) == ["0"], "it is older"
    assert standing(run) == {"Label Studio 7": {0: "reject"}}
    assert take(run, {0: [said("maybe", 7, id=2, updated_at=old)]}) == ["0"], "another one, but older too"
    assert take(run, {0: [said("maybe", 7, id=3)]}) == ["1"], "no time: it comes later"
    assert take(run, {0: [said("maybe", 7, id=3)]}) == ["0"]


def test_several_by_one_person_in_one_export(run: AnnotatedRun) -> None:
    both = [
        said("reject", 7, id=2, updated_at="2026-03-11T08:00:00Z"),
        said("accept", 7, id=1, updated_at="2026-03-09T22:16:08Z"),
    ]
    told = f"item {items_of(run)[0]}: Label Studio 7 judged it 2 times; the last one counts"
    assert take(run, {0: both}) == ["1", told]
    assert standing(run) == {"Label Studio 7": {0: "reject"}}
    assert take(run, {0: both}) == ["0", told]
    without = {1: [said("reject", "bo"), said("accept", "bo")], 2: [said("accept", "bo"), said("accept", "bo")]}
    assert take(run, without)[0] == "2"
    assert standing(run)["bo"] == {1: "accept", 2: "accept"}
    assert take(run, without)[0] == "0"


def test_what_was_said_since_on_the_page_is_kept(run: AnnotatedRun) -> None:
    export = {0: [said("accept", "Ada", id=1)]}
    take(run, export)
    with AnnotationStore(run.folder.path / STORE_NAME) as store:
        store.record("triple", items_of(run)[0], "Ada", {"qa": "reject"})
    assert take(run, export) == ["0"]
    assert standing(run) == {"Ada": {0: "reject"}}


def test_a_byte_order_mark_is_read_over(run: AnnotatedRun, tmp_path: Path) -> None:
    tasks = [{"data": {"item_id": items_of(run)[0]}, "annotations": [said("accept", 9)]}]
    path = tmp_path / "bom.json"
    path.write_text(json.dumps(tasks), "utf-8-sig")
    assert from_label_studio(run, path, on_note=pytest.fail) == 1
