"""Self-talk on files of questions: read, let the model talk, score the choices, count."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from builders.self_talk.choosing import choose
from builders.self_talk.figures import Answered, Counted, FileFigures, measured
from builders.self_talk.prompts import passages
from builders.self_talk.records import BROKEN_GROUP, Question, QuestionFile
from builders.self_talk.settings import SelfTalkSettings
from builders.self_talk.talking import failure, talk
from ostensive.models.batching import BatchSize
from ostensive.models.likelihoods import mean_log_likelihoods
from ostensive.models.text_model import TextModel, load_text_model

NOT_FINITE: Final = "a likelihood is not finite"
_GROUPS_AT_ONCE: Final = 8  # with the paper's settings some thousand passages


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of a file, and the questions behind them."""

    figures: FileFigures
    answered: tuple[Answered, ...]


def measure(
    files: Sequence[QuestionFile], settings: SelfTalkSettings, *, tell: Callable[[str], None]
) -> Iterator[Measured]:
    """The figures of each file as soon as it is done; `tell` is told how far it is.

    Loads the model once, before the first; raises `SettingsError` as `load_text_model` does.
    """
    loaded = load_text_model(settings)
    size = BatchSize(settings.batch_size, settings.model)
    for file in files:
        yield _measure_file(loaded, file, settings, size, tell)


def _measure_file(
    loaded: TextModel, file: QuestionFile, settings: SelfTalkSettings, size: BatchSize, tell: Callable[[str], None]
) -> Measured:
    answered: list[Answered] = []
    counted = Counted(rows=Counter(file.lost))
    for done, questions in _in_groups(file.questions):
        talked = talk(loaded, file.task, list(dict.fromkeys(one.about for one in questions)), settings, size)
        counted.asked += talked.asked
        counted.replies += talked.lost
        for one in answers_to(loaded, questions, talked.clarifications, size, counted.unscored):
            if isinstance(one, Answered):
                answered.append(one)
            else:
                counted.rows[one] += 1
        tell(f"{file.name}: {done:,} of {len(file.questions):,} rows")
    whole = _whole_groups(answered, file.questions)
    if len(whole) < len(answered):
        counted.rows[BROKEN_GROUP] += len(answered) - len(whole)
    return Measured(measured(whole, counted, file=file.name, task=file.task), tuple(whole))


def _in_groups(questions: Sequence[Question]) -> Iterator[tuple[int, list[Question]]]:
    """Some groups of questions at a time, with how many questions there are up to their end."""
    groups: dict[str, list[Question]] = {}
    for question in questions:
        groups.setdefault(question.group, []).append(question)
    waiting, done = list(groups.values()), 0
    for start in range(0, len(waiting), _GROUPS_AT_ONCE):
        some = [question for group in waiting[start : start + _GROUPS_AT_ONCE] for question in group]
        done += len(some)
        yield done, some


def _whole_groups(answered: Sequence[Answered], questions: Sequence[Question]) -> list[Answered]:
    """What was answered of groups of which all was answered."""
    lacking = Counter(question.group for question in questions)
    lacking.subtract(one.question.group for one in answered)
    return [one for one in answered if not lacking[one.question.group]]


def answers_to(
    loaded: TextModel,
    questions: Sequence[Question],
    clarifications: Mapping[str, Sequence[str]],
    size: BatchSize,
    unscored: Counter[str],
) -> Iterator[Answered | str]:
    """Each question with what was chosen, or the reason why it could not be asked."""
    texts = [["", *clarifications[question.about]] for question in questions]
    rows = [
        [passages(question, text) for text in of_question]
        for question, of_question in zip(questions, texts, strict=True)
    ]
    flat = [passage for of_question in rows for row in of_question for passage in row]
    scores = iter(mean_log_likelihoods(loaded, flat, size))
    for question, of_question in zip(questions, texts, strict=True):
        scored = [_scored(question, scores) for _ in of_question]
        baseline = scored[0]
        if isinstance(baseline, str):
            yield baseline
            continue
        unscored.update(row for row in scored if isinstance(row, str))
        known = [(text, row) for text, row in zip(of_question, scored, strict=True) if not isinstance(row, str)]
        choice = choose([row for _, row in known])
        yield Answered(
            question=question,
            baseline=choose([baseline]).chosen,
            chosen=choice.chosen,
            clarification=known[choice.clarification][0],
            clarifications=len(known) - 1,
        )


def _scored(question: Question, scores: Iterator[float | Exception]) -> list[float] | str:
    """The likelihood of each choice, or why there is none of one of them."""
    row = [next(scores) for _ in question.choices]
    errors = [value for value in row if isinstance(value, Exception)]
    if errors:
        return failure(errors[0])
    values = [value for value in row if not isinstance(value, Exception)]
    return values if all(math.isfinite(value) for value in values) else NOT_FINITE
