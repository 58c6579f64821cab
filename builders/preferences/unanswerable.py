"""Unanswerable items of `preferences`: whether the description of another picture fits, which it does not."""

from dataclasses import replace
from typing import Final

from builders.preferences.records import PreferencePair
from critics.evidence import named
from ostensive.recipe_kind import Misplaced, UnanswerableItems

WAY: Final = "other picture"
_TEXTS: Final = (
    ("Does this text describe the picture? {text}", "No, it speaks of another picture.", "Yes, it does."),
    ("Is this what the picture shows? {text}", "No, the picture does not show that.", "Yes, that is what it shows."),
    ("Somebody says of this picture: {text} Is that right?", "No, that is not to be seen here.", "Yes, that is right."),
)


def premise(candidate: PreferencePair) -> tuple[str, ...]:
    """What the preferred description names."""
    return named([candidate.chosen])


def said(candidate: PreferencePair) -> str:
    """The preferred description; the other one is false on purpose."""
    return candidate.chosen


def make(misplaced: Misplaced) -> PreferencePair:
    """A question about the description: no is to be preferred to yes."""
    pair: PreferencePair = misplaced.candidate
    prompt, chosen, rejected = misplaced.draw.choice(_TEXTS)
    return replace(
        pair,
        row_id=misplaced.row_id,
        image_id=misplaced.host.image_id,
        prompt=prompt.replace("{text}", pair.chosen),  # no `format`: the text may have braces
        chosen=chosen,
        rejected=rejected,
        way=WAY,
        corruption="",
        hallucination_prompt="",
        unanswerable=misplaced.swapped,
    )


# Two descriptions share many words of any picture. One of which half is not known of a picture does not fit it.
ITEMS: Final = UnanswerableItems("chosen", premise, said, make, max_known_share=0.5)
