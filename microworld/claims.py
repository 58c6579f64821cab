"""What a sentence of the microworld means: typed claims about a scene, questions, and what an answer says.

Truth is decided on these and never on words, so that the wording may vary as it likes. The list of forms is
closed: a small model can learn to say them, and each can be decided in one short function.
A question is a claim with a hole in it; an answer fills the hole, and is judged as the claim that results.
"""

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from microworld.scenes import Colour, Held, Pattern, Place, Pose, Shape, Size, Thing
from ostensive.records import Box

Relation: TypeAlias = Literal["left of", "right of", "above", "below", "inside", "nearest to"]
Aspect: TypeAlias = Literal["colour", "shape", "size", "pattern", "pose", "hat", "holds", "kind"]
"""What can be asked of a thing; `kind` asks what it is altogether."""


@dataclass(frozen=True, slots=True)
class HeldKind:
    """What is said of a held thing; "something" where nothing is."""

    shape: Shape | None = None
    colour: Colour | None = None

    def fits(self, held: Held) -> bool:
        """Whether `held` is such a thing."""
        return self.shape in (None, held.shape) and self.colour in (None, held.colour)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is said of a thing: each field that is not None has to be so. Without any, it is just "a thing"."""

    shape: Shape | None = None
    colour: Colour | None = None
    size: Size | None = None
    pattern: Pattern | None = None
    pose: Pose | None = None
    hat: Colour | Literal["any", "none"] | None = None
    holds: HeldKind | Literal["nothing"] | None = None

    def misfit(self, thing: Thing) -> Aspect | None:
        """The first field that is not so of `thing`, or None when it is a thing of this kind."""
        if self.shape not in (None, thing.shape):
            return "shape"
        if self.colour not in (None, thing.colour):
            return "colour"
        if self.size not in (None, thing.size):
            return "size"
        if self.pattern not in (None, thing.pattern):
            return "pattern"
        if self.pose not in (None, thing.pose):
            return "pose"
        if self.hat is not None and self.hat != (thing.hat or "none") and (self.hat != "any" or thing.hat is None):
            return "hat"
        if self.holds == "nothing":
            return None if thing.holds is None else "holds"
        fits = self.holds is None or (thing.holds is not None and self.holds.fits(thing.holds))
        return None if fits else "holds"

    def fits(self, thing: Thing) -> bool:
        """Whether `thing` is of this kind."""
        return self.misfit(thing) is None

    def might_be(self, held: Held) -> bool:
        """Whether somebody could mean a held thing by this: it has a shape and a colour, and is small and plain.

        Held things are parts of what holds them and are not counted. But where they could be meant, counting is moot.
        """
        if self.shape is None and self.colour is None:
            return False
        ordinary = self.size in (None, "small") and self.pattern in (None, "plain") and self.pose is None
        bare = self.hat in (None, "none") and self.holds in (None, "nothing")
        return ordinary and bare and HeldKind(self.shape, self.colour).fits(held)

    @property
    def aspects(self) -> tuple[str, ...]:
        """The names of the fields that are not None."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)


@dataclass(frozen=True, slots=True)
class The:
    """The one thing of a kind."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Some:
    """Any thing of a kind."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Numbered:
    """What is in region `[number]`."""

    number: int


@dataclass(frozen=True, slots=True)
class Boxed:
    """What is in a box. No words stand for it: it is what "it" means in the caption of a region."""

    box: Box


@dataclass(frozen=True, slots=True)
class It:
    """What has just been spoken of."""


Reference: TypeAlias = The | Some | Numbered | Boxed | It


@dataclass(frozen=True, slots=True)
class PlaceIs:
    """The scene's place."""

    place: Place


@dataclass(frozen=True, slots=True)
class GroundIs:
    """What lies behind everything: the grass of a meadow, the sand of a beach."""

    place: Place


@dataclass(frozen=True, slots=True)
class Exists:
    """There is at least one such thing."""

    what: Kind


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such thing."""

    what: Kind


@dataclass(frozen=True, slots=True)
class Count:
    """There are exactly so many such things: "there are two" is read as two and no more."""

    what: Kind
    number: int


@dataclass(frozen=True, slots=True)
class Shows:
    """There is a different thing for each of the items; and the place is this one, if it is named."""

    items: tuple[Kind, ...]
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Enumeration:
    """The things of a kind are these, one for each item and no others."""

    what: Kind
    items: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A thing is of a kind: its colour, its hat, what it holds, or all of it."""

    subject: Reference
    what: Kind


@dataclass(frozen=True, slots=True)
class OnlyOne:
    """A thing is of a kind, and no other is."""

    subject: Reference
    what: Kind


@dataclass(frozen=True, slots=True)
class Related:
    """How two things stand to each other. `nearest to`: of all other things, a is the nearest to b."""

    a: Reference
    relation: Relation
    b: Reference


@dataclass(frozen=True, slots=True)
class OnlyThere:
    """A thing stands so to b, and no other does."""

    subject: Reference
    relation: Relation
    b: Reference


@dataclass(frozen=True, slots=True)
class Measured:
    """What holds of boxes alone; `fact` is a key of `microworld.geometry.FACTS`."""

    fact: str
    a: Reference
    b: Reference | None = None


@dataclass(frozen=True, slots=True)
class All:
    """Several claims in one sentence."""

    claims: "tuple[Claim, ...]"


Claim: TypeAlias = (
    PlaceIs
    | GroundIs
    | Exists
    | Absent
    | Count
    | Shows
    | Enumeration
    | Attribute
    | OnlyOne
    | Related
    | OnlyThere
    | Measured
    | All
)


ASPECTS: tuple[Aspect, ...] = ("colour", "shape", "size", "pattern", "pose", "hat", "holds")


def kind_of(thing: Thing) -> Kind:
    """All that can be said of a thing."""
    return Kind(
        thing.shape,
        thing.colour,
        thing.size,
        thing.pattern,
        thing.pose,
        thing.hat or "none",
        HeldKind(thing.holds.shape, thing.holds.colour) if thing.holds else "nothing",
    )


def only(kind: Kind, *aspects: str) -> Kind:
    """`kind` with nothing said but the given aspects."""
    return Kind(**{aspect: getattr(kind, aspect) for aspect in aspects})


@dataclass(frozen=True, slots=True)
class AskWhether:
    """Is it so? To be answered with yes or no."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class AskPlace:
    """What place is it?"""


@dataclass(frozen=True, slots=True)
class AskCount:
    """How many such things are there?"""

    what: Kind


@dataclass(frozen=True, slots=True)
class AskAspect:
    """What colour, shape, ... does the subject have?"""

    subject: Reference
    aspect: Aspect


@dataclass(frozen=True, slots=True)
class AskRelated:
    """What is it that stands so to b?"""

    relation: Relation
    b: Reference


@dataclass(frozen=True, slots=True)
class AskEither:
    """Which of a and b stands so to the other?"""

    a: Reference
    b: Reference
    relation: Relation


@dataclass(frozen=True, slots=True)
class AskHaving:
    """What is it that is of such a kind?"""

    what: Kind


Question: TypeAlias = AskWhether | AskPlace | AskCount | AskAspect | AskRelated | AskEither | AskHaving


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says to a question: a claim, and whether it is affirmed or denied."""

    claim: Claim
    affirmed: bool = True
