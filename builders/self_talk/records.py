"""What is read out of a data set and asked of a model."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A choice between texts, one of them right, whatever data set it is from."""

    task: str  # the data set's name, which its templates and wordings have too
    place: str  # within its file
    group: str  # questions of one group count as one: it is right when all of them are
    about: str  # the text that clarification questions are asked about
    context: str  # what stands before the choice; empty where the question is all there is
    choices: tuple[str, ...]
    right: int  # the place of the right one among them
    question: str = ""
    candidate: str = ""  # an answer that is to be judged, where the choices are yes and no
    ending: str = ""  # what goes on behind the choice, where it fills a blank
    is_joined: bool = False  # whether the choice stands right behind the context, without a blank


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """The questions of a file, and how many of its rows are none, by reason."""

    name: str  # as people are to read it
    task: str
    questions: tuple[Question, ...]
    lost: Mapping[str, int]


class RowError(ValueError):
    """A row is no question that can be asked; the message is the reason, one of a few."""


NO_JSON = "not a JSON object"
NO_FIELD = "a field is missing or empty"
NO_LABEL = "no label"
WRONG_LABEL = "label is none of the choices"
REPEATED = "two choices are the same"
NO_BLANK = "not one blank in the sentence"
COLUMNS = "not five columns"
BROKEN_GROUP = "another row of its question is lost"
