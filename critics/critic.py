"""What every critic offers: a probability for each candidate, and no decision.

Scores are written beside the candidates (`critics.stage.ScoreStage`); thresholds turn them into decisions in a step of
its own, so that a threshold can be moved in seconds and without the model.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Self, TypeVar  # Any: JSON values of any depth

from pydantic import Field

from ostensive.chat.access import ChatSettings, TeacherSettings
from ostensive.recipe_kind import RecipeKind
from ostensive.records import NO_SPEND, Candidate, Spend
from ostensive.run.services import Services
from ostensive.settings import Settings
from ostensive.stage import Evidence

CriticName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ScoringSettings(Settings):
    """What the settings of all critics that score have: a name, and the threshold. Scores depend on neither."""

    kind: str
    name: CriticName | None = None
    """What scores and judgements call it; None takes the kind. Two critics of one kind need two names."""
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """A candidate is accepted from this probability on."""

    @property
    def title(self) -> str:
        """Its name, or its kind where it has none."""
        return self.name or self.kind

    @property
    def chats(self) -> tuple[ChatSettings, ...]:
        """The models that it asks besides the recipe's teacher."""
        return ()

    def scoring_identity(self) -> dict[str, Any]:
        """The settings that scores depend on: all that rows depend on but the name and the threshold."""
        values = self.identity()
        return {key: value for key, value in values.items() if key not in ("name", "min_accept_probability")}

    def decision(self) -> list[Any]:
        """What decisions depend on besides the scores."""
        return [self.title, self.min_accept_probability]

    def lacking(self, kind: RecipeKind) -> str:  # noqa: ARG002 - for critics that require something
        """What this critic requires and the candidates of `kind` do not have, in a few words; empty for nothing."""
        return ""


SettingsT = TypeVar("SettingsT", bound=ScoringSettings)


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
class CriticContext:
    """What a critic is made with besides its settings: plain values that pickle."""

    kind: RecipeKind  # of the candidates that it scores
    teacher: TeacherSettings  # of the recipe; who judges where no other model is named
    seed: int


class Critic(ABC, Generic[SettingsT]):
    """Scores candidates. It is made of settings alone and pickles; models and files are acquired when it is opened."""

    def __init__(self, settings: SettingsT, context: CriticContext) -> None:
        """Stores and validates; raises `SettingsError` for what can be seen to be wrong."""
        self.settings = settings
        self.context = context

    @property
    def name(self) -> str:
        """What its scores and judgements call it; each critic of a recipe has its own."""
        return self.settings.title

    @property
    @abstractmethod
    def version(self) -> str:
        """A hash of all that its scores depend on: settings, the code's version, a model or a file where it has one.

        The threshold is none of it, nor is the name.
        """

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:  # noqa: ARG002 - for critics that need them
        """The critic with its model or file, for as long as the context lasts; raises `SettingsError`."""
        yield self

    @abstractmethod
    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> Sequence[Score | NoScore]:
        """One score for each row, in order; none depends on another row or on how rows are batched."""
