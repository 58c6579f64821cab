"""Infused instructions as rows for supervised training, for TRL and for LLaVA; exactly one image slot each.

A row for TRL has its one picture in a column `images`; TRL takes a table without that column for one of text.
"""

from typing import Final

from builders.image_slots import checked
from builders.instructions.infusing import infused_turns
from builders.instructions.records import InfusedInstruction
from builders.messages import Json, text_message, user_message
from ostensive.records import IMAGE_SLOT

_LLAVA: Final = {"system": "system", "user": "human", "assistant": "gpt"}


def messages_row(row: InfusedInstruction) -> dict[str, list[Json]]:
    """The messages of a row without its picture, the slot in the first one of the user; raises `SlotError`."""
    turns = infused_turns(row.turns, row.description)
    first = next(place for place, turn in enumerate(turns) if turn.role == "user")
    return {
        "messages": [
            user_message(turn.text) if place == first else text_message(turn.role, turn.text)
            for place, turn in enumerate(turns)
        ]
    }


def llava_row(row: InfusedInstruction, image: str) -> Json:
    """A row of LLaVA's JSON; `image` is a path relative to the image root. Raises `SlotError`.

    A turn of system is a turn as in ShareGPT's form; LLaVA's own training script knows none.
    """
    turns = infused_turns(row.turns, row.description)
    first = next(place for place, turn in enumerate(turns) if turn.role == "user")
    said = [checked(turn.text, f"turn {place}") for place, turn in enumerate(turns, 1)]
    said[first] = f"{IMAGE_SLOT}\n{said[first]}"
    conversations = [{"from": _LLAVA[turn.role], "value": text} for turn, text in zip(turns, said, strict=True)]
    return {"id": row.row_id, "image": image, "conversations": conversations}
