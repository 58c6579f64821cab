"""From the triples of one turn to outcomes that add up: each triple asked for is good or has one reason why not.

A turn gives exactly as many outcomes as triples were asked for, and one more for each triple beyond that. Filling the
place of a faulty triple with one beyond was given up: the counts would then hide how often a teacher errs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from builders.localized.mentions import read_tags
from builders.localized.parse import RawTriple, parse_reply
from builders.localized.settings import Mode

MISSING_QUESTION = "missing question"
MISSING_ANSWER = "missing answer"
MISSING_RATIONALE = "missing rationale"
NO_REGION = "no region mentioned"
UNKNOWN_REGION = "unknown region"
REGION_IN_DESCRIPTIONS = "region mentioned in description mode"
TOO_MANY_REGIONS = "too many regions"
REPEATED = "repeated triple"
FEWER = "fewer triples than asked"
MORE = "more triples than asked"
NONE_IN_REPLY = "no triples in the reply"
TRUNCATED = "truncated reply"
FILTERED = "filtered reply"
NO_REGIONS = "no regions"

REASONS = (
    MISSING_QUESTION,
    MISSING_ANSWER,
    MISSING_RATIONALE,
    NO_REGION,
    UNKNOWN_REGION,
    REGION_IN_DESCRIPTIONS,
    TOO_MANY_REGIONS,
    REPEATED,
    FEWER,
    MORE,
    NONE_IN_REPLY,
    TRUNCATED,
    FILTERED,
    NO_REGIONS,
)
"""Every reason for which a triple is dropped before the critics."""

_NOT_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a triple of one conversation may be."""

    mode: Mode
    regions: frozenset[int]  # the numbers of the image's regions
    qars: int  # asked for in each turn
    max_mentions: int


@dataclass(frozen=True, slots=True)
class Triple:
    """A triple as the reply gave it, its tags in the one form `[k]`; `reason` is empty when it is good."""

    slot: int  # its place in the reply, from 0
    question: str
    answer: str
    rationale: str
    mentions: tuple[int, ...]
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """A triple that was asked for and is not in the reply."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TurnText:
    """What came back in one turn."""

    text: str
    finish_reason: str


def turn_outcomes(turn: TurnText, limits: Limits, seen: Sequence[str] = ()) -> list[Triple | Absent]:
    """The outcomes of one turn: `limits.qars` of them and one for each triple beyond.

    `seen` are the questions that were kept in the turns before. A reply with a finish reason other than "stop" is not
    whole: its last triple is dropped, those before it count; of a filtered reply nothing does.
    """
    if turn.finish_reason == "content_filter":
        return [Absent(FILTERED)] * limits.qars
    cut = turn.finish_reason != "stop"
    raws = parse_reply(turn.text)
    known = {comparable(question) for question in seen}
    outcomes: list[Triple | Absent] = []
    for slot, raw in enumerate(raws):
        if slot >= limits.qars:
            outcome = _triple(slot, raw, MORE)
        elif cut and slot == len(raws) - 1:
            outcome = _triple(slot, raw, TRUNCATED, f"finish reason {turn.finish_reason!r:.40}")
        else:
            outcome = _checked(slot, raw, limits, known)
        if not outcome.reason:
            known.add(comparable(outcome.question))
        outcomes.append(outcome)
    absent = (
        Absent(TRUNCATED, f"finish reason {turn.finish_reason!r:.40}")
        if cut
        else Absent(FEWER, f"{len(raws)} of {limits.qars}")
        if raws
        else Absent(NONE_IN_REPLY, " ".join(turn.text[:1000].split())[:200])
    )
    return outcomes + [absent] * (limits.qars - len(raws))


def comparable(question: str) -> str:
    """A question by its words alone: case, punctuation and white space do not make another one."""
    return _NOT_WORDS.sub(" ", question.casefold()).strip()


def _checked(slot: int, raw: RawTriple, limits: Limits, known: set[str]) -> Triple:
    triple = _triple(slot, raw, "")
    reason, detail = _fault(triple, limits, known)
    return _triple(slot, raw, reason, detail) if reason else triple


def _fault(triple: Triple, limits: Limits, known: set[str]) -> tuple[str, str]:
    for text, reason in (
        (triple.question, MISSING_QUESTION),
        (triple.answer, MISSING_ANSWER),
        (triple.rationale, MISSING_RATIONALE),
    ):
        if not text:
            return reason, ""
    mentions = triple.mentions
    tags = ", ".join(map(str, mentions[:8]))
    if limits.mode == "descriptions":
        if mentions:
            return REGION_IN_DESCRIPTIONS, f"mentions {tags}"
    elif not mentions:
        return NO_REGION, ""
    elif not limits.regions.issuperset(mentions):
        return UNKNOWN_REGION, f"mentions {tags}; the image has {len(limits.regions)} regions"
    elif len(mentions) > limits.max_mentions:
        return TOO_MANY_REGIONS, f"mentions {tags}; at most {limits.max_mentions}"
    if comparable(triple.question) in known:
        return REPEATED, ""
    return "", ""


def _triple(slot: int, raw: RawTriple, reason: str, detail: str = "") -> Triple:
    question, answer, rationale = (read_tags(text) for text in (raw.question, raw.answer, raw.rationale))
    mentions = dict.fromkeys((*question.mentions, *answer.mentions, *rationale.mentions))
    return Triple(slot, question.text, answer.text, rationale.text, tuple(mentions), reason, detail)
