"""From the triples of one turn to counts that add up: each triple asked for is good or has one reason why not.

A turn gives exactly as many results as triples were asked for, and one more for each triple beyond that: the place of
a faulty one is not filled with one beyond, or the counts would hide how often a teacher errs.

Region tags are written as `[k]`, whatever the teacher wrote that can mean nothing else: `[0, 2]`, `[0 and 2]`,
`[ID 0]`, `[region 2]`, `[#2]`, `[[0]]`, `\\[0\\]` and `【0】`; students read only that form. `(0)` and a bare `0` are
left alone: round brackets and numbers have other uses. `[0-2]` may be a range or a pair, so that it stands for a region
that no image has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from builders.asking import FILTERED, TRUNCATED
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

UNREADABLE = -1
"""The number of a tag that holds digits but cannot be read."""

_ESCAPED = re.compile(r"\\([\[\]])")
_FOREIGN = str.maketrans({"【": "[", "】": "]", "［": "[", "］": "]"})
_DOUBLED = re.compile(r"\[\s?(\[[^\[\]]{0,80}\])\s?\]")
_TAG = re.compile(
    r"\[\s{0,4}(?:(?:region|object|person|id|tag)s?[ :#]{0,3})?"
    r"(?P<numbers>[#+-]?[0-9]{1,40}(?:[\s,;&/#+–—-]{1,6}(?:(?:and|to)\s{1,2})?(?:(?:id|region)s?\s)?[0-9]{1,40}){0,40})"
    r"\s{0,4}\]",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"(?:\s*[,;&/]\s*(?:and\s+)?|\s+and\s+|\s+)#?(?:(?:id|region)s?\s+)?", re.IGNORECASE)
_MAX_DIGITS = 9


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


def turn_triples(turn: TurnText, limits: Limits, seen: Sequence[str] = ()) -> list[Triple | Absent]:
    """The triples of one turn, good, faulty or absent: `limits.qars` of them and one for each triple beyond.

    `seen` are the questions that were kept in the turns before. A reply with a finish reason other than "stop" is not
    whole: its last triple is dropped, those before it count; of a filtered reply nothing does.
    """
    if turn.finish_reason == "content_filter":
        return [Absent(FILTERED)] * limits.qars
    cut = turn.finish_reason != "stop"
    raws = parse_reply(turn.text)
    known = {comparable(question) for question in seen}
    found: list[Triple | Absent] = []
    for slot, raw in enumerate(raws):
        if slot >= limits.qars:
            triple = _triple(slot, raw, MORE)
        elif cut and slot == len(raws) - 1:
            triple = _triple(slot, raw, TRUNCATED, f"finish reason {turn.finish_reason!r:.40}")
        else:
            triple = _checked(slot, raw, limits, known)
        if not triple.reason:
            known.add(comparable(triple.question))
        found.append(triple)
    absent = (
        Absent(TRUNCATED, f"finish reason {turn.finish_reason!r:.40}")
        if cut
        else Absent(FEWER, f"{len(raws)} of {limits.qars}")
        if raws
        else Absent(NONE_IN_REPLY, " ".join(turn.text[:1000].split())[:200])
    )
    return found + [absent] * (limits.qars - len(raws))


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


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text with its tags in the one form, and the distinct numbers in the order of their first mention."""

    text: str
    mentions: tuple[int, ...]


def read_tags(text: str) -> Tagged:
    """`text` with every region tag as `[k]`; a tag that cannot be read stays and counts as `UNREADABLE`."""
    plain = _DOUBLED.sub(r"\1", _ESCAPED.sub(r"\1", text.translate(_FOREIGN)))
    mentions: dict[int, None] = {}

    def write(match: re.Match[str]) -> str:
        numbers = [_number(part) for part in _SEPARATOR.split(match["numbers"])]
        if min(numbers) < 0:
            numbers = [UNREADABLE]
        mentions.update(dict.fromkeys(numbers))
        if min(numbers) < 0 or max(numbers) >= 10**_MAX_DIGITS:
            return match[0]
        tags = [f"[{number}]" for number in numbers]
        return tags[0] if len(tags) == 1 else f"{', '.join(tags[:-1])} and {tags[-1]}"

    return Tagged(_TAG.sub(write, plain), tuple(mentions))


def _number(part: str) -> int:
    digits = part.strip().lstrip("#")
    if not (digits.isascii() and digits.isdigit()):
        return UNREADABLE
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS
