"""The card that is published: the program's own, with what people wrote into it here and on the Hub.

Both sides are compared with what was published last. What one side changed is taken; where both changed the same part
in different ways nobody but a person can say what is meant.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: YAML values

from cards.card import CardEdits, has_markers, people_keys, read_edits, with_edits, without_edits
from ostensive.errors import OstensiveError

NOTHING_YET: Final = CardEdits()
# Written where the recipe says them, kept as people's where it does not: what stands here then is the newer.
_OF_RECIPE: Final = frozenset({"license_name", "license_link"})


@dataclass(frozen=True, slots=True)
class CardSide:
    """A card as it lies somewhere: here or on the Hub. `origin` is what a message calls it."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class PublishedCard:
    """What is remembered of the card that was published last."""

    yours: str
    header: dict[str, Any]  # keys that people added, as JSON has their values
    tags: tuple[str, ...]
    body_hash: str

    @classmethod
    def of(cls, text: str) -> "PublishedCard":
        """Of a card that is published now."""
        edits = read_edits(text, "the card")
        return cls(edits.yours, plain(people_keys(edits.header)), _tags(edits), body_hash(text))


@dataclass(frozen=True, slots=True)
class MergedCard:
    """The text to publish, and what a person should know of it."""

    text: str
    note: str = ""


def merge_cards(here: CardSide, there: CardSide | None, last: PublishedCard | None, tags: Sequence[str]) -> MergedCard:
    """The card `here` with the edits of both sides; `tags` are the program's own.

    Raises `OstensiveError` for a card whose header is broken, and where both sides changed the same part.
    """
    mine = read_edits(here.text, here.origin)
    if not has_markers(here.text):
        raise OstensiveError(
            f"{here.origin}: the two lines `<!-- yours -->` and `<!-- /yours -->` are gone; put them back, or remove"
            " the file and run `ostensive build` again, and then the same command"
        )
    if there is None:
        return MergedCard(here.text)
    theirs = read_edits(there.text, there.origin)
    try:
        yours = _merged(mine.yours, theirs.yours, NOTHING_YET.yours if last is None else last.yours, "the yours lines")
        header = _merged_header(mine, theirs, {} if last is None else last.header)
    except _BothChangedError as error:
        raise OstensiveError(
            f"{here.origin} and {there.origin} were both edited, and differ in {error}; make them the same there or"
            " here, and run the same command again"
        ) from error
    all_tags = _merged_tags(_tags(mine), _tags(theirs), () if last is None else last.tags, tags)
    text = with_edits(here.text, CardEdits(yours, {**header, "tags": list(all_tags)}))
    if last is None or body_hash(there.text) in (last.body_hash, body_hash(text)):
        return MergedCard(text)
    return MergedCard(text, f"{there.origin} was edited outside the yours lines, which is replaced")


def body_hash(text: str) -> str:
    """Of what the program wrote of a card."""
    return hashlib.sha256(without_edits(text).encode()).hexdigest()


class _BothChangedError(Exception):
    """What differs."""


def _merged(here: Any, there: Any, last: Any, what: str) -> Any:
    """The side that changed; raises `_BothChangedError` where both did, in different ways."""
    if there in (here, last):
        return here
    if here != last:
        raise _BothChangedError(what)
    return there


def _merged_header(mine: CardEdits, theirs: CardEdits, last: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of people; a key that is nowhere any more is None, which has no value on a card."""
    here, there = people_keys(mine.header), people_keys(theirs.header)
    merged: dict[str, Any] = {}
    for key in dict.fromkeys((*here, *there)):
        if key in _OF_RECIPE and key in here:
            merged[key] = here[key]
            continue
        mine_now, theirs_now = plain(here.get(key)), plain(there.get(key))
        found = _merged(mine_now, theirs_now, last.get(key), f"the key {key} of the header")
        if found is not None:
            merged[key] = here[key] if found == mine_now else there[key]
    return merged


def _merged_tags(here: Sequence[str], there: Sequence[str], last: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    gone = {tag for tag in last if tag not in own and (tag not in here or tag not in there)}
    return tuple(dict.fromkeys(tag for tag in (*here, *there) if tag not in gone))


def _tags(edits: CardEdits) -> tuple[str, ...]:
    tags = (edits.header or {}).get("tags") or []
    return tuple(tag for tag in ([tags] if isinstance(tags, str) else tags) if isinstance(tag, str))


def plain(value: Any) -> Any:
    """A value of YAML as JSON has it: dates as text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
