"""Unanswerable items of `explanations`: whether a picture shows the label of another one."""

from dataclasses import replace
from typing import Final

from builders.explanations.records import Explanation
from critics.evidence import named
from critics.explanation_measures import distinct_trigrams
from ostensive.recipe_kind import Misplaced, UnanswerableItems

QUERY_KIND: Final = "presence"
WAY: Final = "not there"
_TEXTS: Final = (
    ("Somebody filed this picture under “{label}”. Rightly?", "No, nothing in it is “{label}”."),
    ("Does the label “{label}” fit what is shown?", "No, the picture does not show “{label}”."),
    ("By which visible features is “{label}” recognised here?", "By none: “{label}” is not to be seen."),
    ("What in this picture says “{label}”?", "Nothing does: the picture is not of “{label}”."),
)


def premise(candidate: Explanation) -> tuple[str, ...]:
    """The label, which must not be that of the picture about which it is asked."""
    return named([_spoken(candidate.label)])


def said(candidate: Explanation) -> str:
    """The label and what was said of it."""
    return f"{_spoken(candidate.label)} {candidate.query} {candidate.answer}"


def _spoken(label: str) -> str:
    return label.replace("_", " ")


def make(misplaced: Misplaced) -> Explanation:
    """A question for a label that the picture does not have, and the answer that it is not there."""
    absent, host = misplaced.candidate, misplaced.host
    query, answer = misplaced.draw.choice(_TEXTS)
    label = _spoken(absent.label)
    spoken = answer.replace("{label}", label)
    made: Explanation = replace(
        absent,
        row_id=misplaced.row_id,
        image_id=host.image_id,
        label=host.label,
        query=query.replace("{label}", label),
        answer=spoken,
        concepts=(),
        explains=None,
        concept_share=None,
        distinct_trigrams=round(distinct_trigrams(spoken), 4),
        way=WAY,
        query_kind=QUERY_KIND,
        unanswerable=misplaced.swapped,
    )
    return made


# Labels of one kind share words ("black-footed albatross", "sooty albatross"), and are worth telling apart.
ITEMS: Final = UnanswerableItems("query", premise, said, make, max_known_share=0.5)
