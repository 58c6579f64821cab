"""Forms of sentences, for writer and reader alike: a template with slots, and the class of what it means.

`{field:slot}` stands for a field of the class; a field that a template does not show is fixed by the form. Because one
row serves both directions, the two cannot drift apart. A grammar for a parser generator was given up: it would read,
and writing would need a second table.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from microworld.nouns import Read
from microworld.slots import SLOTS

_PART = re.compile(r"\{(\w+):(\w+)\}|[a-z]+|[,?]")
MeaningT = TypeVar("MeaningT")


@dataclass(frozen=True, slots=True)
class Gap:
    """A slot of a template: the field it fills, and the name of the slot."""

    field: str
    slot: str


@dataclass(frozen=True, slots=True)
class Form(Generic[MeaningT]):
    """A template taken apart, the class of what it means, and the fields that it fixes."""

    means: type[MeaningT]
    parts: tuple[str | Gap, ...]
    fixed: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Match(Generic[MeaningT]):
    """A form that fits a whole sentence, and what its gaps were filled with."""

    form: Form[MeaningT]
    values: Mapping[str, object]

    @property
    def meaning(self) -> MeaningT:
        """The claim or question that the sentence states."""
        return self.form.means(**self.values, **self.form.fixed)


def form(means: type[MeaningT], template: str, fixed: Mapping[str, object] | None = None) -> Form[MeaningT]:
    """A form from its template: lower case, a question mark or nothing at its end."""
    parts = tuple(Gap(part[1], part[2]) if part[1] else part[0] for part in _PART.finditer(template))
    unknown = [part.slot for part in parts if isinstance(part, Gap) and part.slot not in SLOTS]
    if unknown:
        raise ValueError(f"form {template!r}: there are no slots {unknown}; known: {sorted(SLOTS)}")
    return Form(means, parts, dict(fixed or {}))


class Table(Generic[MeaningT]):
    """Forms, found by what they mean and by how they begin."""

    def __init__(self, forms: Sequence[Form[MeaningT]]) -> None:
        self.forms = tuple(forms)
        self._by_means: dict[type, list[Form[MeaningT]]] = {}
        self._by_first: dict[str, list[Form[MeaningT]]] = {}
        for one in forms:
            self._by_means.setdefault(one.means, []).append(one)
            first = one.parts[0]
            self._by_first.setdefault("" if isinstance(first, Gap) else first, []).append(one)

    @property
    def words(self) -> frozenset[str]:
        """Every word that a sentence of these forms can hold; `[k]` and punctuation are not words."""
        parts = [part for one in self.forms for part in one.parts]
        found = [SLOTS[part.slot].words if isinstance(part, Gap) else frozenset((part,)) for part in parts]
        return frozenset(word for words in found for word in words if word.isalnum())

    def read(self, tokens: Sequence[str]) -> list[Match[MeaningT]]:
        """Every form that fits the tokens as a whole. Each slot is read once at each place: linear in their number."""
        memo: dict[tuple[str, int], Read | None] = {}
        candidates = (*self._by_first.get(tokens[0] if tokens else "", ()), *self._by_first.get("", ()))
        found = [(one, filled(one.parts, tokens, memo)) for one in candidates]
        return [Match(one, values) for one, values in found if values is not None]

    def write(self, meaning: MeaningT, rng: random.Random) -> str | None:
        """`meaning` in one of the wordings that can say it, drawn by `rng`; None when none can."""
        options = self._by_means.get(type(meaning), [])
        for one in rng.sample(options, len(options)):
            if any(getattr(meaning, name) != value for name, value in one.fixed.items()):
                continue
            values = {part.field: getattr(meaning, part.field) for part in one.parts if isinstance(part, Gap)}
            if any(getattr(meaning, name) is not None for name in _unsaid(meaning, one, values)):
                continue
            text = fill(one, values, rng)
            if text is not None:
                return text
        return None


def _unsaid(meaning: object, one: Form[MeaningT], values: Mapping[str, object]) -> list[str]:
    """The fields that the form neither shows nor fixes: it says nothing of them, and they have to be None."""
    names: tuple[str, ...] = getattr(meaning, "__slots__", ())
    return [name for name in names if name not in values and name not in one.fixed]


def fill(one: Form[MeaningT], values: Mapping[str, object], rng: random.Random) -> str | None:
    """The words of a form with its gaps filled, or None when a slot cannot say its value."""
    written = [SLOTS[part.slot].write(values[part.field], rng) if isinstance(part, Gap) else part for part in one.parts]
    words = [word for word in written if word is not None]
    return joined(words) if len(words) == len(written) else None


def joined(words: Sequence[str]) -> str:
    """Words with spaces between them, and none before a comma or a question mark."""
    return re.sub(r" ([,?.])", r"\1", " ".join(words))


def filled(
    parts: Sequence[str | Gap], tokens: Sequence[str], memo: dict[tuple[str, int], Read | None]
) -> dict[str, object] | None:
    """What the gaps hold when `parts` fit all of `tokens`, else None; a gap that comes twice holds the same.

    `memo` remembers what the slots read at each place of these tokens, for all forms that are tried on them.
    """
    at = 0
    values: dict[str, object] = {}
    for part in parts:
        if isinstance(part, str):
            if at >= len(tokens) or tokens[at] != part:
                return None
            at += 1
            continue
        key = (part.slot, at)
        if key not in memo:
            memo[key] = SLOTS[part.slot].read(tokens, at)
        read = memo[key]
        if read is None or values.setdefault(part.field, read.value) != read.value:
            return None
        at = read.end
    return values if at == len(tokens) else None
