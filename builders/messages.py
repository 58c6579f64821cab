"""Messages as TRL reads them: lists of parts, one slot for the image of the row, and none in any text."""

from collections.abc import Mapping, Sequence
from typing import Any, Final  # Any: JSON values

from builders.image_slots import checked

Json = dict[str, Any]
_NAMES: Final[Mapping[str, str]] = {"system": "the system turn", "user": "the prompt", "assistant": "the reply"}


def text_message(role: str, text: str) -> Json:
    """A message of `system`, `user` or `assistant` without a slot; raises `SlotError` for a text that holds one."""
    return {"role": role, "content": [_text(role, text)]}


def user_message(text: str) -> Json:
    """A user's message with one image slot before its text; raises `SlotError` for a text that holds another.

    No part has a key `image`: Arrow gives every part every key, and TRL counts those without one.
    """
    return {"role": "user", "content": [{"type": "image"}, _text("user", text)]}


def assistant_message(text: str) -> Json:
    """A model's message; raises `SlotError` for a text that holds a slot."""
    return text_message("assistant", text)


def slots_in(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many images TRL will look for in messages."""
    return sum(part["type"] == "image" for message in messages for part in message["content"])


def _text(role: str, text: str) -> Json:
    return {"type": "text", "text": checked(text, _NAMES[role])}
