"""Instructions with a description of their image put before the question: STIC, section 4, stage 2.

The first turn of the user becomes a block with the description, a blank line and the question; all else stays as it is.
The one image slot of the row comes in front of that when training rows are made of it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ostensive.image_slots import SlotError, checked, has_slot, without_slot
from ostensive.records import Turn

HEADING: Final = "Image description:"


def infused_text(question: str, description: str) -> str:
    """The description under its heading, a blank line, and the question as it is, without an image slot.

    Raises `SlotError` for a question with two slots, and for a description that holds any: models write what they like.
    """
    asked = without_slot(question, "the question")
    return f"{HEADING} {checked(description, 'the description').strip()}\n\n{asked}"


def infused_turns(turns: Sequence[Turn], description: str) -> tuple[Turn, ...]:
    """The turns with the description in the first one of the user; all others stay.

    Raises `SlotError` as `infused_text` does, where there is no turn of the user, and for a slot in another turn.
    """
    first = next((place for place, turn in enumerate(turns) if turn.role == "user"), None)
    if first is None:
        raise SlotError("no turn is the user's; the description goes there")
    if any(has_slot(turn.text) for place, turn in enumerate(turns) if place != first):
        raise SlotError("an image slot stands outside the first question, and there is one image")
    asked = turns[first]
    return (*turns[:first], replace(asked, text=infused_text(asked.text, description)), *turns[first + 1 :])
