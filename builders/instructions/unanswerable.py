"""Unanswerable items of `instructions`: a first question of another picture, beside this one's own description."""

from dataclasses import replace
from typing import Final

from builders.instructions.records import InfusedInstruction
from builders.presupposition import presupposed
from ostensive.recipe_kind import Misplaced, UnanswerableItems
from ostensive.records import Turn

_ANSWERS: Final = (
    "That cannot be told: the picture does not show what you ask about.",
    "There is nothing like that to be seen here.",
    "I cannot say, since what you speak of is not in this picture.",
    "Nothing in the picture answers that.",
)


def _opening(candidate: InfusedInstruction) -> tuple[Turn, ...]:
    """The turns up to the first question, which is the last of them."""
    first = next(place for place, turn in enumerate(candidate.turns) if turn.role == "user")
    return candidate.turns[: first + 1]


def premise(candidate: InfusedInstruction) -> tuple[str, ...]:
    """What the first question takes for granted."""
    return presupposed(_opening(candidate)[-1].text)


def said(candidate: InfusedInstruction) -> str:
    """All of it."""
    return " ".join((candidate.description, *(turn.text for turn in candidate.turns)))


def make(misplaced: Misplaced) -> InfusedInstruction:
    """The question, after the description of the picture that it is put on, with an answer that there is none."""
    asked: InfusedInstruction = misplaced.candidate
    host: InfusedInstruction = misplaced.host
    return replace(
        host,
        row_id=misplaced.row_id,
        annotation_id=asked.annotation_id,
        turns=(*_opening(asked), Turn("assistant", misplaced.draw.choice(_ANSWERS))),
        unanswerable=misplaced.swapped,
    )


ITEMS: Final = UnanswerableItems("turns", premise, said, make)
