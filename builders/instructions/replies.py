"""Whether a reply is a description, or the one reason why it is none."""

from typing import Any, Final  # Any: the record of a loss is for the stage to give

from builders.asking import FILTERED, TRUNCATED, whole_reply
from ostensive.chat.records import Reply
from ostensive.image_slots import has_slot
from ostensive.stage import Dropped

NO_DESCRIPTION: Final = "missing description"
SLOT: Final = "image placeholder in the description"
REASONS: Final = (NO_DESCRIPTION, TRUNCATED, FILTERED, SLOT)
"""Every reason for which a reply is no description."""


def fault_of(reply: Reply) -> Dropped[Any] | None:
    """Why a reply is no description; None where it is one."""
    whole = whole_reply(reply)
    if isinstance(whole, Dropped):
        return whole
    if not any(character.isalnum() for character in reply.text):
        return Dropped(NO_DESCRIPTION)
    return Dropped(SLOT) if has_slot(reply.text) else None
