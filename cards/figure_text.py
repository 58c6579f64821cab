"""What the card says of what is frequent in a corpus, and of how far people agreed who judged it, as Markdown."""

from collections.abc import Sequence
from typing import Final

from cards.distributions import Frequencies
from cards.markdown import inline, table
from cards.statistics.figures import QUESTION_TYPES, CorpusStatistics
from ostensive.run.agreements import AnnotatorAgreement

_LISTED: Final = 8  # values of each that the page lists; manifest and plots have more
_LONGEST: Final = 40  # characters of a value, which may be anything that stands between white space


def frequent(figures: CorpusStatistics) -> str:
    """What stands most often, as a table; empty where nothing was counted."""
    lines = [(inline(one.name), _most(one)) for one in figures.frequencies if one.total]
    if not lines:
        return ""
    told = (
        "A word is what stands between white space or dashes, or one Chinese character. Among *frequent words* are no"
        " numbers and none of English grammar."
    )
    if any(one.name == QUESTION_TYPES for one in figures.frequencies):
        told += " Types of questions are those of LSKD, by n-grams of English that are the program's own."
    return f"{table(('most frequent', 'with their shares'), lines)}\n\n{told}"


def _most(one: Frequencies) -> str:
    listed = list(one.counts.items())[:_LISTED]
    return ", ".join(f"{inline(_cut(value))} {count / one.total:.1%}" for value, count in listed)


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}\u2026"


def agreement(found: Sequence[AnnotatorAgreement]) -> str:
    """How far the people agreed who judged candidates, as a table; empty where no two judged one."""
    if not found:
        return ""
    lines = [
        (
            f"{inline(one.task)}: {inline(one.question)}",
            one.annotators,
            one.items,
            "-" if one.same_share is None else f"{one.same_share:.1%}",
            _figure(one.alpha_nominal),
            _figure(one.alpha_ordinal),
        )
        for one in found
    ]
    head = ("people were asked", "people", "items judged by several", "all said the same", "alpha", "ordinal alpha")
    return (
        f"{table(head, lines)}\n\nAlpha is Krippendorff's: 1 is full agreement, 0 is chance, - is undefined. What was"
        " judged may be more than what was kept."
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
