"""What the scripted teacher says to the prompts of the `preferences` recipe.

It says what is true of the picture that it is shown, a corrupted one too, as much as the prompt asks for; asked to make
things up it adds some. With an error rate it also makes the mistakes of real teachers, so that the filters have work:
an empty reply, one that is far too short, one without an end, and none of the things that it was to make up.
"""

import re
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Final

from builders.scripted_sight import sentences_on, shown_picture
from ostensive.chat.records import Message
from ostensive.chat.scripted import Script

BLIND: Final = "There is no picture to speak of."
_IMAGINING: Final = re.compile(
    r"\b(?:imagin|invent|add\b|work in|would be logical|outside the frame|absent)", re.IGNORECASE
)
_POINTS: Final = re.compile(r"^- ", re.MULTILINE)
_INVENTED: Final = (
    "A dog sleeps in one corner.",
    "A child in a yellow raincoat waves from behind.",
    "Two birds sit on a wire above it all.",
    "A red bicycle leans at the side.",
    "Somebody has left an open umbrella there.",
    "A small brass telescope stands in front.",
    "Rain falls on everything.",
    "An old radio plays on a stool.",
    "A ladder reaches up out of sight.",
    "Three balloons drift over the scene.",
    "A toy tractor with blue wheels is parked below.",
    "A cat watches from a windowsill.",
)
_WORDINGS: Final = 4  # ways in which it says what is true of a picture
_MANY_TIMES: Final = 16  # more than a reply may have


def make_script(error_rate: float = 0.0) -> Script:
    """A script that gives this share of its replies a known fault."""
    return partial(_say, error_rate=error_rate)


def _say(messages: Sequence[Message], seed: int, *, error_rate: float) -> str:
    picture = shown_picture(messages)
    if picture is None:
        return BLIND
    prompt = messages[-1].text
    rng = Random(seed)  # noqa: S311 - wording, not secrets
    seen = sentences_on(picture, seed % _WORDINGS)
    imagines = _IMAGINING.search(prompt) is not None
    if rng.random() < error_rate:
        return _fault(seen, rng, imagines=imagines)
    if imagines:
        return " ".join([*seen[:4], *rng.sample(_INVENTED, 3)])
    if len(_POINTS.findall(prompt)) > 2:
        return " ".join(seen)
    return " ".join(seen[:2])


def _fault(seen: Sequence[str], rng: Random, *, imagines: bool) -> str:
    faults = ["", "A scene.", " ".join([*seen] * _MANY_TIMES)]
    if imagines:
        faults.append(" ".join(seen))  # word for word the chosen side
    return rng.choice(faults)
