"""Unanswerable items of `localized`: a question of another picture, or about a region that shows something else."""

from dataclasses import replace
from typing import Final

from builders.localized.records import Qar
from builders.presupposition import presupposed
from ostensive.recipe_kind import Misplaced, UnanswerableItems

_OF_PICTURE: Final = (
    ("This cannot be told from the picture.", "What the question speaks of is not to be seen in it."),
    ("The picture does not say.", "Nothing in it is what the question takes for granted."),
    ("There is no telling.", "The question asks about something that this picture does not show."),
    ("It cannot be answered here.", "What it asks about is nowhere in the picture."),
)
_OF_REGION: Final = (
    ("It is not there.", "What the question speaks of is not what {region} shows."),
    ("This cannot be told of {region}.", "Something else is in it than the question takes for granted."),
    ("There is no telling.", "The question does not suit what {region} shows."),
    ("It does not hold for {region}.", "What the question asks about is not in that part of the picture."),
)


def premise(candidate: Qar) -> tuple[str, ...]:
    """What the question takes for granted."""
    return presupposed(candidate.question)


def said(candidate: Qar) -> str:
    """All of it."""
    return f"{candidate.question} {candidate.answer} {candidate.rationale}"


def make(misplaced: Misplaced) -> Qar:
    """The question with an answer that there is none; in mode `ids` about the region that it is put on."""
    asked: Qar = misplaced.candidate
    region = misplaced.region
    question, mentions = asked.question, asked.mentions
    if region is not None:
        question, mentions = question.replace(f"[{asked.mentions[0]}]", f"[{region}]"), (region,)
    answer, rationale = misplaced.draw.choice(_OF_PICTURE if region is None else _OF_REGION)
    named = f"[{region}]"
    texts = question, answer.format(region=named), rationale.format(region=named)
    return replace(
        asked,
        row_id=misplaced.row_id,
        image_id=misplaced.host.image_id,
        question=texts[0],
        answer=texts[1],
        rationale=texts[2],
        mentions=tuple(k for k in mentions if any(f"[{k}]" in text for text in texts)),
        unanswerable=misplaced.swapped,
    )


ITEMS: Final = UnanswerableItems("question", premise, said, make)
