"""Reading a prompt back: what the scripted teacher knows is what the prompt says, as for any other teacher.

It understands the lines of `builders.localized.context` and, in the wording around them, only how many triples are
asked for; a prompt of somebody else with lines of that form will do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from builders.localized.context import SEPARATOR
from builders.localized.facts import NotedBox
from ostensive.chat.records import Message

_REGION = re.compile(
    r"^(?:\[(?P<number>\d{1,6})\]|-) (?P<caption>.*?) ?\[\((?P<x1>[\d.]{1,8}), (?P<y1>[\d.]{1,8})\), "
    r"\((?P<x2>[\d.]{1,8}), (?P<y2>[\d.]{1,8})\)\]$",
    re.MULTILINE,
)
_PROBE = re.compile(r"^Q(?P<number>\d{1,4}): (?P<question>.+)\nA(?P=number): (?P<answer>.+)$", re.MULTILINE)
_COUNTS = {
    word: count
    for count, word in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=1
    )
}
_ASKED = re.compile(
    rf"\b(\d{{1,2}}|{'|'.join(_COUNTS)}) (?:more |other |new |further )?(?:triples?|responses?|qars?|questions?)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?]+[.!?]")
_DEFAULT_ASKED = 3
_MAX_ASKED = 50


@dataclass(frozen=True, slots=True)
class NotedRegion:
    """A region as the prompt gives it; `number` is None where it gives none."""

    number: int | None
    caption: str
    box: NotedBox


@dataclass(frozen=True, slots=True)
class NotedProbe:
    """A question that the prompt answers."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Notes:
    """What a prompt tells of a scene."""

    sentences: tuple[str, ...]  # of concepts and narratives
    regions: tuple[NotedRegion, ...]
    probes: tuple[NotedProbe, ...]

    @property
    def with_numbers(self) -> bool:
        """Whether regions are spoken of by number."""
        return any(region.number is not None for region in self.regions)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the teacher now: `asked` triples after the `before` of the earlier turns."""

    opening: str
    asked: int
    before: int


def read_request(messages: Sequence[Message]) -> Request | None:
    """What the messages ask for, or None when they do not ask for rationales at all."""
    turns = [message.text for message in messages if message.role == "user"]
    if not turns or "rationale" not in turns[0].lower():
        return None
    counts = [asked_for(turn) for turn in turns]
    return Request(turns[0], counts[-1], sum(counts[:-1]))


def asked_for(text: str) -> int:
    """How many triples a turn asks for: the last such number in it, or three."""
    # The wording stands after the notes, whose captions may hold a number of questions too.
    return _last_count(text.rpartition(f"\n{SEPARATOR}\n")[2])


@lru_cache(maxsize=64)  # the wording is the same for every image
def _last_count(wording: str) -> int:
    found = _ASKED.findall(wording)
    if not found:
        return _DEFAULT_ASKED
    count = _COUNTS.get(found[-1].lower()) or int(found[-1])
    return min(max(count, 1), _MAX_ASKED)


@lru_cache(maxsize=512)
def read_notes(opening: str) -> Notes:
    """The notes in an opening turn; empty ones where it has no lines of the known form."""
    regions = tuple(
        NotedRegion(None if match["number"] is None else int(match["number"]), match["caption"].strip(), box)
        for match in _REGION.finditer(opening)
        if (box := _box(match)) is not None
    )
    probes = tuple(NotedProbe(match["question"], match["answer"]) for match in _PROBE.finditer(opening))
    overall = opening.partition(SEPARATOR)[0] if SEPARATOR in opening else ""
    lines = [line for line in overall.splitlines() if not re.fullmatch(r"Description \d+", line)]
    sentences = tuple(dict.fromkeys(s.strip() for line in lines for s in _SENTENCE.findall(line)))
    return Notes(sentences, regions, probes)


def _box(match: re.Match[str]) -> NotedBox | None:
    try:
        return NotedBox(*(float(match[corner]) for corner in ("x1", "y1", "x2", "y2")))
    except ValueError:
        return None
