"""True, false or not checkable, with the reason; and how findings on parts make one on the whole.

Three values, as Kleene's strong logic combines them: one false part makes a whole false, whatever is not known of the
others. Reasons are fixed phrases, so that they can be counted; what they are about stands beside them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

TruthValue: TypeAlias = Literal["true", "false", "not checkable"]

NO_SUCH_THING: Final = "a name that fits nothing"
MANY_SUCH: Final = "a name that may mean several things"
NO_REGION: Final = "a region that there is not"
NO_THING_THERE: Final = "a box that is not that of one thing"
NO_IT: Final = "nothing that it could mean"
UNKNOWN_WORD: Final = "an unknown word"
NO_FORM: Final = "no sentence of a known form"
NO_TEXT: Final = "no text"
TOO_LONG: Final = "a sentence too long to read"
NO_ANSWER: Final = "no answer to the question"
TWO_MEANINGS: Final = "two meanings, one true and one false"
TOO_CLOSE: Final = "too close to say"
HALF_SEEN: Final = "a thing hidden or held that may or may not count"
WRONG_PLACE: Final = "wrong place"
WRONG_COUNT: Final = "wrong count"
WRONG_RELATION: Final = "wrong relation"
WRONG_GEOMETRY: Final = "wrong geometry of boxes"
NOT_THERE: Final = "no such thing there"
THERE_AFTER_ALL: Final = "such a thing is there"
NOT_ALONE: Final = "not the only one"
NOT_THE_ENUMERATION: Final = "not the things of that kind"
DENIED: Final = "denied though true"
WRONG: Final = {
    aspect: f"wrong {aspect}" for aspect in ("colour", "shape", "size", "pattern", "pose", "hat", "holds", "kind")
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What the oracle says. `reason` is a fixed phrase, empty when true; `about` is the words it is said of."""

    value: TruthValue
    reason: str = ""
    about: str = ""

    @property
    def is_true(self) -> bool:
        return self.value == "true"

    @property
    def is_false(self) -> bool:
        return self.value == "false"

    @property
    def decided(self) -> bool:
        """Whether it is one of true and false."""
        return self.value != "not checkable"


TRUE = Finding("true")


def false(reason: str, about: str = "") -> Finding:
    """A finding of false."""
    return Finding("false", reason, about)


def unsure(reason: str, about: str = "") -> Finding:
    """A finding of not checkable."""
    return Finding("not checkable", reason, about)


def whether(so: bool | None, otherwise: str, why_unsure: str = TOO_CLOSE) -> Finding:
    """The finding on what is so, is not so, or cannot be said."""
    return unsure(why_unsure) if so is None else TRUE if so else false(otherwise)


def negated(finding: Finding) -> Finding:
    """The finding on the opposite. What is false for naming nothing says nothing when denied either."""
    if finding.is_true:
        return false(DENIED)
    if not finding.is_false:
        return finding
    return unsure(finding.reason, finding.about) if finding.reason == NO_SUCH_THING else TRUE


def all_of(findings: Iterable[Finding]) -> Finding:
    """True when all are, false when one is; the first that is not true gives the reason."""
    found = list(findings)
    return next((one for one in found if one.is_false), next((one for one in found if not one.is_true), TRUE))


def any_of(findings: Iterable[Finding], otherwise: str) -> Finding:
    """True when one is, false when all are; false with the first reason, or `otherwise` when there are none."""
    found = list(findings)
    if any(one.is_true for one in found):
        return TRUE
    open_ones = [one for one in found if not one.decided]
    return open_ones[0] if open_ones else found[0] if found else false(otherwise)


def agreed(findings: Iterable[Finding]) -> Finding:
    """The finding on words that may mean several things: what all of their meanings have in common, if anything."""
    found = list(findings)
    return found[0] if len({one.value for one in found}) == 1 else unsure(TWO_MEANINGS)
