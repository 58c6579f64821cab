"""What can be asked about a scene, and what it is that an answer says.

A question is a claim with a hole in it; an answer fills the hole, and is judged as the claim that results.
"""

from dataclasses import dataclass
from typing import TypeAlias

from microworld.claims import Aspect, Claim, Kind, Reference, Relation


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
class Answered:
    """What an answer says to a question: a claim, and whether it is affirmed or denied."""

    claim: Claim
    affirmed: bool = True
