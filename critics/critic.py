"""What every critic offers: a probability for each candidate, and no decision.

Scores are written beside the candidates (`critics.stage.ScoreStage`); thresholds turn them into decisions in a step of
its own (`critics.combine`), so that a threshold can be moved in seconds and without the model. Critics that return only
yes or no were given up, because no threshold can then be chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeVar

from ostensive.recipe import TeacherSettings
from ostensive.records import NO_SPEND, Record, Spend
from ostensive.run.services import Services
from ostensive.stage import Evidence

CandidateT_contra = TypeVar("CandidateT_contra", bound=Record, contravariant=True)


@dataclass(frozen=True, slots=True)
class Score:
    """What a critic found: the probability, 0-1, that the candidate is acceptable, and what spoke against it."""

    accept_probability: float
    reason: str  # a short fixed phrase to count by, used where a threshold rejects; empty only with probability 1
    detail: str = ""  # what was found, in free words
    spend: Spend = NO_SPEND

    def __post_init__(self) -> None:
        probability = self.accept_probability
        assert 0 <= probability <= 1, f"a score is 0-1, not {probability}"
        assert self.reason or probability == 1, f"a score of {probability} may be rejected, and has no reason"


@dataclass(frozen=True, slots=True)
class NoScore:
    """A candidate that a critic could not score; it becomes a counted `Failed` and costs its neighbours nothing."""

    reason: str  # a short fixed phrase to count by
    detail: str = ""
    spend: Spend = NO_SPEND  # an answer that cannot be read is paid for like any other


@dataclass(frozen=True, slots=True)
class CriticMeans:
    """What a critic may be made with besides its settings."""

    services: Services
    teacher: TeacherSettings  # of the recipe; who judges where no other model is named
    seed: int


class Critic(Protocol[CandidateT_contra]):
    """Scores candidates. Constructors store and validate; models are acquired in `__enter__`."""

    @property
    def name(self) -> str:
        """What its scores and judgements call it; each critic of a recipe has its own."""
        ...

    @property
    def version(self) -> str:
        """A hash of all that its scores depend on: settings, the code's version, a model or a file where it has one.

        The threshold is none of it, nor is the name.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def score(self, rows: Sequence[CandidateT_contra], evidence: Evidence) -> Sequence[Score | NoScore]:
        """One score for each row, in order; none depends on another row or on how rows are batched."""
        ...
