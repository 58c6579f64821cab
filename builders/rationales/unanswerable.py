"""Unanswerable items of `rationales`: a question of another picture, with the reason why it has no answer here."""

from dataclasses import replace
from typing import Final

from builders.presupposition import presupposed
from builders.rationales.records import Rationale
from ostensive.recipe_kind import Misplaced, UnanswerableItems

_TEXTS: Final = (
    ("cannot be told", "the picture does not show what the question asks about"),
    ("that is not to be seen here", "nothing in the picture is what the question speaks of"),
    ("there is no telling", "what the question takes for granted is not in the picture"),
    ("it is not there", "the question asks about something that this picture does not show"),
)


def premise(candidate: Rationale) -> tuple[str, ...]:
    """What the question takes for granted."""
    return presupposed(candidate.question)


def said(candidate: Rationale) -> str:
    """All of it."""
    return f"{candidate.question} {candidate.answer} {candidate.rationale}"


def make(misplaced: Misplaced) -> Rationale:
    """The question with an answer that there is none, and why; no teacher was asked for it."""
    asked: Rationale = misplaced.candidate
    answer, rationale = misplaced.draw.choice(_TEXTS)
    return replace(
        asked,
        row_id=misplaced.row_id,
        image_id=misplaced.host.image_id,
        answer=answer,
        rationale=rationale,
        unanswerable=misplaced.swapped,
        asked="",
    )


ITEMS: Final = UnanswerableItems("question", premise, said, make)
