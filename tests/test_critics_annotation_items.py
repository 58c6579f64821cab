"""Items from candidates and from files, and texts cut at their tags."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_run import candidate, triple_item
from critic_context import CAPTIONS, caption
from hypothesis import given
from hypothesis import strategies as st

from critics.annotation.items import Item, TextSpan, candidate_item, read_items, spans_of
from critics.annotation.tasks import TASKS
from ostensive.errors import SettingsError
from ostensive.recipe_kind import ShownText

IMAGE = "ab" * 32
RATING: dict[str, Any] = {"image_id": IMAGE, "question": "Why?", "answer": "So.", "rationale": "Because of [3]."}


@given(st.lists(st.sampled_from(["[0]", "[12]", "[x]", "[", "]", "[1", " ", "a[2]b", "\u202e", "<b>"])).map("".join))
def test_spans_put_together_are_the_text(text: str) -> None:
    spans = list(spans_of(text))
    assert "".join(span.text for span in spans) == text
    assert all((span.number is None) == (f"[{span.number}]" != span.text) for span in spans)
    assert all(span.text for span in spans)


def test_tags_are_spans_of_their_own() -> None:
    assert list(spans_of("Is [0] left of [12]?")) == [
        TextSpan("Is "),
        TextSpan("[0]", 0),
        TextSpan(" left of "),
        TextSpan("[12]", 12),
        TextSpan("?"),
    ]
    assert list(spans_of("")) == []


def test_the_item_of_a_candidate() -> None:
    row = candidate(IMAGE, 4, answer="[1] and [0], not [1].")
    item = triple_item(row)
    assert (item.task, item.item_id, item.image_id) == ("triple", row.row_id, IMAGE)
    assert [text.name for text in item.texts] == ["question", "answer", "rationale"]
    assert item.text("answer").text == "[1] and [0], not [1]."
    assert item.mentions == (1, 2)  # as the recipe says, whatever else is in brackets


def test_the_item_of_a_candidate_of_any_recipe() -> None:
    row = caption("A dog.", note="a dog [1]", image_id=IMAGE)
    item = candidate_item(TASKS["accept"], row, CAPTIONS)
    assert (item.task, item.item_id, item.image_id, item.mentions) == ("accept", row.row_id, IMAGE, ())
    assert item.texts == (ShownText("note", "a dog [1]"), ShownText("caption", "A dog."))


def test_items_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    rows = [RATING, {**RATING, "item_id": "mine", "answer": "So\u2028so.", "unknown": 1}]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n", "utf-8")
    first, second = read_items(path, TASKS["rating"])
    assert first.texts == (
        ShownText("question", "Why?"),
        ShownText("answer", "So."),
        ShownText("rationale", "Because of [3].", (3,)),
    )
    assert first.mentions == (3,)
    assert len(first.item_id) == 16
    assert (second.item_id, second.text("answer").text) == ("mine", "So\u2028so.")
    assert read_items(path, TASKS["rating"])[0] == first


def test_items_of_parquet(tmp_path: Path) -> None:
    row = {"image_id": IMAGE, "prompt": "Describe it.", "chosen": "A cat.", "rejected": "A dog."}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "pairs.parquet")
    (item,) = read_items(tmp_path / "pairs.parquet", TASKS["preference"])
    assert item.text("rejected").text == "A dog."
    assert isinstance(item, Item)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([RATING, RATING], r"line 2: the item '\w{16}' is there already; give each its own item_id"),
        ([{**RATING, "answer": " "}], r"line 1: answer is ' '; a text is expected \(columns: image_id, question, ans"),
        ([{**RATING, "answer": 3}], "line 1: answer is 3; a text is expected"),
        ([{"image_id": IMAGE}], "line 1: question is None; a text is expected"),
        ([{**RATING, "image_id": "cat.jpg"}], "line 1: image_id is 'cat.jpg'; 64 hexadecimal digits are expected"),
        ([{**RATING, "item_id": 7}], "line 1: item_id is 7; a text of at most 200 characters is expected"),
        ([3], "line 1: one object a line is expected, not 3"),
        ([], "holds no items; one a line is expected, with image_id, question, answer, rationale"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, rows: list[object], message: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(SettingsError, match=message) as caught:
        read_items(path, TASKS["rating"])
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no\.jsonl: cannot be read: No such file or directory"):
        read_items(tmp_path / "no.jsonl", TASKS["rating"])
    with pytest.raises(SettingsError, match=r"no\.parquet: cannot be read: No such file or directory"):
        read_items(tmp_path / "no.parquet", TASKS["rating"])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SettingsError, match=r"bad\.parquet: cannot be read as a Parquet file"):
        read_items(tmp_path / "bad.parquet", TASKS["rating"])
    (tmp_path / "bad.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        SettingsError, match=r"bad\.jsonl: is not UTF-8; JSON Lines or a file whose name ends in .parquet"
    ):
        read_items(tmp_path / "bad.jsonl", TASKS["rating"])
    (tmp_path / "cut.jsonl").write_text('{"image_id": ')
    with pytest.raises(SettingsError, match=r"cut\.jsonl, line 1: not JSON \(.*\); one object a line is expected"):
        read_items(tmp_path / "cut.jsonl", TASKS["rating"])
