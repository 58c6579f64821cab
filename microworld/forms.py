"""The forms of this world's language, for writer and reader alike: templates with slots, and what they mean.

`{field:slot}` stands for a field of the class; a field that a template does not show is fixed by the form. Because one
row serves both directions, the two cannot drift apart; a grammar for a parser generator would read, and writing would
need a second table. The rows are Python and no data file because each names a class, and a type checker then sees the
names.

Words that the rules of the recipes forbid are avoided ("picture", "region", "wears" in a question), so that what a
teacher repeats of it passes them.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from microworld.claims import (
    Absent,
    AskAspect,
    AskCount,
    AskEither,
    AskHaving,
    AskPlace,
    AskRelated,
    Attribute,
    Claim,
    Count,
    Enumeration,
    Exists,
    GroundIs,
    Kind,
    OnlyOne,
    OnlyThere,
    PlaceIs,
    Question,
    Related,
    Shows,
)
from microworld.nouns import Read
from microworld.slots import SLOTS

_PIECE = re.compile(r"\{(\w+):(\w+)\}|[a-z]+|[,?]")
MeaningT = TypeVar("MeaningT")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A slot of a template: the field it fills, and the name of the slot."""

    field: str
    slot: str


@dataclass(frozen=True, slots=True)
class Form(Generic[MeaningT]):
    """A template taken apart, the class of what it means, and the fields that it fixes."""

    means: type[MeaningT]
    pieces: tuple[str | Placeholder, ...]
    fixed: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Match(Generic[MeaningT]):
    """A form that fits a whole sentence, and what its placeholders were filled with."""

    form: Form[MeaningT]
    values: Mapping[str, object]

    @property
    def meaning(self) -> MeaningT:
        """The claim or question that the sentence states."""
        return self.form.means(**self.values, **self.form.fixed)


def form(means: type[MeaningT], template: str, fixed: Mapping[str, object] | None = None) -> Form[MeaningT]:
    """A form from its template: lower case, a question mark or nothing at its end."""
    pieces = tuple(Placeholder(piece[1], piece[2]) if piece[1] else piece[0] for piece in _PIECE.finditer(template))
    unknown = [piece.slot for piece in pieces if isinstance(piece, Placeholder) and piece.slot not in SLOTS]
    if unknown:
        raise ValueError(f"form {template!r}: there are no slots {unknown}; known: {sorted(SLOTS)}")
    return Form(means, pieces, dict(fixed or {}))


class Table(Generic[MeaningT]):
    """Forms, found by what they mean and by how they begin."""

    def __init__(self, forms: Sequence[Form[MeaningT]]) -> None:
        self.forms = tuple(forms)
        self._by_means: dict[type, list[Form[MeaningT]]] = {}
        self._by_first: dict[str, list[Form[MeaningT]]] = {}
        for one in forms:
            self._by_means.setdefault(one.means, []).append(one)
            first = one.pieces[0]
            self._by_first.setdefault("" if isinstance(first, Placeholder) else first, []).append(one)

    @property
    def words(self) -> frozenset[str]:
        """Every word that a sentence of these forms can hold; `[k]` and punctuation are not words."""
        pieces = [piece for one in self.forms for piece in one.pieces]
        found = [SLOTS[piece.slot].words if isinstance(piece, Placeholder) else frozenset((piece,)) for piece in pieces]
        return frozenset(word for words in found for word in words if word.isalnum())

    def read(self, tokens: Sequence[str]) -> list[Match[MeaningT]]:
        """Every form that fits the tokens as a whole. Each slot is read once at each place: linear in their number."""
        memo: dict[tuple[str, int], Read[object] | None] = {}
        candidates = (*self._by_first.get(tokens[0] if tokens else "", ()), *self._by_first.get("", ()))
        found = [(one, filled(one.pieces, tokens, memo)) for one in candidates]
        return [Match(one, values) for one, values in found if values is not None]

    def write(self, meaning: MeaningT, rng: random.Random) -> str | None:
        """`meaning` in one of the wordings that can say it, drawn by `rng`; None when none can."""
        options = self._by_means.get(type(meaning), [])
        for one in rng.sample(options, len(options)):
            if any(getattr(meaning, name) != value for name, value in one.fixed.items()):
                continue
            values = {
                placeholder.field: getattr(meaning, placeholder.field)
                for placeholder in one.pieces
                if isinstance(placeholder, Placeholder)
            }
            if any(getattr(meaning, name) is not None for name in _unset_fields(meaning, one, values)):
                continue
            text = fill(one, values, rng)
            if text is not None:
                return text
        return None


def _unset_fields(meaning: object, one: Form[MeaningT], values: Mapping[str, object]) -> list[str]:
    """The fields that the form neither shows nor fixes: it says nothing of them, and they have to be None."""
    names: tuple[str, ...] = getattr(meaning, "__slots__", ())
    return [name for name in names if name not in values and name not in one.fixed]


def fill(one: Form[MeaningT], values: Mapping[str, object], rng: random.Random) -> str | None:
    """The words of a form with its placeholders filled, or None when a slot cannot say its value."""
    written = [
        SLOTS[piece.slot].write(values[piece.field], rng) if isinstance(piece, Placeholder) else piece
        for piece in one.pieces
    ]
    words = [word for word in written if word is not None]
    return joined(words) if len(words) == len(written) else None


def joined(words: Sequence[str]) -> str:
    """Words with spaces between them, and none before a comma, a question mark or a full stop."""
    return re.sub(r" ([,?.])", r"\1", " ".join(words))


def cased(text: str) -> str:
    """A sentence with a capital letter, and no space before its marks."""
    return joined([text[:1].upper() + text[1:]])


def filled(
    pieces: Sequence[str | Placeholder], tokens: Sequence[str], memo: dict[tuple[str, int], Read[object] | None]
) -> dict[str, object] | None:
    """What the placeholders hold when `pieces` fit all of `tokens`, else None; one that comes twice holds the same.

    `memo` remembers what the slots read at each place of these tokens, for all forms that are tried on them.
    """
    at = 0
    values: dict[str, object] = {}
    for piece in pieces:
        if isinstance(piece, str):
            if at >= len(tokens) or tokens[at] != piece:
                return None
            at += 1
            continue
        key = (piece.slot, at)
        if key not in memo:
            memo[key] = SLOTS[piece.slot].read(tokens, at)
        read = memo[key]
        if read is None or values.setdefault(piece.field, read.value) != read.value:
            return None
        at = read.end
    return values if at == len(tokens) else None


_NO_HAT = {"what": Kind(hat="none")}
_NOTHING = {"what": Kind(holds="nothing")}
_NEAREST = {"relation": "nearest to"}

STATEMENTS: Table[Claim] = Table(
    [
        form(PlaceIs, "this is {place:place}"),
        form(PlaceIs, "the place is {place:place}"),
        form(PlaceIs, "everything here is {place:in_place}"),
        form(GroundIs, "{place:ground} lies behind everything"),
        form(GroundIs, "behind everything lies {place:ground}"),
        form(GroundIs, "behind everything there is {place:ground}"),
        form(Exists, "there is {what:some}"),
        form(Exists, "{what:some} is there"),
        form(Exists, "{what:some} can be seen"),
        form(Exists, "here is {what:some}"),
        form(Absent, "there is no {what:noun}"),
        form(Absent, "no {what:noun} is there"),
        form(Absent, "no {what:noun} can be seen"),
        form(Absent, "there are no {what:plural}"),
        form(Absent, "nothing here is {what:adjective}"),
        form(Absent, "nothing here has {what:hat}"),
        form(Count, "there are {number:number} {what:plural}"),
        form(Count, "{number:number} {what:plural} are there"),
        form(Count, "{number:number} {what:plural} can be seen"),
        form(Count, "there is only one {what:noun}", {"number": 1}),
        form(Count, "only one {what:noun} can be seen", {"number": 1}),
        form(Count, "there is just a single {what:noun}", {"number": 1}),
        form(Shows, "there are {items:items}"),
        form(Shows, "{items:items} are there"),
        form(Shows, "{items:items} can be seen"),
        form(Shows, "{items:items} {place:in_place}"),
        form(Shows, "here are {items:items} {place:in_place}"),
        form(Shows, "there are {items:items} {place:in_place}"),
        form(Shows, "{items:one} {place:in_place}"),
        form(Shows, "there is {items:one} {place:in_place}"),
        form(Enumeration, "the {what:plural} are {items:items}"),
        form(Enumeration, "the only {what:plural} are {items:items}"),
        form(Enumeration, "the only {what:noun} is {items:one}"),
        form(Attribute, "{subject:ref} is {what:adjective}"),
        form(Attribute, "{subject:ref} is {what:some}"),
        form(Attribute, "{subject:any} has {what:hat}"),
        form(Attribute, "{subject:any} wears {what:hat}"),
        form(Attribute, "{subject:ref} has no hat", _NO_HAT),
        form(Attribute, "{subject:ref} wears no hat", _NO_HAT),
        form(Attribute, "{subject:any} holds {what:held}"),
        form(Attribute, "{subject:any} is holding {what:held}"),
        form(Attribute, "{subject:any} carries {what:held}"),
        form(Attribute, "{subject:ref} holds nothing", _NOTHING),
        form(Attribute, "the colour of {subject:ref} is {what:colour}"),
        form(Attribute, "the hat of {subject:ref} is {what:hat_colour}"),
        form(Attribute, "{subject:region} shows {what:some}"),
        form(OnlyOne, "{subject:ref} is the only {what:noun}"),
        form(OnlyOne, "there is no {what:noun} but {subject:ref}"),
        form(OnlyOne, "nothing but {subject:ref} is {what:adjective}"),
        form(OnlyOne, "nothing but {subject:ref} has {what:hat}"),
        form(Related, "{a:any} is {relation:relation} {b:any}"),
        form(Related, "{a:any} stands {relation:relation} {b:any}"),
        form(Related, "{a:any} lies {relation:relation} {b:any}"),
        form(Related, "there is {a:indefinite} {relation:relation} {b:any}"),
        form(Related, "{relation:relation} {b:any} there is {a:indefinite}"),
        form(Related, "{a:any} is the thing nearest to {b:ref}", _NEAREST),
        form(Related, "the thing nearest to {b:ref} is {a:any}", _NEAREST),
        form(Related, "nothing is nearer to {b:ref} than {a:ref}", _NEAREST),
        form(OnlyThere, "{subject:ref} is the only one that stands {relation:relation} {b:ref}"),
        form(OnlyThere, "{subject:ref} is the only one {relation:relation} {b:ref}"),
        form(OnlyThere, "nothing but {subject:ref} is {relation:relation} {b:ref}"),
    ]
)
"""Statements, without the full stop."""

YES_NO_QUESTIONS: Table[Claim] = Table(
    [
        form(PlaceIs, "is this {place:place} ?"),
        form(PlaceIs, "is everything here {place:in_place} ?"),
        form(GroundIs, "does {place:ground} lie behind everything ?"),
        form(Exists, "is there {what:some} ?"),
        form(Exists, "can {what:some} be seen ?"),
        form(Exists, "is {what:some} there ?"),
        form(Count, "are there exactly {number:number} {what:plural} ?"),
        form(Count, "is there only one {what:noun} ?", {"number": 1}),
        form(Attribute, "is {subject:ref} {what:adjective} ?"),
        form(Attribute, "is {subject:ref} {what:some} ?"),
        form(Attribute, "does {subject:ref} have {what:hat} ?"),
        form(Attribute, "does {subject:ref} hold {what:held} ?"),
        form(Attribute, "does {subject:ref} carry {what:held} ?"),
        form(Related, "is {a:ref} {relation:relation} {b:ref} ?"),
        form(Related, "does {a:ref} stand {relation:relation} {b:ref} ?"),
        form(Related, "is there {a:indefinite} {relation:relation} {b:ref} ?"),
        form(Related, "is {a:ref} the thing nearest to {b:ref} ?", _NEAREST),
    ]
)
"""Questions for yes or no, by the claim that they ask about."""

OPEN_QUESTIONS: Table[Question] = Table(
    [
        form(AskPlace, "what place is this ?"),
        form(AskPlace, "which place is this ?"),
        form(AskPlace, "what kind of place is this ?"),
        form(AskPlace, "where is this ?"),
        form(AskCount, "how many {what:plural} are there ?"),
        form(AskCount, "how many {what:plural} can be seen ?"),
        form(AskCount, "how many {what:plural} are there altogether ?"),
        form(AskCount, "what is the number of {what:plural} ?"),
        form(AskAspect, "what colour is {subject:ref} ?", {"aspect": "colour"}),
        form(AskAspect, "which colour does {subject:ref} have ?", {"aspect": "colour"}),
        form(AskAspect, "what is the colour of {subject:ref} ?", {"aspect": "colour"}),
        form(AskAspect, "what shape is {subject:ref} ?", {"aspect": "shape"}),
        form(AskAspect, "which shape does {subject:ref} have ?", {"aspect": "shape"}),
        form(AskAspect, "what is the shape of {subject:ref} ?", {"aspect": "shape"}),
        form(AskAspect, "what size is {subject:ref} ?", {"aspect": "size"}),
        form(AskAspect, "how large is {subject:ref} ?", {"aspect": "size"}),
        form(AskAspect, "what pattern does {subject:ref} have ?", {"aspect": "pattern"}),
        form(AskAspect, "which pattern is on {subject:ref} ?", {"aspect": "pattern"}),
        form(AskAspect, "what is {subject:ref} doing ?", {"aspect": "pose"}),
        form(AskAspect, "which pose does {subject:ref} have ?", {"aspect": "pose"}),
        form(AskAspect, "what colour is the hat of {subject:ref} ?", {"aspect": "hat"}),
        form(AskAspect, "which hat does {subject:ref} have ?", {"aspect": "hat"}),
        form(AskAspect, "what does {subject:ref} hold ?", {"aspect": "holds"}),
        form(AskAspect, "what is {subject:ref} holding ?", {"aspect": "holds"}),
        form(AskAspect, "what does {subject:ref} carry ?", {"aspect": "holds"}),
        form(AskAspect, "what is {subject:ref} ?", {"aspect": "kind"}),
        form(AskAspect, "what does {subject:region} show ?", {"aspect": "kind"}),
        form(AskRelated, "what is {relation:relation} {b:ref} ?"),
        form(AskRelated, "what stands {relation:relation} {b:ref} ?"),
        form(AskRelated, "which thing is {relation:relation} {b:ref} ?"),
        form(AskRelated, "what is nearest to {b:ref} ?", _NEAREST),
        form(AskRelated, "which thing is nearest to {b:ref} ?", _NEAREST),
        form(AskEither, "which of {a:ref} and {b:ref} is {relation:further} ?"),
        form(AskEither, "which one of {a:ref} and {b:ref} stands {relation:further} ?"),
        form(AskHaving, "what is {what:adjective} ?"),
        form(AskHaving, "which thing is {what:adjective} ?"),
        form(AskHaving, "what has {what:hat} ?"),
        form(AskHaving, "which thing has {what:hat} ?"),
        form(AskHaving, "what holds {what:held} ?"),
    ]
)
"""Open questions."""

ANSWERS: Table[Question] = Table(
    [
        form(AskPlace, "{answer:place_noun}"),
        form(AskPlace, "{answer:place}"),
        form(AskPlace, "{answer:in_place}"),
        form(AskCount, "{answer:count}"),
        form(AskAspect, "{answer:colour}", {"aspect": "colour"}),
        form(AskAspect, "{answer:shape}", {"aspect": "shape"}),
        form(AskAspect, "{answer:some}", {"aspect": "shape"}),
        form(AskAspect, "{answer:size}", {"aspect": "size"}),
        form(AskAspect, "{answer:pattern}", {"aspect": "pattern"}),
        form(AskAspect, "{answer:pose}", {"aspect": "pose"}),
        form(AskAspect, "{answer:hat_colour}", {"aspect": "hat"}),
        form(AskAspect, "{answer:hat}", {"aspect": "hat"}),
        form(AskAspect, "{answer:no_hat}", {"aspect": "hat"}),
        form(AskAspect, "{answer:held}", {"aspect": "holds"}),
        form(AskAspect, "{answer:no_held}", {"aspect": "holds"}),
        form(AskAspect, "{answer:some}", {"aspect": "kind"}),
        form(AskRelated, "{answer:any}"),
        form(AskEither, "{answer:ref}"),
        form(AskHaving, "{answer:any}"),
    ]
)
"""Short answers, by the class of the question; an answer may also be a statement."""
