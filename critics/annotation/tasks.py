"""What people are asked: six tasks, each a few questions with fixed answers, in one table.

- `triple`: is a question with its answer right, does the rationale justify it (LSKD, for its critic);
- `accept`: is a candidate right, whatever its texts;
- `rating`: how good is a rationale, from 1 to 5 (ILLUME; 1 and 2 are fitting);
- `pairwise`: which of two answers is better, by four criteria (LSKD's human evaluation);
- `preference`: which of two descriptions is better, not told which was chosen (a review of STIC's pairs): to `confirm`
  the pair, to `swap` its sides, or to `discard` it.
- `explanation`: does an answer that explains a label name only what can be seen (a review of SelfSynthX's answers).

Everything that differs between tasks is data here, so that the page, the store, the agreement and the exports are
written once. An answer is always one of the values below, because nothing can be trained on free text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from critics.labels import RATINGS
from ostensive.errors import OstensiveError, SettingsError
from ostensive.recipe_kind import RecipeKind
from ostensive.settings import nearest_key


class AnswerError(OstensiveError):
    """An answer is missing or is none of those that were offered."""


@dataclass(frozen=True, slots=True)
class Option:
    """An answer that is offered: its value in the store, what is shown, and the key that gives it."""

    value: str
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a task. Options of an ordered one go from one end of a scale to the other."""

    name: str
    text: str
    options: tuple[Option, ...]
    is_ordered: bool
    rejected_with: str | None = None  # the question before it whose rejection rejects this one too, without asking

    @property
    def values(self) -> tuple[str, ...]:
        """The values that may be given, in the order of the options."""
        return tuple(option.value for option in self.options)

    @property
    def turned(self) -> "Question":
        """The question where the sides have changed places: the same buttons, the values behind them turned round."""
        pairs = zip(self.values[::-1], self.options, strict=True)
        return replace(self, options=tuple(replace(option, value=value) for value, option in pairs))


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of work: what an item of it shows, and what is asked of the item."""

    name: str
    title: str
    noun: str  # one item, as people call it
    fields: tuple[str, ...] | None  # the texts of an item, in the order in which they are shown; None for all it has
    questions: tuple[Question, ...]
    # The two fields whose order is drawn anew for each annotator and item. Options are those of the order given here,
    # left to right: where the sides change places, so do the values of the options, from one end to the other.
    sides: tuple[str, str] | None = None

    @property
    def makes_labels(self) -> bool:
        """Whether critics are trained on its answers: each question is a criterion by which candidates are rated."""
        return all(question.values == RATINGS for question in self.questions)

    def suits(self, kind: RecipeKind) -> bool:
        """Whether candidates of a recipe can be judged by it."""
        return self.fields is None or self.name in kind.tasks


SIDE_NAMES: Final = ("left", "right")
"""What the two sides of an item are called where they are shown."""

_RATING: Final = (Option("accept", "Accept", "a"), Option("maybe", "Maybe", "m"), Option("reject", "Reject", "r"))
_SIDES: Final = (Option("first", "Left", "1"), Option("tie", "Tie", "2"), Option("second", "Right", "3"))

TASKS: Final[dict[str, Task]] = {
    "triple": Task(
        "triple",
        "Triples",
        "triple",
        ("question", "answer", "rationale"),
        (
            Question("qa", "Is the answer right?", _RATING, is_ordered=True),
            Question("rationale", "Does the rationale justify it?", _RATING, is_ordered=True, rejected_with="qa"),
        ),
    ),
    "accept": Task(
        "accept",
        "Candidates",
        "candidate",
        None,
        (Question("acceptable", "Is it right?", _RATING, is_ordered=True),),
    ),
    "rating": Task(
        "rating",
        "Rationales",
        "rationale",
        ("question", "answer", "rationale"),
        (
            Question(
                "rating",
                "How good is the rationale?",
                (
                    Option("1", "Excellent", "1"),
                    Option("2", "Sufficient", "2"),
                    Option("3", "Weak", "3"),
                    Option("4", "Poor", "4"),
                    Option("5", "Gibberish", "5"),
                ),
                is_ordered=True,
            ),
        ),
    ),
    "pairwise": Task(
        "pairwise",
        "Comparisons",
        "pair",
        ("prompt", "first", "second"),
        (
            Question("correctness", "Which is more correct?", _SIDES, is_ordered=True),
            Question("informativeness", "Which says more?", _SIDES, is_ordered=True),
            Question("plausibility", "Which is more plausible?", _SIDES, is_ordered=True),
            Question("overall", "Which is better overall?", _SIDES, is_ordered=True),
        ),
        sides=("first", "second"),
    ),
    "preference": Task(
        "preference",
        "Preferences",
        "pair",
        ("prompt", "chosen", "rejected"),
        (
            Question(
                "decision",
                "Which is the better description?",
                (Option("confirm", "Left", "1"), Option("discard", "Tie", "2"), Option("swap", "Right", "3")),
                is_ordered=True,
            ),
        ),
        sides=("chosen", "rejected"),  # whoever knows which is which finds it the better one
    ),
    "explanation": Task(
        "explanation",
        "Explanations",
        "explanation",
        ("query", "answer"),
        (Question("visible", "Does it name only what can be seen?", _RATING, is_ordered=True),),
    ),
}
"""Every task by its name."""

FITTING_RATINGS: Final = frozenset({"1", "2"})
"""Ratings of a rationale that count as fitting (ILLUME: excellent and sufficient)."""


def task_named(name: str) -> Task:
    """The task of that name; raises `SettingsError` naming the nearest one."""
    if name not in TASKS:
        near = nearest_key(name, TASKS)
        hint = f"the nearest known one is {near}" if near else f"known are {', '.join(TASKS)}"
        raise SettingsError(f"task {name}: there is none of that name; {hint}")
    return TASKS[name]


def check_answers(task: Task, given: Mapping[str, str]) -> dict[str, str]:
    """The answers to all questions of `task`, from what a form or a file gives; other keys are passed over.

    A question that is rejected with another is, whatever is given for it. Raises `AnswerError`.
    """
    answers: dict[str, str] = {}
    for question in task.questions:
        follows = question.rejected_with is not None and answers[question.rejected_with] == "reject"
        value = "reject" if follows else given.get(question.name)
        if value is None:
            raise AnswerError(f"no answer to {question.name}; one of {', '.join(question.values)} is expected")
        if value not in question.values:
            raise AnswerError(f"{question.name} is {value[:40]!r}; one of {', '.join(question.values)} is expected")
        answers[question.name] = value
    return answers
