"""From a verbalization to the text that a blind teacher reads in place of the image.

The order is the paper's (LSKD, section 2.2 and figure 10): concepts, narratives under numbered headings, a separator
line, regions, probes; the instruction follows in the template. The paper does not say how regions are listed in
description mode. Here the line is the same with a dash in place of `[k]`: boxes stay, because without them two regions
with like captions could not be told apart nor placed, and no number is left that the teacher could repeat.

The scripted teacher knows what the prompt says, as any other teacher: it reads these lines back and, in the wording
around them, only how many triples are asked for; a prompt of somebody else with lines of that form will do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from builders.localized.facts import PromptBox
from builders.localized.settings import Mode
from ostensive.chat.records import Message
from ostensive.records import Box, Region, Verbalization
from ostensive.text_lines import lines_of

SEPARATOR = "-" * 10
_REGIONS_HEADING = "What is where (corners top-left and bottom-right, from 0 to 1 across and from 0 to 1 down):"
_PROBES_HEADING = "Questions already answered:"
_BRACKETS = str.maketrans({"[": "(", "]": ")", "［": "(", "］": ")", "【": "(", "】": ")"})
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


def context_text(verbalization: Verbalization, mode: Mode) -> str:
    """The context in the paper's order; parts that the verbalization has not are left out with their headings."""
    overall = [" ".join(plain_line(sentence) for sentence in verbalization.concepts)]
    overall += [f"Description {k}\n{plain_line(text)}" for k, text in enumerate(verbalization.narratives, start=1)]
    detail = []
    if verbalization.regions:
        lines = [_region_line(region, mode) for region in verbalization.regions]
        detail.append("\n".join([_REGIONS_HEADING, *lines]))
    if verbalization.probes:
        pairs = [
            f"Q{k}: {plain_line(probe.question)}\nA{k}: {plain_line(probe.answer)}"
            for k, probe in enumerate(verbalization.probes)
        ]
        detail.append("\n".join([_PROBES_HEADING, *pairs]))
    first, second = ("\n\n".join(filter(None, parts)) for parts in (overall, detail))
    return f"{first}\n\n{SEPARATOR}\n\n{second}".strip()


def plain_line(text: str) -> str:
    """`text` on one line, its square brackets round: nothing but a region's own tag may look like one."""
    return " ".join(text.translate(_BRACKETS).split())


def _region_line(region: Region, mode: Mode) -> str:
    tag = f"[{region.number}]" if mode == "ids" else "-"
    return f"{tag} {plain_line(region.caption) or plain_line(region.label)} {_corners(region.box)}"


def _corners(box: Box) -> str:
    return f"[({box.x1:.2f}, {box.y1:.2f}), ({box.x2:.2f}, {box.y2:.2f})]"


@dataclass(frozen=True, slots=True)
class PromptRegion:
    """A region as the prompt gives it; `number` is None where it gives none."""

    number: int | None
    caption: str
    box: PromptBox


@dataclass(frozen=True, slots=True)
class PromptProbe:
    """A question that the prompt answers."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class PromptContext:
    """What a prompt tells of a scene."""

    sentences: tuple[str, ...]  # of concepts and narratives
    regions: tuple[PromptRegion, ...]
    probes: tuple[PromptProbe, ...]

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
    # The wording stands after the context, whose captions may hold a number of questions too.
    return _last_count(text.rpartition(f"\n{SEPARATOR}\n")[2])


@lru_cache(maxsize=64)  # the wording is the same for every image
def _last_count(wording: str) -> int:
    found = _ASKED.findall(wording)
    if not found:
        return _DEFAULT_ASKED
    count = _COUNTS.get(found[-1].lower()) or int(found[-1])
    return min(max(count, 1), _MAX_ASKED)


@lru_cache(maxsize=512)
def read_context(opening: str) -> PromptContext:
    """The context in an opening turn; an empty one where it has no lines of the known form."""
    regions = tuple(
        PromptRegion(None if match["number"] is None else int(match["number"]), match["caption"].strip(), box)
        for match in _REGION.finditer(opening)
        if (box := _box(match)) is not None
    )
    probes = tuple(PromptProbe(match["question"], match["answer"]) for match in _PROBE.finditer(opening))
    overall = opening.partition(SEPARATOR)[0] if SEPARATOR in opening else ""
    lines = [line for line in lines_of(overall) if not re.fullmatch(r"Description \d+", line)]
    sentences = tuple(dict.fromkeys(s.strip() for line in lines for s in _SENTENCE.findall(line)))
    return PromptContext(sentences, regions, probes)


def _box(match: re.Match[str]) -> PromptBox | None:
    try:
        return PromptBox(*(float(match[corner]) for corner in ("x1", "y1", "x2", "y2")))
    except ValueError:
        return None
