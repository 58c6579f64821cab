import dataclasses
import json
import pickle
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive import arrow
from ostensive.errors import SettingsError
from ostensive.images.annotation_cells import ItemLostError, read_item, text_in, turns_in
from ostensive.images.annotation_columns import COLUMNS, AnnotationColumns, check_required
from ostensive.images.annotations import (
    REASONS,
    Annotations,
    AnnotationSource,
    RawAnnotation,
    annotate,
    lacks,
    settle,
)
from ostensive.images.settings import ANNOTATION_FIELDS, LIST_FIELDS, AnnotationSettings
from ostensive.records import Annotation, NamedText, Turn
from ostensive.settings import validate

IMAGE, OTHER = "a" * 64, "b" * 64
ITEM = RawAnnotation(
    question="What is it?",
    answers=("a boat", "boat"),
    choices=("boat", "car"),
    label="boat",
    instruction="Describe it.",
    turns=(Turn("user", "What?"), Turn("assistant", "")),
    rationales=("It floats.",),
    split="test",
    source="COCO",
    license="cc-by-4.0",
    extras=(NamedText("note", "blurred"),),
    place="a.csv, line 2",
)


# ---- records --------------------------------------------------------------------------------------------------------


def test_an_annotation_has_every_field_of_the_item_and_passes_through_arrow() -> None:
    made = annotate(ITEM, IMAGE)
    assert (made.image_id, made.record_id, len(made.annotation_id)) == (IMAGE, made.annotation_id, 16)
    for name in (*ANNOTATION_FIELDS, "extras"):
        assert getattr(made, name) == getattr(ITEM, name) != getattr(RawAnnotation(), name)
    empty = annotate(RawAnnotation(label="x"), IMAGE)
    assert arrow.from_table(arrow.to_table([made, empty], Annotation), Annotation) == [made, empty]
    assert pickle.loads(pickle.dumps(ITEM)) == ITEM
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.label = "x"  # type: ignore[misc]  # this is what is tried


def test_an_id_comes_from_the_image_and_the_texts_and_from_nothing_else() -> None:
    same = dataclasses.replace(ITEM, place="b.csv, line 9", split="train", source=None, license="other")
    assert annotate(same, IMAGE).annotation_id == annotate(ITEM, IMAGE).annotation_id
    changes: dict[str, Any] = {
        **dict.fromkeys(("question", "label", "instruction"), "other"),
        **dict.fromkeys(LIST_FIELDS, ("other",)),
        "turns": (Turn("user", "What?"), Turn("assistant", "That.")),
        "extras": (NamedText("note", "other"),),
    }
    others = [dataclasses.replace(ITEM, **{name: value}) for name, value in changes.items()]
    ids = {annotate(item, IMAGE).annotation_id for item in (ITEM, *others)} | {annotate(ITEM, OTHER).annotation_id}
    assert len(ids) == len(changes) + 2


def test_a_digest_follows_all_but_the_place() -> None:
    assert dataclasses.replace(ITEM, place="elsewhere").digest == ITEM.digest
    names: list[dict[str, Any]] = [{name: None} for name in ("question", "split", "source", "license")]
    changed = [dataclasses.replace(ITEM, **name) for name in names]
    assert len({ITEM.digest, *(item.digest for item in changed)}) == 5


def test_texts_that_move_between_fields_give_other_ids() -> None:
    assert annotate(RawAnnotation(question="a"), IMAGE) != annotate(RawAnnotation(label="a"), IMAGE)
    split = annotate(RawAnnotation(answers=("a", "b")), IMAGE).annotation_id
    assert split != annotate(RawAnnotation(answers=("a b",)), IMAGE).annotation_id


def test_what_an_item_lacks_for_a_recipe() -> None:
    assert lacks(ITEM, ("question", "answers", "note")) is None
    assert lacks(RawAnnotation(question="a"), ("question", "answers")) == "no answers"
    assert lacks(annotate(RawAnnotation(question="a"), IMAGE), ("note",)) == "no note"


# ---- settings and columns -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"columns": {"qestion": "q"}}, "columns: qestion is no field of ours; the nearest is question"),
        ({"columns": {"licence": "q"}}, "columns: licence is no field of ours; the nearest is license"),
        (
            {"columns": {"image_id": "q"}},
            "columns: image_id is made, not read; the column that names the image is called",
        ),
        ({"columns": {"a b": "q"}}, "columns: 'a b' is no name for a field; letters, digits and '_' are expected"),
        (
            {"columns": {"question": ["a", "b"]}},
            "columns: question has one column; several are for answers, choices, rat",
        ),
        ({"columns": {"answers": []}}, "columns: answers has one column"),
        (
            {"encoding": "rot13"},
            "encoding: the name of an encoding is expected, such as latin-1 or cp1252, not 'rot13'",
        ),
        ({"encoding": "latin-17"}, "encoding: the name of an encoding is expected"),
    ],
)
def test_settings_that_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        validate(AnnotationSettings, values, "recipe")
    assert str(caught.value).startswith(f"recipe: {message}")


def test_fields_that_only_look_like_ours_are_extras() -> None:
    settings = AnnotationSettings(columns={"question_id": "qid", "answer_type": "kind", "note": "remark"})
    fields = AnnotationColumns(settings).fields_of(("qid", "kind", "remark", "question"), "f")
    assert fields == {"question_id": ("qid",), "answer_type": ("kind",), "note": ("remark",), "question": ("question",)}


def columns_of(*given: str, fields: tuple[str, ...] = ANNOTATION_FIELDS, **columns: Any) -> dict[str, tuple[str, ...]]:
    return dict(AnnotationColumns(AnnotationSettings(columns=columns), fields).fields_of(given, "f.csv"))


def test_every_field_has_usual_columns_and_no_column_two_fields() -> None:
    assert list(COLUMNS) == list(ANNOTATION_FIELDS)
    known = [column for columns in COLUMNS.values() for column in columns]
    assert len(set(known)) == len(known)
    for name, usual in COLUMNS.items():
        for column in usual:
            assert columns_of(column, "width") == {name: (column,)}


def test_a_named_column_is_the_only_one_for_its_field() -> None:
    assert columns_of("sent", "question", question="sent") == {"question": ("sent",)}
    assert columns_of("question", question="sent") == {}
    assert columns_of("A", "B", "C", choices=["A", "B", "D"]) == {"choices": ("A", "B")}


def test_numbered_columns_belong_to_lists() -> None:
    given = ("explanation_10", "explanation", "explanation_2", "question_2", "explanation_x", "rationale_3")
    assert columns_of(*given) == {"rationales": ("explanation", "explanation_2", "explanation_10")}
    assert columns_of("answer_1", "answer_0") == {"answers": ("answer_0", "answer_1")}


def test_columns_that_may_both_be_a_field_are_refused_where_it_is_wanted() -> None:
    with pytest.raises(SettingsError) as caught:
        columns_of("answer", "answers")
    assert str(caught.value) == (
        "f.csv: the columns answers and answer may both be answers; choose one with annotations.columns.answers=answers"
    )
    assert columns_of("answer", "answers", answers="answer") == {"answers": ("answer",)}
    assert columns_of("answer", "answers", "split", fields=("question",)) == {"split": ("split",)}


def test_a_recipe_may_want_a_column_that_is_no_field_of_ours() -> None:
    assert columns_of("note", "question", fields=("note",)) == {"note": ("note",)}
    assert columns_of("note", "remark", fields=("note",), note="remark") == {"note": ("remark",)}


def test_the_column_that_names_the_image() -> None:
    columns = AnnotationColumns(AnnotationSettings())
    assert columns.image_column_in(("image_id", "img_path"), "f") == "img_path"
    assert columns.image_column_in(("image_id", "question"), "f") == "image_id"
    assert columns.image_column_in(("question",), "f") is None
    with pytest.raises(SettingsError, match=r"^f: the columns image and file_name may both name the image; choose one"):
        columns.image_column_in(("image", "file_name"), "f")
    assert columns.file_name_in(("image", "file_name", "left_file_name"), "f") == "file_name"
    assert columns.file_name_in(("image", "left_file_name"), "f") == "left_file_name"
    with pytest.raises(SettingsError, match=r"annotations.columns.image=COLUMN$"):
        columns.file_name_in(("left_file_name", "right_file_name"), "f")
    named = AnnotationColumns(AnnotationSettings(columns={"image": "name"}))
    assert named.image_column_in(("name", "file_name"), "f") == "name"
    assert named.image_column_in(("file_name",), "f") is None
    assert named.file_name_in(("file_name",), "f") == "file_name"


# ---- cells ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  a\r\nb\rc ", "a\nb\nc"),
        ("", None),
        ("   ", None),
        (None, None),
        (0, "0"),
        (12345678901234567890, "12345678901234567890"),
        (0.5, "0.5"),
        (float("nan"), None),
        (Decimal("1.50"), "1.50"),
        (True, "true"),
        (False, "false"),
        ("NaN", "NaN"),
        ("none", "none"),
        ("\u2028\u200d\u202f\U0001f468", "\u200d\u202f\U0001f468"),
        ("x" * 131_072, "x" * 131_072),
    ],
)
def test_the_text_of_a_cell(value: Any, text: str | None) -> None:
    assert text_in(value, "c") == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["a"], "not text: c is ['a'], one text is expected"),
        ({"a": 1}, "not text: c is {'a': 1}, one text is expected"),
        (float("inf"), "not text: c is inf, one text is expected"),
        (b"a", "not text: c is b'a', one text is expected"),
        ("a\ud800b", "broken text: c holds U+D800 at 1"),
        ("a\0", "broken text: c holds U+0000 at 1"),
        ("\x1b[31m", "broken text: c holds U+001B at 0"),
        ("caf\x82", "broken text: c holds U+0082 at 3"),
        ("x" * 131_073, "text too long: c has 131073 characters, at most 131072 are taken"),
    ],
)
def test_cells_that_are_no_text(value: Any, message: str) -> None:
    with pytest.raises(ItemLostError) as caught:
        text_in(value, "c")
    assert str(caught.value) == message
    assert caught.value.reason in REASONS


def item_of(**values: Any) -> RawAnnotation | None:
    columns = AnnotationColumns(AnnotationSettings(columns={"note": "remark", "id": "id"}))
    return read_item(values, columns.fields_of(values, "f"), "f, line 2")


def test_an_item_of_a_row() -> None:
    item = item_of(question=" Why? ", answer=["a", None, "", 3], explanation="b", explanation_2="c", remark=1, id="7")
    assert item == RawAnnotation(
        question="Why?",
        answers=("a", "3"),
        rationales=("b", "c"),
        extras=(NamedText("id", "7"), NamedText("note", "1")),
    )
    assert item.place == "f, line 2"
    assert item_of(question="", answers=[], remark=None, split=" ") is None
    assert item_of(split="train") == RawAnnotation(split="train")


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ('["a, b", "c"]', ("a, b", "c")),
        (' [ "a" ]', ("a",)),
        ("[0] is left of [1]", ("[0] is left of [1]",)),
        ("[0]", ("[0]",)),
    ],
)
def test_a_cell_may_hold_a_list_as_json(cell: str, answers: tuple[str, ...]) -> None:
    assert item_of(answers=cell) == RawAnnotation(answers=answers)


@pytest.mark.parametrize("cell", ["['a', 'b']", '["a", ', '["a"] and more', '["a", ["b"]]'])
def test_a_cell_that_begins_like_a_list_and_is_none_is_lost(cell: str) -> None:
    with pytest.raises(ItemLostError) as caught:
        item_of(answers=cell)
    assert caught.value.reason == "not text"


# ---- conversations --------------------------------------------------------------------------------------------------


LLAVA = [
    {"from": "human", "value": "<image>\nWho's that: Tom?"},
    {"from": "gpt", "value": " Yes. "},
    {"from": "human", "value": "Why?"},
    {"from": "gpt", "value": None},
]
TURNS = (
    Turn("user", "<image>\nWho's that: Tom?"),
    Turn("assistant", "Yes."),
    Turn("user", "Why?"),
    Turn("assistant", ""),
)
TRL = [
    {
        "role": "user",
        "content": [{"type": "image", "text": None}, {"type": "text", "text": "Who's that: Tom?"}],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
    {"role": "user", "content": "Why?", "name": "x"},
    {"role": "assistant", "content": ""},
]


@pytest.mark.parametrize("value", [LLAVA, TRL, json.dumps(LLAVA), json.dumps(TRL)])
def test_conversations_of_both_forms_are_turns_in_order(value: Any) -> None:
    assert turns_in(value, "c") == TURNS
    assert item_of(conversations=value) == item_of(messages=value) == RawAnnotation(turns=TURNS)


@pytest.mark.parametrize("value", [None, [], "", " ", "[]"])
def test_no_turn_is_nothing(value: Any) -> None:
    assert turns_in(value, "c") == ()
    assert item_of(conversations=value) is None


def test_a_system_turn_is_one_and_parts_stand_in_lines() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}, {"type": "text"}, "b"]
    assert turns_in([{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}], "c") == (
        Turn("system", "Be brief."),
        Turn("user", "a\n<image>\nb"),
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Who?", "not a conversation: c is 'Who?', a list of turns in JSON is expected"),
        ('{"from": "human"}', "not a conversation: c is {'from': 'human'}, a list of turns is expected"),
        (
            ["Who?", "Ann."],
            "not a conversation: c, turn 1 is 'Who?', an object with from and value, or with role and content, is exp",
        ),
        (
            [LLAVA[0], {"from": "bing", "value": "x"}],
            "not a conversation: c, turn 2 is by 'bing', one of system, human, user, gpt, assistant is expected",
        ),
        ([{"value": "x"}], "not a conversation: c, turn 1 is by None, one of"),
        ([{"role": ["user"], "content": "x"}], "not a conversation: c, turn 1 is by ['user'], one of"),
        (
            [{"role": "user", "content": [{"type": "video"}]}],
            "not a conversation: c, turn 1 has a part of type 'video', text or image is expected",
        ),
        ([{"role": "user", "content": [["x"]]}], "not text: c, turn 1 is ['x'], one text is expected"),
        ([{"from": "human", "value": "a\0"}], "broken text: c, turn 1 holds U+0000 at 1"),
    ],
)
def test_what_is_no_conversation_is_lost(value: Any, message: str) -> None:
    with pytest.raises(ItemLostError) as caught:
        turns_in(value, "c")
    assert str(caught.value).startswith(message)
    assert caught.value.reason in REASONS


# ---- the items of one image -----------------------------------------------------------------------------------------


def item(place: str, question: str | None = None, **values: Any) -> RawAnnotation:
    return RawAnnotation(question=question, place=place, **values)


def test_what_one_item_says_of_the_image_holds_for_all() -> None:
    settled = settle([item("1", "a"), item("2", split="test", license="cc0-1.0"), item("3", "b", source="here")])
    said = {"split": "test", "source": "here", "license": "cc0-1.0"}
    assert settled.items == (item("1", "a", **said), item("3", "b", **said))
    assert (settled.losses, settled.merged) == ((), 1)
    assert settle(settled.items).items == settled.items


def test_of_several_splits_the_first_in_the_alphabet_holds_in_any_order() -> None:
    items = [item("1", "a", split="train"), item("2", "b", split="test"), item("3", "c"), item("4", "d", split="train")]
    for order in permutations(items):
        settled = settle(order)
        assert {i.question: i.split for i in settled.items} == {"b": "test", "c": "test"}
        assert sorted((loss.reason, loss.place) for loss in settled.losses) == [
            ("conflicting splits", "1"),
            ("conflicting splits", "4"),
        ]
        assert settled.losses[0].detail == "train, another has test"


def test_several_sources_are_treated_likewise() -> None:
    settled = settle([item("1", "a", source="COCO"), item("2", "b", source="Flickr")])
    assert [i.question for i in settled.items] == ["a"]
    assert [(loss.reason, loss.place) for loss in settled.losses] == [("conflicting sources", "2")]


def test_an_image_under_two_licences_keeps_none_of_them() -> None:
    settled = settle([item("1", "a", license="cc0-1.0"), item("2", "b", license="cc-by-nc-4.0"), item("3", "c")])
    assert settled.items == (item("3", "c"),)
    assert [(loss.reason, loss.place) for loss in settled.losses] == [
        ("conflicting licences", "1"),
        ("conflicting licences", "2"),
    ]


def test_one_licence_written_in_several_ways_is_no_conflict() -> None:
    settled = settle([item("1", "a", license="CC BY 4.0"), item("2", "b", license="cc-by-4.0"), item("3", "c")])
    assert settled.losses == ()
    assert {one.license for one in settled.items} == {"cc-by-4.0"}, "one of the ways, for all"
    own = settle([item("1", "a", license="Our  terms"), item("2", "b", license="our terms"), item("3", "c")])
    assert (own.losses, {one.license for one in own.items}) == ((), {"our terms"})


def test_items_that_become_the_same_are_counted_as_repeats() -> None:
    settled = settle([item("1", "a"), item("2", "a", split="test"), item("3", "b")])
    assert settled.items == (item("1", "a", split="test"), item("3", "b", split="test"))
    assert [(loss.reason, loss.place, loss.detail) for loss in settled.losses] == [("repeats another item", "2", "1")]


def test_an_image_with_nothing_but_a_split_has_one_item() -> None:
    settled = settle([item("1", split="test"), item("2", source="here"), item("3", license="x")])
    assert (settled.items, settled.merged) == ((item("1", split="test", source="here", license="x"),), 2)
    assert settle([item("1", split="test")]).items == (item("1", split="test"),)


ITEMS = st.builds(
    RawAnnotation,
    question=st.sampled_from([None, "a", "b"]),
    split=st.sampled_from([None, "test", "train"]),
    source=st.sampled_from([None, "x", "y"]),
    license=st.sampled_from([None, "l", "L", "m"]),
)


@given(st.lists(ITEMS.filter(lambda item: item != RawAnnotation()), min_size=1, max_size=6), st.randoms())
def test_settling_counts_all_changes_nothing_twice_and_knows_no_order(items: list[RawAnnotation], order: Any) -> None:
    settled = settle(items)
    assert len(settled.items) + len(settled.losses) + settled.merged == len(items)
    assert settle(settled.items) == dataclasses.replace(settled, losses=(), merged=0)
    for name in ("split", "source", "license"):
        assert len({getattr(item, name) for item in settled.items}) <= 1
    mixed = list(items)
    order.shuffle(mixed)
    ids = [{annotate(item, IMAGE) for item in settle(given).items} for given in (items, mixed)]
    assert ids[0] == ids[1]


# ---- what a recipe requires -----------------------------------------------------------------------------------------


def annotations(*sources: AnnotationSource) -> Annotations:
    return Annotations({}, {}, {}, (), 0, 0, sources)


def test_a_field_that_no_column_gives_is_refused_before_any_work() -> None:
    source = AnnotationSource("metadata.csv", ("file_name", "sent", "split"), ("split",))
    check_required(annotations(source), ())
    check_required(annotations(source), ("split",))
    with pytest.raises(SettingsError) as caught:
        check_required(annotations(source), ("split", "answers"))
    assert str(caught.value) == (
        "annotations: this recipe requires answers, and no column answers or answer or multiple_choice_answer is in "
        "metadata.csv (file_name, sent, split); say which column it is with annotations.columns.answers=COLUMN, or "
        "give --annotations FILE"
    )
    with pytest.raises(SettingsError) as caught:
        check_required(annotations(), ("note",))
    assert str(caught.value) == (
        "annotations: this recipe requires note beside each image, and nothing lies beside them; give "
        "--annotations FILE, or a metadata.csv in the folder with the columns file_name and note"
    )


def test_the_items_of_an_image_whose_hash_is_known() -> None:
    held = Annotations({"a.jpg": (item("1", "a"),)}, {IMAGE: (item("2", "a"), item("3", "b"))}, {}, (), 0, 3, ())
    assert held.of(["a.jpg"], OTHER).items == (item("1", "a"),)
    assert held.of(["a.jpg"], IMAGE).items == (item("1", "a"), item("3", "b"))
    assert [loss.place for loss in held.of(["a.jpg"], IMAGE).losses] == ["2"]
    assert held.of(["b.jpg"], IMAGE).items == (item("2", "a"), item("3", "b"))
    assert held.of(["b.jpg"], OTHER).items == ()
