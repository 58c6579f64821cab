"""Instructions with a description before the question, and the rows that are trained on: exactly one image slot each,
and every text as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.instructions.infusing import infused_text, infused_turns
from builders.instructions.recipe import dialogue
from builders.instructions.records import InfusedInstruction
from ostensive.image_slots import SlotError
from ostensive.records import IMAGE_SLOT, Turn
from students.rows import llava_row, messages_row, slots_in

QUESTION = "What's the cat's name: Tom, or \"Jerry\"?"
PLAIN = st.text(st.characters(exclude_characters="<[")).filter(str.strip)


def row_of(*said: str, description: str = "A cat: it sits. ", system: str = "") -> InfusedInstruction:
    turns = [Turn(("user", "assistant")[place % 2], text) for place, text in enumerate(said)]
    first = [Turn("system", system)] if system else []
    return InfusedInstruction("7", "i", "a", description, (*first, *turns), "caption_1", "t", "h", "k")


def test_a_first_turn_is_slot_description_and_question() -> None:
    row = row_of(QUESTION, "It's Tom.")
    assert llava_row(row.row_id, "a/b.jpg", dialogue(row)) == {
        "id": "7",
        "image": "a/b.jpg",
        "conversations": [
            {"from": "human", "value": f"<image>\nImage description: A cat: it sits.\n\n{QUESTION}"},
            {"from": "gpt", "value": "It's Tom."},
        ],
    }
    text = f"Image description: A cat: it sits.\n\n{QUESTION}"
    assert messages_row(dialogue(row)) == {
        "messages": [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]},
            {"role": "assistant", "content": [{"type": "text", "text": "It's Tom."}]},
        ]
    }


@given(st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=3), PLAIN, st.sampled_from(["", "Be brief."]))
def test_any_texts_come_through_with_one_slot(said: list[tuple[str, str]], description: str, system: str) -> None:
    texts = [text for pair in said for text in pair]
    row = row_of(*texts, description=description, system=system)
    values = [turn["value"] for turn in llava_row(row.row_id, "b.jpg", dialogue(row))["conversations"]]
    assert "".join(values).count(IMAGE_SLOT) == 1
    first = 1 if system else 0
    assert values[first] == f"{IMAGE_SLOT}\nImage description: {description.strip()}\n\n{texts[0].strip()}"
    assert values[first + 1 :] == texts[1:]
    assert values[:first] == [system][:first]
    messages = json.loads(json.dumps(messages_row(dialogue(row))["messages"]))
    assert slots_in(messages) == slots_in([messages[first]]) == 1
    assert [message["content"][-1]["text"] for message in messages] == [
        value.removeprefix(f"{IMAGE_SLOT}\n") for value in values
    ]


def test_a_system_turn_stays_first() -> None:
    row = row_of("Who?", "Ann.", "Why?", "So.", system="Be brief.")
    turns = dialogue(row)
    conversations = llava_row(row.row_id, "b.jpg", turns)["conversations"]
    assert [turn["from"] for turn in conversations] == ["system", *["human", "gpt"] * 2]
    assert [one["role"] for one in messages_row(turns)["messages"]] == ["system", *["user", "assistant"] * 2]


@pytest.mark.parametrize(
    ("said", "description", "message"),
    [
        (
            ("<image> and <image>: which?", "Both."),
            "A girl.",
            "the question has 2 image slots, and there is one image; leave one <image> or none",
        ),
        (("<image>\n", "Ann."), "A girl.", "the question has no text; at least one word is expected"),
        (
            ("See <|image_pad|>?", "Yes."),
            "A girl.",
            r"the question holds the image placeholder <\|image_pad\|>; take it out",
        ),
        (
            ("Who?", "Ann."),
            "A sign says <image>.",
            "the description holds the image placeholder <image>; take it out",
        ),
        (("Who?", "Ann."), " ", "the description has no text; at least one word is expected"),
        (
            ("Who?", "Here: <IMAGE>"),
            "A girl.",
            "an image slot stands outside the first question, and there is one image",
        ),
        ((), "A girl.", "no turn is the user's; the description goes there"),
    ],
)
def test_rows_without_exactly_one_slot_are_refused(said: tuple[str, ...], description: str, message: str) -> None:
    row = row_of(*said, description=description)
    with pytest.raises(SlotError, match=f"^{message}$"):
        llava_row(row.row_id, "b.jpg", dialogue(row))
    with pytest.raises(SlotError, match=f"^{message}$"):
        messages_row(dialogue(row))


def test_a_slot_of_the_question_is_taken_out() -> None:
    assert infused_text("Who?", "A girl.") == infused_text("<image>\nWho?", "A girl.")
    (turn,) = infused_turns([Turn("user", "Who?\n<image>")], "A girl.")
    assert turn.text == "Image description: A girl.\n\nWho?"
