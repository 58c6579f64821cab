"""What the scripted teacher says to the prompts of the `instructions` recipe, and to questions with a description.

It says what is true of the picture that it is shown. With an error rate it also makes the mistakes of real teachers, so
that the filters have work: an empty reply, one that is far too short, one without an end, and an image placeholder.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Final

from builders.instructions.infusing import HEADING
from builders.scripted_sight import sentences_on, shown_picture
from ostensive.chat.records import Message
from ostensive.chat.scripted import Script
from ostensive.records import IMAGE_SLOT

BLIND: Final = "There is no picture to speak of."
_WORDINGS: Final = 4  # ways in which it says what is true of a picture
_MANY_TIMES: Final = 16  # more than a reply may have


def make_script(error_rate: float = 0.0) -> Script:
    """A script that gives this share of its replies a known fault."""
    return partial(_say, error_rate=error_rate)


def _say(messages: Sequence[Message], seed: int, *, error_rate: float) -> str:
    picture = shown_picture(messages)
    if picture is None:
        return BLIND
    rng = Random(seed)  # noqa: S311 - wording, not secrets
    seen = sentences_on(picture, seed % _WORDINGS)
    if rng.random() < error_rate:
        return rng.choice(("", "A scene.", f"{IMAGE_SLOT} {seen[0]}", " ".join([*seen] * _MANY_TIMES)))
    if HEADING in messages[-1].text:
        return f"Going by what can be seen: {seen[0][:1].lower()}{seen[0][1:]}"
    return " ".join(seen[:2])
