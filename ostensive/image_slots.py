"""What stands for an image in the text of a training row, and how it is kept out of the texts of models and people.

A row has one image, and one slot for it. Many processors take a placeholder for the image's own wherever it stands: a
text that holds one by accident would put the image there, or make a row that cannot be read.
"""

import re
from typing import Final

from ostensive.errors import OstensiveError
from ostensive.records import IMAGE_SLOT

_SLOTS: Final = re.compile(
    r"<\|?(?:image|image_pad|image_soft_token|start_of_image|vision_start|vision_end|img|imgpad)\|?>|\[IMG\]",
    re.IGNORECASE,
)


class SlotError(OstensiveError):
    """A row would not have exactly one slot for its image."""


def has_slot(text: str) -> bool:
    """Whether a text holds what some model takes for the place of an image."""
    return _SLOTS.search(text) is not None


def without_slots(text: str) -> str:
    """A model's text without any placeholder, stripped; it may be empty then."""
    return _SLOTS.sub("", text).strip()


def without_slot(text: str, where: str) -> str:
    """`text` without LLaVA's placeholder, stripped; at most one is taken out.

    Raises `SlotError` naming `where` for more than one, or for a placeholder of another kind.
    """
    slots = text.count(IMAGE_SLOT)
    if slots > 1:
        raise SlotError(f"{where} has {slots} image slots, and there is one image; leave one {IMAGE_SLOT} or none")
    return checked(text.replace(IMAGE_SLOT, "").strip(), where)


def checked(text: str, where: str) -> str:
    """`text` as it is; raises `SlotError` naming `where` if it holds a placeholder of any kind, or is empty."""
    if found := _SLOTS.search(text):
        raise SlotError(f"{where} holds the image placeholder {found[0]}; take it out")
    if not text.strip():
        raise SlotError(f"{where} has no text; at least one word is expected")
    return text
