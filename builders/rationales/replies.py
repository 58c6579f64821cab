"""From a reply to a rationale, or to the one reason why there is none."""

from dataclasses import dataclass

from builders.asking import FILTERED, TRUNCATED
from builders.rationales import items, jabber
from builders.rationales.cleaning import clean
from builders.rationales.settings import RationalesSettings

REASONS = (
    items.NO_QUESTION,
    items.NO_ANSWER,
    items.REPEATED,
    TRUNCATED,
    FILTERED,
    jabber.REPEATS_ANSWER,
    jabber.REPEATS_QUESTION,
    jabber.TOO_SHORT,
    jabber.FEW_LETTERS,
    jabber.REPEATS_ITSELF,
)
"""Every reason for which an item is not asked, or a reply is no candidate."""


@dataclass(frozen=True, slots=True)
class Found:
    """The rationale in a reply; `reason` is empty when it may be a candidate."""

    rationale: str
    reason: str = ""
    detail: str = ""


def read_reply(text: str, finish_reason: str, item: items.Item, settings: RationalesSettings) -> Found:
    """What a reply says. One that was cut off counts where the rationale in it is whole all the same.

    Models that complete a text go on until they are stopped: then their line is whole, and what follows it is not.
    """
    if finish_reason == "content_filter":
        return Found("", FILTERED)
    cleaned = clean(text, item.answer, max_sentences=settings.max_sentences)
    if finish_reason != "stop" and not cleaned.is_whole:
        return Found(cleaned.text, TRUNCATED, f"finish reason {finish_reason!r:.40}")
    return Found(cleaned.text, jabber.jabber(cleaned.text, item.question, item.answer, settings))
