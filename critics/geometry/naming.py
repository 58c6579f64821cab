"""Statements in plain words, and the figures of the boxes by which they are decided."""

from collections.abc import Sequence
from typing import Final

from critics.geometry import measuring
from critics.geometry.statements import (
    Alike,
    Between,
    Compared,
    Counted,
    Covers,
    Described,
    Ends,
    Extreme,
    Is,
    Listed,
    Measure,
    Near,
    Nearer,
    Numbers,
    Phrase,
    Placed,
    Predicate,
    Read,
    Shared,
    Wider,
)
from ostensive.records import Region

_NAMES: Final[dict[Measure, str]] = {
    "x": "middle x",
    "y": "middle y",
    "area": "area",
    "width": "width",
    "height": "height",
    "from_middle": "distance from the middle",
    "left": "distance from the left",
    "right": "distance from the right",
    "top": "distance from the top",
    "bottom": "distance from the bottom",
    "edge": "distance from the edge",
    "corner": "distance from a corner",
}
_SHOWN_REGIONS: Final = 6


def figures(predicate: Predicate, regions: Sequence[Region]) -> str:
    """The boxes by which a predicate is decided, as numbers to two decimals."""
    measure: Measure | None = getattr(predicate, "measure", None)
    first = regions[:_SHOWN_REGIONS]
    if measure is not None:
        values = ", ".join(f"[{one.number}] {measuring.values_of(measure, one.box)[0]:.2f}" for one in first)
        return f"{_NAMES[measure]}: {values}"
    return ", ".join(
        f"[{one.number}] x {one.box.x1:.2f}-{one.box.x2:.2f} y {one.box.y1:.2f}-{one.box.y2:.2f}" for one in first
    )


_SIGNS: Final[dict[Measure, tuple[str, str]]] = {
    "x": ("left of", "right of"),
    "y": ("above", "below"),
    "area": ("smaller than", "larger than"),
    "width": ("narrower than", "wider than"),
    "height": ("shorter than", "taller than"),
    "from_middle": ("nearer the middle than", "further from the middle than"),
}
_MOST: Final[dict[Measure, tuple[str, str]]] = {
    "x": ("leftmost", "rightmost"),
    "y": ("topmost", "lowest"),
    "area": ("smallest", "largest"),
    "width": ("narrowest", "widest"),
    "height": ("shortest", "tallest"),
    "from_middle": ("nearest the middle", "furthest from the middle"),
}


def shown(read: Read, subjects: Sequence[Region]) -> str:
    """A statement in plain words."""
    if isinstance(read, Counted):
        return f"there are {read.number} {read.head or 'regions'}"
    subject = " and ".join(f"[{one.number}]" for one in subjects) or name_of(read.subject)
    quantity = "" if read.count is None else f"{read.bound} {read.count} of "
    return f"{quantity}{subject} {'not ' * read.is_denied}{_said(read.predicate)}"


def _said(predicate: Predicate) -> str:  # noqa: PLR0912 - one short branch for each predicate
    match predicate:
        case Placed(places, how):
            return f"{'at' if how != 'half' else 'in the half'} {' '.join(places)}"
        case Compared(measure, sign, other, factor):
            words = _SIGNS.get(measure) or (f"nearer the {measure} than", f"further from the {measure} than")
            if factor is not None:
                return f"{predicate.bound} {factor:.2f} times the {measure} of {name_of(other)}"
            return f"{'at least as, or ' * predicate.or_equal}{words[sign > 0]} {name_of(other)}"
        case Extreme(measure, sign, group, rank):
            words = _MOST.get(measure) or (f"nearest the {measure}", f"furthest from the {measure}")
            return f"{'' if rank == 1 else f'number {rank} '}{words[sign > 0]} of {name_of(group)}"
        case Alike(measure, other):
            return f"of the same {'level' if measure == 'y' else measure} as {name_of(other)}"
        case Shared(how, other):
            return f"{how} {name_of(other)}"
        case Ends(axis, _, other):
            return (
                f"ends before {name_of(other)} begins, {'from left to right' if axis == 'x' else 'from top to bottom'}"
            )
        case Near(other, is_far):
            return f"{'far from' if is_far else 'near'} {name_of(other)}"
        case Nearer(other, than, _, sign):
            return f"{'nearer to' if sign > 0 else 'further from'} {name_of(other)} than {name_of(than)}"
        case Between(others):
            return f"between {name_of(others)}"
        case Covers(measure, bound, share):
            return f"covers {bound}{'' if bound == 'about' else ' than'} {share:.2f} of the {measure} of the picture"
        case Wider(sign):
            return "wider than tall" if sign > 0 else "taller than wide"
        case Is(other):
            return f"is the {name_of(other)}"


def name_of(phrase: Phrase | None) -> str:
    """A phrase in plain words."""
    match phrase:
        case None:
            return "the other"
        case Numbers(numbers):
            return " and ".join(f"[{number}]" for number in numbers)
        case Described():
            return phrase.words
        case Listed(phrases):
            return " and ".join(map(name_of, phrases))
        case _:
            return getattr(phrase, "word", "") or getattr(phrase, "head", "") or "all"
