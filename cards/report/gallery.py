"""The rows of a report's gallery as plain values, as many as there is room for.

What rows share is there once: pictures, requests, and texts, of which the turns of a conversation repeat many. A row
costs what it adds, and one that would be too much is left out with all that it alone would bring.
"""

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final  # Any: JSON values

import pyarrow as pa

from cards.lineage import Lineage, Request
from cards.lineage_text import (
    annotation_lines,
    field_lines,
    judged_lines,
    place_lines,
    probabilities,
    region_line,
    request_lines,
    step_lines,
    text_lines,
    with_detail,
)
from cards.statistics.question_types import question_types
from cards.statistics.words import openings_of, words_of
from ostensive.records import ImageRecord

MAX_TEXT_CHARS: Final = 4_000  # of a text that is shown
MAX_PROMPT_CHARS: Final = 8_000  # of a message or a reply
_MAX_LINES: Final = 200  # of a list
_IMAGES_SHARE: Final = 0.6  # of the room, for pictures; when it is used up, rows about these pictures come in
_OPENING_WORDS: Final = 2
_OPENING_CHARS: Final = 40
_OPENING_READ: Final = 1_000  # characters of a text in which its first words are looked for
# What would end the script that the data stand in, or a line of it for an older reader.
_ESCAPES: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}

Place = tuple[int, int, int]
"""Where a row was made: partition, image, row."""


def page_json(value: Any) -> str:
    """`value` as JSON that may stand in a script of a page; raises `ValueError` for what JSON has no word for."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def opening_of(text: str, *, has_tags: bool) -> str:
    """The first words of a text as `cards.statistics` counts them, by which questions are told apart; may be empty."""
    words = words_of(pa.array([text[:_OPENING_READ]], pa.string()), has_tags=has_tags)
    return next(iter(openings_of(words, _OPENING_WORDS)), "")[:_OPENING_CHARS]


def types_of(questions: Sequence[str]) -> list[str]:
    """The types of questions as `cards.statistics` has them, each once, in alphabetical order."""
    counts = question_types(pa.array(questions, pa.string()))
    return sorted(name for name, count in counts.items() if count)


@dataclass(slots=True)
class _Pool:
    """Values that several rows may name by their number."""

    numbers: dict[Hashable, int] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)

    def number(self, key: Hashable, make: Callable[[], Any]) -> int:
        if key not in self.numbers:
            self.numbers[key] = len(self.values)
            self.values.append(make())
        return self.numbers[key]

    def cut(self, count: int) -> None:
        """Forgets what came after the first `count`."""
        del self.values[count:]
        self.numbers = {key: number for key, number in self.numbers.items() if number < count}


class Gallery:
    """Rows of a page that may take `max_bytes` of JSON in UTF-8."""

    def __init__(self, max_bytes: int, thumbnail: Callable[[ImageRecord], str], *, has_tags: bool) -> None:
        """`thumbnail` gives an image's address, empty where there is none; `has_tags` where texts mention regions."""
        self._left, self._left_for_images = max_bytes, round(max_bytes * _IMAGES_SHARE)
        self._thumbnail, self._has_tags = thumbnail, has_tags
        self.is_full_of_images = False
        self._pools = {"texts": _Pool(), "images": _Pool(), "exchanges": _Pool()}
        self._rows: list[tuple[Place, dict[str, Any]]] = []

    def add(self, lineage: Lineage, place: Place) -> bool:
        """Takes a row in, unless there is no room for it."""
        before = {name: len(pool.values) for name, pool in self._pools.items()}
        row = self._row(lineage)
        added = [value for name, pool in self._pools.items() for value in pool.values[before[name] :]]
        cost = sum(len(page_json(value).encode("utf-8")) + 1 for value in (row, *added))
        images = self._pools["images"].values[before["images"] :]
        images_cost = sum(len(image["address"]) for image in images)
        self.is_full_of_images |= images_cost > self._left_for_images
        if cost > self._left or images_cost > self._left_for_images:
            for name, pool in self._pools.items():
                pool.cut(before[name])
            return False
        self._left -= cost
        self._left_for_images -= images_cost
        self._rows.append((place, row))
        return True

    def has_image(self, image_id: str) -> bool:
        """Whether a row that is there is about this image."""
        return image_id in self._pools["images"].numbers

    def __len__(self) -> int:
        return len(self._rows)

    def values(self) -> dict[str, Any]:
        """All that the page's script reads, rows in the order in which they were made."""
        rows = [row for _, row in sorted(self._rows, key=lambda one: one[0])]
        return {**{name: pool.values for name, pool in self._pools.items()}, "rows": rows}

    def _text(self, text: str, most: int = MAX_TEXT_CHARS) -> int:
        kept = clipped(text, most)
        return self._pools["texts"].number(kept, lambda: kept)

    def _lines(self, lines: Iterable[str]) -> list[int]:
        return [self._text(line) for line, _ in zip(lines, range(_MAX_LINES), strict=False) if line]

    def _row(self, found: Lineage) -> dict[str, Any]:
        scores = {name: round(value, 4) for name, value in probabilities(found).items()}
        judged = [round(one.accept_probability, 4) for one in found.judgements]
        first = found.texts[0].text if found.texts else ""
        return {
            "id": clipped(found.row_id, 200),
            "image": self._pools["images"].number(found.image.image_id, lambda: self._image(found)),
            "state": found.fate.state,
            "why": f"{found.fate.stage}: {found.fate.reason}" if found.fate.reason else "",
            "fate": self._text(with_detail(found.fate.cause, found.fate.detail)),
            "split": found.place.split if found.place else found.split or "",
            "opening": opening_of(first, has_tags=self._has_tags),
            "types": types_of(found.questions),
            "texts": [[text.name, self._text(text.text), list(text.mentions)] for text in found.texts],
            "scores": scores,
            "least": min(judged or scores.values(), default=None),
            "teacher": self._text(f"{found.teacher}, prompts {found.prompt_hash}"),
            "fields": self._lines(field_lines(found)),
            "steps": self._lines(step_lines(found)),
            "judged": self._lines(judged_lines(found)),
            "place": self._lines(place_lines(found)),
            "requests": [self._request(request, found.journal_note) for request in found.requests],
            "others": [
                self._text(f"{other.row_id}, {other.fate.words}: {clipped(other.text, 200)}")
                for other in found.same_reply[:_MAX_LINES]
            ],
        }

    def _image(self, found: Lineage) -> dict[str, Any]:
        image, known = found.image, found.verbalization
        regions = known.regions if known is not None else ()
        return {
            "id": image.image_id,
            "source": clipped(image.source, 500),
            "about": f"{image.width} x {image.height}, {image.format}, {image.byte_count:,} bytes",
            "width": image.width,
            "height": image.height,
            "address": self._thumbnail(image),
            "regions": [
                [region.number, *(round(corner, 4) for corner in _corners(region)), self._text(region_line(region))]
                for region in regions[:_MAX_LINES]
            ],
            "known": self._lines(text_lines(known)) if known is not None else [],
            "beside": self._lines(annotation_lines(found.annotations)),
        }

    def _request(self, request: Request, note: str) -> dict[str, Any]:
        exchange = request.exchange
        if exchange is None:
            return {"field": request.field, "key": request.key, "note": self._text(note)}
        number = self._pools["exchanges"].number(request.key, lambda: self._exchange(request))
        return {"field": request.field, "key": request.key, "exchange": number}

    def _exchange(self, request: Request) -> dict[str, Any]:
        exchange = request.exchange
        assert exchange is not None, "only what the journal has is shown"
        reply = exchange.response if exchange.reply is None else exchange.reply
        return {
            "about": self._lines(request_lines(request)),
            "messages": [
                [message.role, self._text(message.text, MAX_PROMPT_CHARS), self._lines(message.pictures)]
                for message in exchange.messages
            ],
            "ending": exchange.finish_reason,
            "reply": self._text(reply, MAX_PROMPT_CHARS),
        }


def _corners(region: Any) -> tuple[float, float, float, float]:
    box = region.box
    return box.x1, box.y1, box.x2, box.y2


def clipped(text: str, most: int) -> str:
    """`text` cut to `most` characters, with how many more there are."""
    more = len(text) - most
    return text if more <= 0 else f"{text[:most]}... ({more:,} characters more)"
