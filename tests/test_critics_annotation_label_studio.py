"""To Label Studio and back."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from annotated_run import candidate, triple_item
from hypothesis import given
from hypothesis import strategies as st

from critics.annotation.foreign import ForeignJudgement
from critics.annotation.items import Item
from critics.annotation.label_studio import (
    from_tasks,
    item_id_of,
    labeling_config,
    read_tasks,
    to_tasks,
)
from critics.annotation.store import Standing
from critics.annotation.tasks import TASKS, check_answers
from ostensive.errors import SettingsError
from ostensive.recipe_kind import ShownText

IMAGE = "ab" * 32
ITEMS = [triple_item(candidate(IMAGE, number, answer="<b> & \u202e \u05d0")) for number in range(3)]
BY_ID = {item.item_id: item for item in ITEMS}


def stand(item: Item, annotator: str, **answers: str) -> Standing:
    return Standing(1, item, annotator, check_answers(TASKS[item.task], answers), False, "page", 1_700_000_000.0)


answers = st.sampled_from(
    [{"qa": "reject"}, {"qa": "accept", "rationale": "maybe"}, {"qa": "maybe", "rationale": "reject"}]
)


@given(st.dictionaries(st.tuples(st.integers(0, 2), st.sampled_from(["Ada", "Bo", "王"])), answers))
def test_what_goes_there_comes_back(given_: dict[tuple[int, str], dict[str, str]]) -> None:
    standing = [stand(ITEMS[place], name, **said) for (place, name), said in given_.items()]
    tasks = json.loads(json.dumps(to_tasks(ITEMS, standing, lambda item: f"images/{item.item_id}.jpg")))
    found = from_tasks(tasks, BY_ID)
    assert found.left_out == ()
    key = lambda one: (one.item.item_id, one.annotator)  # noqa: E731 - used twice, here
    assert sorted(found.judgements, key=key) == sorted(
        (
            ForeignJudgement(one.item, one.annotator, one.answers, created_at=one.judged_at)  # no id: it is not theirs
            for one in standing
        ),
        key=key,
    )


def test_a_task_as_it_is_written() -> None:
    (task,) = to_tasks(ITEMS[:1], [stand(ITEMS[0], "Ada", qa="accept", rationale="maybe")], lambda _: "images/x.jpg")
    assert task["data"] == {
        "image": "images/x.jpg",
        "task": "triple",
        "item_id": ITEMS[0].item_id,
        "image_id": IMAGE,
        **{text.name: text.text for text in ITEMS[0].texts},
    }
    (annotation,) = task["annotations"]
    assert annotation["created_at"] == "2023-11-14T22:13:20.000Z"
    assert [(one["from_name"], one["to_name"], one["type"], one["value"]) for one in annotation["result"]] == [
        ("qa", "image", "choices", {"choices": ["accept"]}),
        ("rationale", "image", "choices", {"choices": ["maybe"]}),
    ]
    assert len({one["id"] for one in annotation["result"]}) == 2


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_config_asks_the_same_questions(task: Any) -> None:
    fields = task.fields or ("note", "caption")
    view = ET.fromstring(labeling_config(task, fields))
    (image,) = view.findall("Image")
    assert image.attrib == {"name": "image", "value": "$image"}
    shown = fields if task.sides is None else ("prompt", "left", "right")
    assert [text.get("value") for text in view.findall("Text")] == [f"${name}" for name in shown]
    asked = {one.get("name"): [choice.get("value") for choice in one] for one in view.findall("Choices")}
    if task.sides is None:
        assert asked == {question.name: list(question.values) for question in task.questions}
    else:
        assert asked == {question.name: ["Left", "Tie", "Right"] for question in task.questions}
        assert "hosen" not in labeling_config(task, fields), "nobody is told which side is which"
    assert {one.get("toName") for one in view.findall("Choices")} == {"image"}
    names = [one.get("name") for one in view.iter() if one.get("name")]
    assert len(set(names)) == len(names)


def pair_item(number: int) -> Item:
    texts = (ShownText("prompt", "Say."), ShownText("chosen", "CHOSEN TEXT"), ShownText("rejected", "REJECTED TEXT"))
    return Item("preference", f"p{number}", IMAGE, texts)


def test_sides_go_there_in_a_drawn_order_and_answers_come_back_as_what_they_mean() -> None:
    items = [pair_item(number) for number in range(12)]
    tasks = to_tasks(items, [], lambda _: "images/x.jpg")
    swapped = {task["data"]["item_id"]: task["data"]["left"] == "REJECTED TEXT" for task in tasks}
    assert set(swapped.values()) == {True, False}
    for task in tasks:
        sides = ["CHOSEN TEXT", "REJECTED TEXT"]
        assert [task["data"][name] for name in ("left", "right")] == sides[
            :: -1 if swapped[task["data"]["item_id"]] else 1
        ]
        assert task["data"].keys() == {"image", "task", "item_id", "image_id", "prompt", "left", "right"}
        # Whoever labels there always takes the left text.
        task["annotations"] = [annotation(result=[{"from_name": "decision", "value": {"choices": ["Left"]}}])]
    found = from_tasks(tasks, {item.item_id: item for item in items}).judgements
    assert {one.item.item_id: one.answers["decision"] for one in found} == {
        item_id: "swap" if turned else "confirm" for item_id, turned in swapped.items()
    }
    assert {one.item.item_id: one.swapped for one in found} == swapped


def test_sides_that_are_not_those_of_the_item_are_left_out() -> None:
    (task,) = to_tasks([pair_item(0)], [], lambda _: "images/x.jpg")
    task["annotations"] = [annotation(result=[{"from_name": "decision", "value": {"choices": ["Left"]}}])]
    task["data"]["left"] = "ANOTHER TEXT"
    found = from_tasks([task], {"p0": pair_item(0)})
    assert (found.judgements, found.left_out) == (
        (),
        ("task 1: its left and right are not the two sides of item 'p0'",),
    )


@pytest.mark.parametrize("decision", ["confirm", "discard", "swap"])
def test_what_was_said_of_sides_goes_there_and_comes_back(decision: str) -> None:
    items = [pair_item(number) for number in range(6)]
    standing = [stand(item, "Ada", decision=decision) for item in items]
    tasks = json.loads(json.dumps(to_tasks(items, standing, lambda _: "images/x.jpg")))
    given_ = {one["annotations"][0]["result"][0]["value"]["choices"][0] for one in tasks}
    assert given_ == ({"Tie"} if decision == "discard" else {"Left", "Right"})
    found = from_tasks(tasks, {item.item_id: item for item in items}).judgements
    assert [one.answers["decision"] for one in found] == [decision] * 6


def test_sides_of_a_project_of_ones_own_stand_as_they_are_named() -> None:
    for said, meant in (("confirm", "confirm"), ("Left", "confirm"), ("tie", "discard"), ("Right", "swap")):
        result = [{"from_name": "decision", "value": {"choices": [said]}}]
        task = {"data": {"item_id": "p1"}, "annotations": [annotation(result=result)]}
        (found,) = from_tasks([task], {"p1": pair_item(1)}).judgements
        assert (found.answers["decision"], found.swapped) == (meant, False)


def annotation(**changes: Any) -> dict[str, Any]:
    """As Label Studio's documentation shows one, with the answers of a person who labelled there."""
    results = [
        {"id": "a1", "from_name": "qa", "to_name": "img", "type": "choices", "value": {"choices": ["Accept"]}},
        {"id": "a2", "from_name": "rationale", "to_name": "img", "type": "choices", "value": {"choices": ["Maybe"]}},
    ]
    return {"id": 1001, "result": results, "was_cancelled": False, "ground_truth": False, "lead_time": 4.2} | changes


@pytest.mark.parametrize(
    ("by", "user_id", "name"),
    [
        (10, "10", "Label Studio 10"),
        ("10", "10", "Label Studio 10"),
        ({"id": 3, "email": "ada@example.org", "first_name": "Ada"}, "3", "ada@example.org"),
        ({"id": "3", "email": None, "username": "ada"}, "3", "ada"),
        ({"id": 3, "email": "", "first_name": "Ada"}, "3", "Ada"),
        ({"id": 3, "first_name": "Ada", "last_name": "King"}, "3", "Ada King"),
        ({"id": 3}, "3", "Label Studio 3"),
        ({"id": True, "email": "ada@example.org"}, None, "ada@example.org"),
        ("ada", None, "ada"),
        (None, None, "Label Studio"),
        ([4], None, "Label Studio"),
    ],
)
def test_annotators_of_label_studio(by: object, user_id: str | None, name: str) -> None:
    task = {"id": 7, "data": {"row_id": ITEMS[0].item_id}, "annotations": [annotation(completed_by=by)]}
    (found,) = from_tasks([task], BY_ID).judgements
    answers = {"qa": "accept", "rationale": "maybe"}
    assert found == ForeignJudgement(ITEMS[0], name, answers, annotation_id="1001", user_id=user_id)


def test_ids_and_times_of_annotations() -> None:
    times = {"created_at": "2021-03-09T22:16:08.728353Z", "updated_at": "2021-03-10T00:16:08.728353+01:00"}
    task = {"data": {"item_id": ITEMS[0].item_id}, "annotations": [annotation(id="x7", **times)]}
    (found,) = from_tasks([task], BY_ID).judgements
    assert (found.annotation_id, found.created_at) == ("x7", 1615328168.728353)
    assert found.updated_at is not None
    assert found.updated_at - 1615328168.728353 == 3600
    odd_times: tuple[object, ...] = (None, "", "yesterday", 3, [], "9999-99-99")
    for odd in odd_times:
        task["annotations"] = [annotation(id=None, created_at=odd)]
        (found,) = from_tasks([task], BY_ID).judgements
        assert (found.annotation_id, found.created_at, found.updated_at) == (None, None, None)


def test_stars_are_ratings() -> None:
    texts = (ShownText("question", "q"), ShownText("answer", "a"), ShownText("rationale", "r"))
    item = Item("rating", "one", IMAGE, texts)
    result = [{"from_name": "rating", "to_name": "img", "type": "rating", "value": {"rating": 2}}]
    task = {"data": {"item_id": "one"}, "annotations": [annotation(result=result)]}
    (found,) = from_tasks([task], {"one": item}).judgements
    assert found.answers == {"rating": "2"}


def test_what_is_left_out_is_named() -> None:
    known = {"data": {"item_id": ITEMS[0].item_id}}
    tasks: list[dict[str, Any]] = [
        {"data": {"item_id": "gone"}, "annotations": [annotation()]},
        {"data": {"item_id": ["x"]}, "annotations": [annotation()]},
        {**known, "annotations": [annotation(was_cancelled=True), annotation(result=[]), annotation(result=[3, {}])]},
        {**known, "annotations": None},
        {**known, "annotations": [annotation()]},
        {**known, "annotations": 5},
        {**known, "annotations": {"result": []}},
        {**known, "annotations": [annotation(result=5), 7, annotation(result={})]},
    ]
    found = from_tasks(tasks, BY_ID)
    assert found.left_out == (
        "task 1: its item_id is 'gone', which this run does not have",
        "task 2: its item_id is None, which this run does not have",
        "task 3, annotation 1: it was skipped",
        "task 3, annotation 2: no answer to qa; one of accept, maybe, reject is expected",
        "task 3, annotation 3: no answer to qa; one of accept, maybe, reject is expected",
        "task 6: its annotations are 5; a list is expected",
        "task 7: its annotations are {'result': []}; a list is expected",
        "task 8, annotation 1: no answer to qa; one of accept, maybe, reject is expected",
        "task 8, annotation 2: it was skipped",
        "task 8, annotation 3: no answer to qa; one of accept, maybe, reject is expected",
    )
    assert len(found.judgements) == 1
    assert item_id_of({"data": 3}) is None


def test_files_that_hold_no_tasks(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    with pytest.raises(SettingsError, match=r"export\.json cannot be read: No such file or directory"):
        read_tasks(path)
    path.write_text("[{")
    with pytest.raises(
        SettingsError, match=r"export\.json is not JSON \(.*\); an export of Label Studio as JSON is exp"
    ):
        read_tasks(path)
    path.write_text('{"data": 1}')
    with pytest.raises(
        SettingsError, match=r"export\.json: a list of tasks is expected; export as JSON in Label Studio"
    ):
        read_tasks(path)
    path.write_text('[{"image": "x", "qa": "accept"}]')
    with pytest.raises(SettingsError, match="no task has data and annotations; export as JSON, not JSON-MIN or CSV"):
        read_tasks(path)
    path.write_text('[{"data": ' + "[" * 100_000)
    with pytest.raises(
        SettingsError, match=r"export\.json is not JSON \(nested more than 100 deep\); an export of Label"
    ):
        read_tasks(path)
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text("[]", encoding)
        assert read_tasks(path) == []
