"""What a student is asked, whichever benchmark it is from: pictures, turns, choices or references, and broken rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from ostensive.records import Turn

WHY: Final = "Why?"
"""The turn of the user after which a rationale is given, as in the rows that students are trained on."""
LISTED_TWICE: Final = "listed twice"


class BrokenRowError(ValueError):
    """A row of a benchmark cannot be used; the message is a short phrase to count by."""


@dataclass(frozen=True, slots=True)
class ShownBox:
    """A box that is drawn on the picture under `number`, `[number]` in a text.

    Its corners `(x1, y1, x2, y2)` are pixels of a picture of `size_px`, width and height; None: of the picture itself.
    """

    number: int
    corners: tuple[float, float, float, float]
    size_px: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Question:
    """A picture and what is asked about it."""

    item_id: str  # no two items of a benchmark have the same
    places: tuple[str, ...]  # where the picture may lie, below the folder of images; the first that is there is taken
    turns: tuple[Turn, ...]  # up to and including the user's last; none of them has a slot for the image
    boxes: tuple[ShownBox, ...] = ()
    kind: str = ""  # by which items are counted, such as the type of question; empty for none


@dataclass(frozen=True, slots=True)
class ChoiceItem:
    """A question with texts of which one is chosen, or which are ranked."""

    question: Question
    choices: tuple[str, ...]
    lead: str  # what stands before a choice where picture and text are compared: the question, "Answer:"; may be empty
    right: tuple[int, ...] = ()  # places of the right choices; empty where there are only ratings
    ratings: tuple[tuple[float, ...], ...] = ()  # of each annotator, one a choice
    part: str = ""  # of several questions that count together: "Q->A"
    group: str = ""  # what it counts together with


@dataclass(frozen=True, slots=True)
class ReplyItem:
    """A question that is answered in words of one's own, and what the answer is held against."""

    question: Question
    references: tuple[str, ...] = ()
    label: str | None = None  # what the picture shows, which the answer should name
    aliases: tuple[str, ...] = ()  # other names for it
    concepts: tuple[str, ...] = ()  # what is to be seen of it
    objects: tuple[str, ...] | None = None  # all things in the picture; None where they are not known


Item = ChoiceItem | ReplyItem
ItemT = TypeVar("ItemT", ChoiceItem, ReplyItem)


@dataclass(slots=True)
class Read(Generic[ItemT]):
    """What a benchmark's file holds. Rows are those of the file: each gives one item or several, or is lost."""

    items: list[ItemT] = field(default_factory=list)
    rows: int = 0
    lost: Counter[str] = field(default_factory=Counter)  # rows, by reason
    passed_over: int = 0  # rows of other splits
    _ids: set[str] = field(default_factory=set)

    def add(self, items: Sequence[ItemT]) -> None:
        """A row that can be used; raises `BrokenRowError`, before it counts, where an item has the id of another."""
        ids = [item.question.item_id for item in items]
        if not self._ids.isdisjoint(ids):
            raise BrokenRowError(LISTED_TWICE)
        self._ids.update(ids)
        self.rows += 1
        self.items += items

    def lose(self, reason: str) -> None:
        """A row that cannot."""
        self.rows += 1
        self.lost[reason] += 1
