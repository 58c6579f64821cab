"""The data sets that come as JSON Lines: a row of each as a `Question`, and which of them a row is of.

A label is taken from the row, under the names that the makers' files and the exports of the Hub have for it, or from a
file of labels beside it.
"""

from collections.abc import Callable, Mapping
from typing import Any  # Any: JSON values

from builders.self_talk.fields import distinct, label_in, place_of, text_in
from builders.self_talk.records import NO_BLANK, NO_FIELD, Question, RowError

Values = Mapping[str, Any]
Reader = Callable[[Values, str | None, str], Question]
"""Takes the row, its label in the file of labels (None without one) and its place; raises `RowError`."""

BLANK = "_"


def csqa(values: Values, label: str | None, place: str) -> Question:
    """CommonsenseQA: a question with five labelled choices."""
    question = values.get("question")
    options = question.get("choices") if isinstance(question, Mapping) else None
    if not isinstance(question, Mapping) or not isinstance(options, list):
        raise RowError(NO_FIELD)
    if not all(isinstance(option, Mapping) for option in options) or len(options) < 2:
        raise RowError(NO_FIELD)
    stem = text_in(question, "stem")
    labels = [text_in(option, "label") for option in options]
    return Question(
        task="csqa",
        place=place,
        group=place,
        about=stem,
        context="",
        question=stem,
        choices=distinct([text_in(option, "text") for option in options]),
        right=place_of(label if label is not None else label_in(values, "answerKey"), labels),
    )


def copa(values: Values, label: str | None, place: str) -> Question:
    """COPA as SuperGLUE has it: a premise and two sentences, one of them its cause, or its effect."""
    premise, asked_for = text_in(values, "premise"), text_in(values, "question").lower()
    if asked_for not in ("cause", "effect"):
        raise RowError(NO_FIELD)
    return Question(
        task="copa",
        place=place,
        group=place,
        about=premise,
        context=premise,
        question=asked_for,
        choices=distinct([text_in(values, "choice1"), text_in(values, "choice2")]),
        right=place_of(label if label is not None else label_in(values, "label"), ("0", "1")),
    )


def piqa(values: Values, label: str | None, place: str) -> Question:
    """PIQA: a goal and two ways to it."""
    goal = text_in(values, "goal")
    return Question(
        task="piqa",
        place=place,
        group=place,
        about=goal,
        context=goal,
        choices=distinct([text_in(values, "sol1"), text_in(values, "sol2")]),
        right=place_of(label if label is not None else label_in(values, "label"), ("0", "1")),
    )


def social_iqa(values: Values, label: str | None, place: str) -> Question:
    """Social-IQA: what somebody did, a question about it and three answers. `correct` is a letter, `label` a number."""
    context, letters = text_in(values, "context"), ("A", "B", "C")
    choices = distinct([text_in(values, f"answer{letter}") for letter in letters])
    letter = label_in(values, "correct") if label is None else None
    number = label if label is not None else label_in(values, "label")
    return Question(
        task="social_iqa",
        place=place,
        group=place,
        about=context,
        context=context,
        question=text_in(values, "question"),
        choices=choices,
        right=place_of(number, ("1", "2", "3")) if letter is None else place_of(letter, letters),
    )


def winogrande(values: Values, label: str | None, place: str) -> Question:
    """WinoGrande: a sentence with a blank, and the two things that may fill it.

    What follows the blank stands behind each choice: it is what tells them apart (Trinh and Le, 2018).
    """
    sentence = text_in(values, "sentence")
    if sentence.count(BLANK) != 1:
        raise RowError(NO_BLANK)
    before, _, after = sentence.partition(BLANK)
    options = distinct([text_in(values, "option1"), text_in(values, "option2")])
    return Question(
        task="winogrande",
        place=place,
        group=place,
        about=sentence.replace(BLANK, " or ".join(options)),
        context=before,
        choices=options,
        ending=after,
        is_joined=bool(before) and not before.endswith(" "),
        right=place_of(label if label is not None else label_in(values, "answer"), ("1", "2")),
    )


# A format is told by the fields that its rows have and no other's.
_READERS: tuple[tuple[frozenset[str], Reader], ...] = (
    (frozenset({"premise", "choice1", "choice2"}), copa),
    (frozenset({"goal", "sol1", "sol2"}), piqa),
    (frozenset({"context", "answerA", "answerB", "answerC"}), social_iqa),
    (frozenset({"sentence", "option1", "option2"}), winogrande),
)


def reader_of(values: Values) -> Reader | None:
    """The reader of the format that a row is of; None where it is of none."""
    if isinstance(values.get("question"), Mapping) and "stem" in values["question"]:
        return csqa
    return next((reader for fields, reader in _READERS if fields <= values.keys()), None)
