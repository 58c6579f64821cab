"""Which regions a phrase means: by number, or by a description that exactly one region fits.

A region fits a description when the noun is its label or the noun of its caption (a general noun, "person", covers
those that it contains), and every other word stands in its label or caption. What may fit as well, because a label says
less than the description, is a second region, and then nothing is decided: a statement about the wrong thing would be
refuted by boxes that it does not speak of.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from critics.geometry.measuring import Found, inside_share, lead, placed
from critics.geometry.statements import (
    Compared,
    Described,
    Everything,
    Extreme,
    Listed,
    Numbers,
    Others,
    Phrase,
    Placed,
    Pronoun,
)
from critics.geometry.words import GENERIC, KINDS, singular
from critics.lexicon import words_of
from ostensive.records import AREA_LABEL, Box, Region

UNKNOWN: Final = "no region fits"
SEVERAL: Final = "several regions fit"
UNCLEAR: Final = "unclear what is meant"
SAME_THING: Final = 0.6
"""Intersection over union from which on two boxes are taken for two of one thing."""
_HALF_INSIDE: Final = 0.5
_JOINING: Final = frozenset(
    "in with on at wearing holding of from carrying without that who which near by under behind beside and next to over"
    " against standing sitting riding lying walking is".split()
)
_GENERAL: Final = {singular(word): kind for kind, words in KINDS.items() for word in words}


class UnresolvedError(Exception):
    """A phrase that means no region, or none for certain; its text says why."""


@dataclass(frozen=True, slots=True)
class _Words:
    """The stems of what is said of a region."""

    heads: frozenset[str]  # the noun of its label and that of its caption
    all: frozenset[str]
    caption: str


@lru_cache(maxsize=4096)
def _words(label: str, caption: str) -> _Words:
    label_words = () if label in ("", AREA_LABEL) else words_of(label.replace("_", " ").replace("-", " "))
    caption_words = words_of(caption.replace("-", " "))
    start = 1 if caption_words[:1] and caption_words[0] in ("a", "an", "the", "one", "some") else 0
    end = next((at for at, word in enumerate(caption_words) if word in _JOINING and at > start), len(caption_words))
    heads = {singular(words[-1]) for words in (label_words, caption_words[start:end]) if words}
    return _Words(
        frozenset(heads), frozenset(map(singular, (*label_words, *caption_words))), " ".join(caption_words[start:])
    )


@dataclass(slots=True)
class Spoken:
    """The regions of an image, and what a text has spoken of so far."""

    regions: Sequence[Region]
    mentioned: tuple[int, ...] = ()  # the regions of the last sentence that had any
    by_number: dict[int, Region] = field(init=False)

    def __post_init__(self) -> None:
        self.by_number = {region.number: region for region in self.regions}

    def resolve(self, phrase: Phrase, subject: Sequence[Region] = ()) -> tuple[Region, ...]:
        """The regions that are meant, each once; raises `UnresolvedError`. `subject` is what the statement is about."""
        match phrase:
            case Numbers(numbers):
                if missing := [number for number in numbers if number not in self.by_number]:
                    raise UnresolvedError(f"{UNKNOWN}: [{missing[0]}]")
                return tuple(self.by_number[number] for number in numbers)
            case Listed(phrases):
                found = [region for one in phrases for region in self.resolve(one, subject)]
                return tuple(dict.fromkeys(found))
            case Pronoun(word):
                return self._spoken_of(word, subject)
            case Others(head):
                found = [one for one in self.of_kind(head) if one not in subject]
                return _some(found, head)
            case Everything(head, count):
                return self._everything(head, count)
            case Described():
                return self._described(phrase)

    def of_kind(self, noun: str) -> list[Region]:
        """The regions of a kind; all of them where no noun is given."""
        if not noun:
            return list(self.regions)
        *before, last = noun.split()
        return [one for one in self.regions if _fits(one, last, before)]

    def _spoken_of(self, word: str, subject: Sequence[Region]) -> tuple[Region, ...]:
        numbers = [one.number for one in subject]
        left = tuple(number for number in self.mentioned if number not in numbers)
        is_one = word in ("it", "other")
        if (is_one and len(left) != 1) or (word == "other" and not subject) or (word == "they" and len(left) < 2):
            raise UnresolvedError(f"{UNCLEAR}: {word}")
        return self.resolve(Numbers(left))

    def _everything(self, head: str, count: int | None) -> tuple[Region, ...]:
        if not head and count is not None and count == len(self.mentioned):
            return self.resolve(Numbers(self.mentioned))
        found = self.of_kind(head)
        if count is not None and count not in (len(found), len(separate(one.box for one in found))):
            raise UnresolvedError(f"{UNCLEAR}: {count} of {len(found)}")
        return _some(found, head)

    def _described(self, what: Described) -> tuple[Region, ...]:
        pair = what.head in ("one", "two", "region") and not what.others
        found = self._candidates(what, pair=pair)
        for pick in what.picks:
            match pick:
                case Extreme(measure, sign):
                    found = _first(found, lambda a, b, m=measure, s=sign: lead(m, a, b) * s)
                case Compared(measure, sign) if len(found) == 2:
                    found = _first(found, lambda a, b, m=measure, s=sign: lead(m, a, b) * s)
                case Placed():
                    found = _placed(found, pick)
                case _:
                    raise UnresolvedError(f"{UNCLEAR}: {what.words}")
        if what.is_plural:
            if what.count is None or len(separate(one.box for one in found)) != what.count:
                raise UnresolvedError(f"{UNCLEAR}: {what.words}")
            return tuple(found)
        if not found:
            raise UnresolvedError(f"{UNKNOWN}: {what.words}")
        if len(found) > 1 and any(found[0].box.overlap(one.box) < SAME_THING for one in found[1:]):
            raise UnresolvedError(f"{SEVERAL}: {what.words}")
        return (found[0],)

    def _candidates(self, what: Described, *, pair: bool) -> list[Region]:
        if pair and len(self.mentioned) == 2:
            return list(self.resolve(Numbers(self.mentioned)))
        if what.head in GENERIC and not what.others:
            return list(self.regions)
        exact = [one for one in self.regions if _words(one.label, one.caption).caption == what.words]
        if len(exact) == 1:
            return exact
        found = [one for one in self.regions if _fits(one, what.head, what.others)]
        return found + [one for one in self.regions if one not in found and _may_fit(one, what.head)]


def _some(found: Sequence[Region], head: str) -> tuple[Region, ...]:
    if not found:
        raise UnresolvedError(f"{UNKNOWN}: {head or 'others'}")
    return tuple(found)


def _fits(region: Region, head: str, others: Iterable[str]) -> bool:
    said, noun = _words(region.label, region.caption), singular(head)
    is_of_kind = noun in said.heads or any(_GENERAL.get(one) == noun for one in said.heads)
    return is_of_kind and all(singular(word) in said.all for word in others)


def _may_fit(region: Region, head: str) -> bool:
    """Whether a region that is only known as a person may be the woman that is meant."""
    general = _GENERAL.get(singular(head))
    return general is not None and general in (heads := _words(region.label, region.caption).heads) and len(heads) == 1


def _first(found: Sequence[Region], ahead: Callable[[Box, Box], int]) -> list[Region]:
    """The one that is clearly ahead of all others; none where there is nothing to choose from."""
    if len(found) < 2:
        return []
    return [one for one in found if all(ahead(one.box, other.box) > 0 for other in found if other is not one)]


def _placed(found: Sequence[Region], pick: Placed) -> list[Region]:
    """Those that are there, if the others are not; of several, the one that is furthest to that side."""
    standing: list[Found] = [placed(pick, one.box) for one in found]
    there = [one for one, is_there in zip(found, standing, strict=True) if is_there]
    if None not in standing and there:
        return there
    if len(pick.places) == 1 and pick.places[0] != "middle":
        measure = pick.places[0]
        ahead = _first(found, lambda a, b: -lead(measure, a, b))
        return [one for one in ahead if placed(pick, one.box) is not False]
    return there if len(there) > 1 else []


def separate(boxes: Iterable[Box]) -> list[Box]:
    """Boxes of which none may be of the same thing as another, as many as can be taken one after the other."""
    taken: list[Box] = []
    for box in sorted(boxes, key=lambda one: (-one.area, one.x1, one.y1)):
        if all(max(inside_share(box, other), inside_share(other, box)) < _HALF_INSIDE for other in taken):
            taken.append(box)
    return taken
