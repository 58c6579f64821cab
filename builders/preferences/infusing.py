"""Instructions with a description of their image put before the question: STIC, section 4, stage 2.

The turn of the person is the image slot, a block with the description, a blank line and the question; the answer stays
as it is. Two forms: LLaVA's JSON, where the slot is the text `<image>`, and TRL's messages, where it is a block of its
own. Every row has one image and exactly one slot for it; what would have none or two is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final  # Any: JSON values

from builders.preferences.slots import IMAGE_SLOT, SlotError, checked, has_slot, without_slot

HEADING: Final = "Image description:"

Json = dict[str, Any]


def infused_text(question: str, description: str) -> str:
    """The description under its heading, a blank line, and the question as it is, without an image slot.

    Raises `SlotError` for a question with two slots, and for a description that holds any: models write what they like.
    """
    asked = without_slot(question, "the question")
    return f"{HEADING} {checked(description, 'the description').strip()}\n\n{asked}"


def llava_row(*, row_id: str, image: str, question: str, answer: str, description: str) -> Json:
    """One row of LLaVA's JSON; `image` is a path relative to the image root."""
    turns = [
        {"from": "human", "value": question},
        {"from": "gpt", "value": answer},
    ]
    return infused_llava({"id": row_id, "image": image, "conversations": turns}, description)


def infused_llava(row: Mapping[str, Any], description: str) -> Json:
    """A row of LLaVA's JSON with the description in its first turn; all other turns and keys stay as they are.

    Raises `SlotError` for a row without an image, or with a slot in any other turn.
    """
    name = f"row {row.get('id', '(without id)')}"
    turns = list(row.get("conversations") or ())
    if not isinstance(row.get("image"), str):
        raise SlotError(f"{name} has no image; a description belongs to one")
    if not turns or turns[0].get("from") != "human":
        raise SlotError(f"{name} does not begin with a turn of human; the description goes there")
    if any(has_slot(str(turn.get("value"))) for turn in turns[1:]):
        raise SlotError(f"{name} has an image slot after its first turn, and there is one image")
    first = {**turns[0], "value": f"{IMAGE_SLOT}\n{infused_text(str(turns[0]['value']), description)}"}
    return {**row, "conversations": [first, *turns[1:]]}


def infused_messages(question: str, answer: str, description: str) -> list[Json]:
    """The messages of one supervised row for TRL; the image goes into the row's `images`, one image.

    Raises `SlotError` as `infused_text` does, and for an answer that holds a slot.
    """
    return [user_message(infused_text(question, description)), assistant_message(answer)]


def user_message(text: str) -> Json:
    """A user's message for TRL with one image slot before its text; raises `SlotError` for a text that holds another.

    No block has a key `image`: Arrow gives every block every key, and TRL counts those without one.
    """
    return {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": checked(text, "the prompt")}]}


def assistant_message(text: str) -> Json:
    """A model's message for TRL, without a slot; raises `SlotError` for a text that holds one."""
    return {"role": "assistant", "content": [{"type": "text", "text": checked(text, "the reply")}]}


def slots_in(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many images TRL will look for in messages of its form."""
    return sum(block["type"] == "image" for message in messages for block in message["content"])
