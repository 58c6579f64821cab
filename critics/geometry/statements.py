"""What a sentence says of boxes: typed statements, and the phrases that name what they are about.

A statement is a subject, a predicate about it, and whether the predicate is denied. Predicates are a closed list, each
decided by one function of `critics.geometry.measuring`; how they are worded is the matter of `critics.geometry.reading`
and of nobody else.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Measure: TypeAlias = Literal[
    "x", "y", "area", "width", "height", "from_middle", "left", "right", "top", "bottom", "edge", "corner"
]
"""What is compared of boxes: the middle (`x`, `y`), an extent, or how far it is from the middle of the picture, from
one of its edges, from the nearest edge or corner."""
Place: TypeAlias = Literal["left", "right", "top", "bottom", "middle"]
Sharing: TypeAlias = Literal[
    "overlap", "cross", "touch", "apart", "inside", "wholly inside", "outside", "contains", "wholly contains"
]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Regions by their numbers, as the text gives them."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """What a text describes: a head noun, the words that go with it, and what geometry tells it apart by."""

    words: str  # all of it, without the article
    head: str  # the noun, as it stands in the text
    others: tuple[str, ...] = ()  # adjectives and what follows the noun, without words of grammar
    picks: "tuple[Predicate, ...]" = ()  # "the larger cup", "the dog on the left": what the one that is meant is
    count: int | None = None  # "the two dogs"; None for one
    is_plural: bool = False


@dataclass(frozen=True, slots=True)
class Pronoun:
    """ "it", "they", "the other": what has been spoken of."""

    word: Literal["it", "they", "other"]


@dataclass(frozen=True, slots=True)
class Others:
    """All regions but the subject, or all of one kind: "any of the others", "every other cup"."""

    head: str = ""  # the kind, empty for regions of any


@dataclass(frozen=True, slots=True)
class Everything:
    """All regions, or all of one kind: "all of them", "the cups"."""

    head: str = ""
    count: int | None = None  # "of the three"


@dataclass(frozen=True, slots=True)
class Listed:
    """Several phrases: "[0] and the dog"."""

    phrases: "tuple[Phrase, ...]"


Phrase: TypeAlias = Numbers | Described | Pronoun | Others | Everything | Listed


@dataclass(frozen=True, slots=True)
class Placed:
    """In a part of the picture, by one side or by two: `("top", "left")` is the upper left."""

    places: tuple[Place, ...]
    how: Literal["side", "half", "third", "edge", "reaches"]


@dataclass(frozen=True, slots=True)
class Compared:
    """Greater (`sign` 1) or less (`sign` -1) than each of `other` in a measure; None is the other of two.

    `factor` is how many times as much ("twice as wide"); `or_equal` of "at least as".
    """

    measure: Measure
    sign: int
    other: Phrase | None
    factor: float | None = None
    or_equal: bool = False
    bound: Literal["about", "more", "less"] = "about"  # of the factor
    is_loose: bool = False  # "under": what overlaps may be so whatever its middle


@dataclass(frozen=True, slots=True)
class Extreme:
    """The greatest (`sign` 1) or least of a group in a measure."""

    measure: Measure
    sign: int
    group: Phrase
    rank: int = 1  # "second largest" has 2


@dataclass(frozen=True, slots=True)
class Alike:
    """Of about the same measure as `other`; None is each other."""

    measure: Measure
    other: Phrase | None


@dataclass(frozen=True, slots=True)
class Shared:
    """What space two boxes share; `other` None is each other."""

    how: Sharing
    other: Phrase | None


@dataclass(frozen=True, slots=True)
class Ends:
    """Ends before `other` begins, along an axis; `sign` 1 from left to right or from top to bottom."""

    axis: Literal["x", "y"]
    sign: int
    other: Phrase


@dataclass(frozen=True, slots=True)
class Near:
    """Close to `other`, or far from it."""

    other: Phrase | None
    is_far: bool = False
    is_beside: bool = False  # "beside", "next to"


@dataclass(frozen=True, slots=True)
class Nearer:
    """Nearer to `other` than to `than`."""

    other: Phrase
    than: Phrase
    than_is_subject: bool = False  # "than [2] is": nearer to `other` than `than` is to it
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Between:
    """Between two others."""

    others: Phrase


@dataclass(frozen=True, slots=True)
class Covers:
    """Covers a share of the picture, of its width or of its height."""

    measure: Literal["area", "width", "height"]
    bound: Literal["more", "less", "about"]
    share: float


@dataclass(frozen=True, slots=True)
class Wider:
    """Wider than it is tall (`sign` 1), or taller than it is wide (-1)."""

    sign: int


@dataclass(frozen=True, slots=True)
class Is:
    """Is what a phrase picks out by geometry: "[1] is the larger cup"."""

    other: Phrase


Predicate: TypeAlias = (
    Placed | Compared | Extreme | Alike | Shared | Ends | Near | Nearer | Between | Covers | Wider | Is
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A predicate of each of its subjects, or of `count` of them."""

    words: str  # of the text
    subject: Phrase
    predicate: Predicate
    is_denied: bool = False
    count: int | None = None  # "two of the four"; None is all of them
    bound: Literal["exactly", "least", "most"] = "exactly"  # of the count


@dataclass(frozen=True, slots=True)
class Counted:
    """How many things of a kind there are."""

    words: str
    head: str  # the noun as it stands in the text; empty for regions of any kind
    bound: Literal["exactly", "least", "most"]
    number: int
    is_denied: bool = False
    is_regions: bool = False  # marked regions are counted, not things


Read: TypeAlias = Statement | Counted
