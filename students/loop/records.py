"""What is asked of a loop, and what is known of each of its rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ostensive.run.growth import Growth
from ostensive.run.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.settings import Settings

Start = Literal["base", "last"]
"""What each training begins from: the base, as ILLUME's It2* on all rows so far, or the student of the round before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopEvaluation:
    """The benchmark that the base and each student are evaluated on, as `ostensive student eval` is told it."""

    task: Path | str
    task_format: str
    images: Path | str | None = None
    settings: Sequence[str] = ()  # "a=b", of `students.evaluation.settings.EvaluationSettings`


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """What a loop may be told besides its recipe, images, base and folder."""

    build: BuildOptions = DEFAULT_OPTIONS  # of every round; limits and account are the loop's as a whole
    train: Sequence[str] = ()  # "a.b=c", settings of every training
    rounds: int | None = None  # after so many it ends; None takes the recipe's own number
    start: Start = "last"
    evaluation: LoopEvaluation | None = None  # None evaluates nothing
    keep_models: int | None = None  # merged models to keep, those of the last rounds; None keeps all


class LoopPlan(Settings):
    """A loop as it was asked for, and when it ends."""

    recipe: str
    base: str
    revision: str | None
    """Of a base on the Hub, as it was asked for."""
    commit: str | None
    """Of a base on the Hub, as it was when the loop began."""
    start: Start
    max_rounds: int | None
    stop_below: float
    """Growth, new rows for each from before."""
    keep_models: int | None
    evaluated_on: str | None
    """The form of the benchmark that base and students are evaluated on; None where none was asked for."""
    made_from: dict[str, str]
    """What makes it another loop where it changes, by what it is."""


@dataclass(frozen=True, slots=True)
class RoundPlace:
    """Where a round is carried out, and what it goes on from."""

    number: int
    run: Path
    student: Path
    parent: Path | None  # the run of the round before
    teacher: str  # a model: the base, or the student of the round before
    teacher_name: str | None  # what rows call a student, wherever the loop lies; None of the base, which has its own
    base: str  # a model that the training begins from


@dataclass(frozen=True, slots=True)
class BuiltRound:
    """What a build came to."""

    rows: int  # of the corpus
    images: int
    new: int  # rows that this round made
    before: int  # rows from the rounds before
    judged: int  # what this round made and gave to critics; `new` is what they kept of it
    lost: Mapping[str, int]  # rows by the reason why they were lost, of all stages
    requests: int  # behind the rows
    usd: float | None

    @property
    def fitting(self) -> float | None:
        """The share, 0-1, of what the round made that critics kept; None where it made nothing."""
        return self.new / self.judged if self.judged else None


@dataclass(frozen=True, slots=True)
class TrainedRound:
    """What a training came to."""

    objective: str
    rows: int  # for training: a conversation may be several
    steps: int
    first_loss: float
    last_loss: float


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round, as far as it has come. Links are relative to its folder; a model that is in no folder has its name."""

    number: int
    parent: str | None  # the folder of the round before
    teacher: str
    base: str
    built: BuiltRound | None = None
    trained: TrainedRound | None = None
    build_seconds: float = 0.0  # of commands that came to an end; what was killed is not in them
    train_seconds: float = 0.0

    def growth(self, stop_below: float) -> Growth | None:
        """What it added; None of a round that is not built yet."""
        return None if self.built is None else Growth(self.number, self.built.new, self.built.before, stop_below)


def ending_of(plan: LoopPlan, rounds: Sequence[RoundRecord]) -> str | None:
    """Why a loop with these rounds is at its end, in a few words; None where there is more to do.

    A round that added nothing is not trained on: its rows are those that the student before has seen.
    """
    if not rounds or (growth := rounds[-1].growth(plan.stop_below)) is None:
        return None
    last = rounds[-1]
    if last.number and not growth.new:
        return f"round {last.number} added no row to the {growth.before:,} from before"
    if last.trained is None:
        return None
    if growth.is_enough and growth.share is not None:
        return f"round {last.number} grew by {growth.share:.1%}, which is below rounds.stop_below={plan.stop_below:g}"
    if plan.max_rounds is not None and len(rounds) >= plan.max_rounds:
        return f"{plan.max_rounds} {'round was' if plan.max_rounds == 1 else 'rounds were'} asked for"
    return None
