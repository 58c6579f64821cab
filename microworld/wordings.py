"""The forms of this world's language: what can be told, asked and answered, and in which words.

A table rather than code: a further wording is a further row, and is written and read at once. It stays in Python and
not in a data file because each row names a class, and a type checker then sees the names.

Words that the rules of the recipes forbid are avoided ("picture", "region", "wears" in a question), so that what a
teacher repeats of it passes them.
"""

from microworld.claims import (
    Absent,
    Attribute,
    Claim,
    Count,
    Exists,
    GroundIs,
    Kind,
    OnlyOne,
    OnlyThere,
    PlaceIs,
    Related,
    Roll,
    Shows,
)
from microworld.forms import Table, form
from microworld.questions import AskAspect, AskCount, AskEither, AskHaving, AskPlace, AskRelated, Question

_NO_HAT = {"what": Kind(hat="none")}
_NOTHING = {"what": Kind(holds="nothing")}
_NEAREST = {"relation": "nearest to"}

TELL: Table[Claim] = Table(
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
        form(Roll, "the {what:plural} are {items:items}"),
        form(Roll, "the only {what:plural} are {items:items}"),
        form(Roll, "the only {what:noun} is {items:one}"),
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

WHETHER: Table[Claim] = Table(
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

ASK: Table[Question] = Table(
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
