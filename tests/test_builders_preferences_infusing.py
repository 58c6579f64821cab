"""Rows for training: exactly one image slot each, and every text as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.preferences.infusing import infused_llava, infused_messages, infused_text, llava_row, slots_in
from builders.preferences.records import PreferencePair
from builders.preferences.slots import IMAGE_SLOT, SlotError, has_slot, without_slots
from builders.preferences.training_rows import preference_row

QUESTION = "What's the cat's name: Tom, or \"Jerry\"?"
PLAIN = st.text(st.characters(exclude_characters="<[")).filter(str.strip)


def test_a_first_turn_is_slot_description_and_question() -> None:
    row = llava_row(row_id="7", image="a/b.jpg", question=QUESTION, answer="It's Tom.", description="A cat: it sits. ")
    assert row == {
        "id": "7",
        "image": "a/b.jpg",
        "conversations": [
            {"from": "human", "value": f"<image>\nImage description: A cat: it sits.\n\n{QUESTION}"},
            {"from": "gpt", "value": "It's Tom."},
        ],
    }


@given(PLAIN, PLAIN, PLAIN, st.sampled_from(["", "<image>\n", "\n<image>"]))
def test_any_texts_come_through_with_one_slot(question: str, answer: str, description: str, slot: str) -> None:
    asked = f"{slot}{question}" if slot.endswith("\n") else f"{question}{slot}"
    row = llava_row(row_id="7", image="b.jpg", question=asked, answer=answer, description=description)
    said = [turn["value"] for turn in row["conversations"]]
    assert "".join(said).count(IMAGE_SLOT) == 1
    assert said[0].startswith(f"{IMAGE_SLOT}\n")
    assert said[0].endswith(f"\n\n{question.strip()}")
    assert said[1] == answer
    messages = json.loads(json.dumps(infused_messages(asked, answer, description)))
    assert slots_in(messages) == 1
    assert messages[0]["content"][1]["text"] == said[0].removeprefix(f"{IMAGE_SLOT}\n")
    assert messages[1] == {"role": "assistant", "content": [{"type": "text", "text": answer}]}


def test_later_turns_and_other_keys_stay() -> None:
    turns = [{"from": "human", "value": "<image>\nWho?"}, {"from": "gpt", "value": "Ann."}]
    more = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]
    row = {"id": 3, "image": "b.jpg", "source": "x", "conversations": [*turns, *more]}
    found = infused_llava(row, "A girl.")
    assert found["conversations"][0]["value"] == "<image>\nImage description: A girl.\n\nWho?"
    assert found["conversations"][1:] == [turns[1], *more]
    assert (found["id"], found["source"]) == (3, "x")
    assert row["conversations"] == [*turns, *more], "the row that was given is left as it is"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"question": "<image> and <image>: which?"},
            "the question has 2 image slots, and there is one image; leave one <image> or none",
        ),
        ({"question": "<image>\n"}, "the question has no text; at least one word is expected"),
        ({"question": "See <|image_pad|>?"}, r"the question holds the image placeholder <\|image_pad\|>; take it out"),
        ({"description": "A sign says <image>."}, "the description holds the image placeholder <image>; take it out"),
        ({"description": " "}, "the description has no text; at least one word is expected"),
        ({"answer": "Here: <IMAGE>"}, "row 7 has an image slot after its first turn, and there is one image"),
    ],
)
def test_rows_without_exactly_one_slot_are_refused(changes: dict[str, str], message: str) -> None:
    texts = {"question": "Who?", "answer": "Ann.", "description": "A girl.", **changes}
    with pytest.raises(SlotError, match=f"^{message}$"):
        llava_row(row_id="7", image="b.jpg", **texts)
    with pytest.raises(SlotError):
        infused_messages(**texts)


def test_rows_that_are_none_of_llava_are_refused() -> None:
    with pytest.raises(SlotError, match=r"^row 1 has no image; a description belongs to one$"):
        infused_llava({"id": 1, "conversations": [{"from": "human", "value": "Who?"}]}, "A girl.")
    with pytest.raises(SlotError, match="row 1 does not begin with a turn of human; the description goes there"):
        infused_llava({"id": 1, "image": "b.jpg", "conversations": [{"from": "gpt", "value": "Ann."}]}, "A girl.")
    with pytest.raises(SlotError, match=r"row \(without id\) does not begin with a turn of human"):
        infused_llava({"image": "b.jpg"}, "A girl.")


@pytest.mark.parametrize(
    "text",
    ["<image>", "<IMAGE>", "a <|image|> b", "<|vision_start|>", "<start_of_image>", "<image_soft_token>", "[IMG]"],
)
def test_placeholders_of_several_models_are_known(text: str) -> None:
    assert has_slot(text)
    assert not has_slot(without_slots(text))


@pytest.mark.parametrize("text", ["an image", "<images>", "image>", "< image >", "[img 1]", "a < b"])
def test_words_are_no_placeholders(text: str) -> None:
    assert not has_slot(text)
    assert without_slots(text) == text


def pair(**changes: str) -> PreferencePair:
    texts = {"prompt": "What is it?", "chosen": "A cat's tail: long.", "rejected": "Rain.", **changes}
    lineage = dict.fromkeys(("row_id", "image_id", "way", "corruption", "hallucination_prompt", "teacher"), "x")
    keys = dict.fromkeys(("prompt_hash", "request_key", "rejected_request_key"), "k")
    return PreferencePair(**texts, **lineage, **keys, round=0)


def test_a_pair_as_it_is_trained_on() -> None:
    row = preference_row(pair())
    assert row == {
        "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}],
        "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "A cat's tail: long."}]}],
        "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "Rain."}]}],
    }
    assert [slots_in(row[side]) for side in ("prompt", "chosen", "rejected")] == [1, 0, 0]
    with pytest.raises(SlotError, match=r"^the reply holds the image placeholder <image>; take it out$"):
        preference_row(pair(rejected="An <image>."))


def test_arrow_adds_no_image_to_a_block() -> None:
    """TRL counts the blocks of type image that have no key `image`; Arrow gives every block every key that one has."""
    import pyarrow as pa

    (row,) = pa.Table.from_pylist([preference_row(pair())]).to_pylist()
    blocks = [block for messages in row.values() for message in messages for block in message["content"]]
    assert [block["type"] for block in blocks] == ["image", "text", "text", "text"]
    assert not any("image" in block for block in blocks)


def test_a_question_alone_needs_no_slot() -> None:
    assert infused_text("Who?", "A girl.") == infused_text("<image>\nWho?", "A girl.")
