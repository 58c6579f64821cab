"""What every critic offers, and the one place where a score becomes a decision.

A critic stores a probability for every candidate; a threshold turns it into accept or reject, so that the threshold can
change without the model. Critics that return only yes or no were given up, because no threshold can then be chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeVar

from ostensive.records import Judgement, Record
from ostensive.stage import Evidence

CandidateT_contra = TypeVar("CandidateT_contra", bound=Record, contravariant=True)


@dataclass(frozen=True, slots=True)
class Score:
    """What a critic found: the probability, 0-1, that the candidate is acceptable, and what spoke against it."""

    accept_probability: float
    reason: str  # a short fixed phrase to count by; used when the candidate is rejected


class Critic(Protocol[CandidateT_contra]):
    """Scores candidates. Constructors store and validate; models are acquired in `__enter__`."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """A hash of its settings, its code's version and, where it has one, its model."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def judge(self, rows: Sequence[CandidateT_contra], evidence: Evidence) -> list[Judgement]:
        """One judgement for each row, in order; reads no other row's result."""
        ...


def decide(score: Score, *, critic: str, version: str, min_accept_probability: float) -> Judgement:
    """The judgement that follows from a score: accepted from `min_accept_probability` (0-1) on, that value included."""
    accepted = score.accept_probability >= min_accept_probability
    return Judgement(critic, version, score.accept_probability, accepted, "" if accepted else score.reason)
