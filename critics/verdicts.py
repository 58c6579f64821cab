"""Replies of a judge, read strictly: one JSON object with the keys that were asked for, or no verdict.

A fence around the object is taken off, since many models put one there whatever they are told. Guessing a rating from
running text was given up: a misread verdict looks like any other, an unreadable one is counted.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

_FENCE = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.DOTALL)
_SHOWN = 200  # characters of what is no verdict

Side = Literal["first", "second", "tie"]
SIDES: tuple[Side, ...] = ("first", "second", "tie")


@dataclass(frozen=True, slots=True)
class TripleVerdict:
    """Ratings from 1 (wrong) to 5 (right) of an answer and of its rationale."""

    answer: int
    rationale: int
    why: str

    @property
    def accept_probability(self) -> float:
        """The lower rating on a scale from 0 to 1."""
        return (min(self.answer, self.rationale) - 1) / 4


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """Which of two replies is better, as they were shown."""

    better: Side
    why: str


class UnreadableVerdictError(ValueError):
    """A reply that is no verdict; the message says what is wrong with it."""


def read_triple(text: str) -> TripleVerdict:
    """The verdict on a triple; raises `UnreadableVerdictError`."""
    values = _object(text, ("answer", "rationale", "why"))
    for name in ("answer", "rationale"):
        rating = values[name]
        if isinstance(rating, bool) or not isinstance(rating, int) or not 1 <= rating <= 5:
            raise UnreadableVerdictError(f"{name} is {rating!r:.40}; a whole number from 1 to 5 is expected")
    return TripleVerdict(values["answer"], values["rationale"], _why(values))


def read_pair(text: str) -> PairVerdict:
    """The verdict on a pair; raises `UnreadableVerdictError`."""
    values = _object(text, ("better", "why"))
    for side in SIDES:
        if values["better"] == side:
            return PairVerdict(side, _why(values))
    raise UnreadableVerdictError(f"better is {values['better']!r:.40}; one of {', '.join(SIDES)} is expected")


def _object(text: str, keys: tuple[str, ...]) -> dict[str, Any]:  # Any: JSON values
    plain = text.strip()
    if fenced := _FENCE.match(plain):
        plain = fenced[1].strip()
    try:
        values = json.loads(plain)
    except (ValueError, RecursionError) as error:
        raise UnreadableVerdictError(f"not one JSON object: {text.strip()[:_SHOWN]}") from error
    if not isinstance(values, dict) or set(values) != set(keys):
        raise UnreadableVerdictError(f"a JSON object with {', '.join(keys)} is expected, not {plain[:_SHOWN]}")
    return values


def _why(values: dict[str, Any]) -> str:  # Any: JSON values
    if not isinstance(values["why"], str):
        raise UnreadableVerdictError(f"why is {values['why']!r:.40}; text is expected")
    return values["why"].strip()
