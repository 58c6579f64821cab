"""What self-talk came to on a file, for people and for programs."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any  # Any: JSON values

from builders.self_talk.records import Question
from ostensive.intervals import wilson


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and what the model chose, without clarifications and with them."""

    question: Question
    baseline: int
    chosen: int
    clarification: str  # under which it was chosen; empty where that was none
    clarifications: int  # how many there were

    @property
    def is_baseline_right(self) -> bool:
        return self.baseline == self.question.right

    @property
    def is_right(self) -> bool:
        return self.chosen == self.question.right


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many questions were answered rightly."""

    right: int
    total: int

    @property
    def share(self) -> float:
        return self.right / self.total

    def values(self) -> dict[str, Any]:
        """As JSON, with Wilson's interval."""
        interval = wilson(self.right, self.total)
        return {"right": self.right, "share": self.share, "share_95": [interval.low, interval.high]}

    def text(self) -> str:
        """For people."""
        interval = wilson(self.right, self.total)
        return f"{self.share:.1%} ({interval.low:.1%} to {interval.high:.1%})"


@dataclass(slots=True)
class Counted:
    """What was lost on the way, by reason."""

    rows: Counter[str] = field(default_factory=Counter)
    asked: int = 0  # replies that the model was asked for, questions and answers
    replies: Counter[str] = field(default_factory=Counter)  # that are no question, or no clarification
    unscored: Counter[str] = field(default_factory=Counter)  # clarifications under which a question was not scored


@dataclass(frozen=True, slots=True)
class FileFigures:
    """A file's figures. A question of MC-TACO is right where all its proposed answers are judged rightly."""

    file: str
    task: str
    questions: int
    chance: float
    baseline: Accuracy | None  # None where no question could be asked
    self_talk: Accuracy | None
    mended: int  # wrong without clarifications, and right with them
    spoilt: int
    clarifications: int  # of all questions
    counted: Counted


def measured(answered: Sequence[Answered], counted: Counted, *, file: str, task: str) -> FileFigures:
    """The figures of what was answered, questions of one group counted as one."""
    groups: dict[str, list[Answered]] = {}
    for one in answered:
        groups.setdefault(one.question.group, []).append(one)
    before = [all(one.is_baseline_right for one in group) for group in groups.values()]
    after = [all(one.is_right for one in group) for group in groups.values()]
    chances = [math.prod(1 / len(one.question.choices) for one in group) for group in groups.values()]
    total = len(groups)
    return FileFigures(
        file=file,
        task=task,
        questions=total,
        chance=sum(chances) / total if total else 0.0,
        baseline=Accuracy(sum(before), total) if total else None,
        self_talk=Accuracy(sum(after), total) if total else None,
        mended=sum(b and not a for a, b in zip(before, after, strict=True)),
        spoilt=sum(a and not b for a, b in zip(before, after, strict=True)),
        clarifications=sum(one.clarifications for one in answered),
        counted=counted,
    )


def figure_lines(figures: Sequence[FileFigures]) -> Iterator[str]:
    """A table, and under each file what was lost of it."""
    width = max(12, *(len(one.file) + 2 for one in figures))
    yield f"{'file':<{width}}{'data set':<12}{'questions':>10}{'chance':>9}{'baseline':>26}{'self-talk':>26}"
    for one in figures:
        baseline = "-" if one.baseline is None else one.baseline.text()
        talked = "-" if one.self_talk is None else one.self_talk.text()
        yield f"{one.file:<{width}}{one.task:<12}{one.questions:>10,}{one.chance:>9.1%}{baseline:>26}{talked:>26}"
        yield f"  {one.mended:,} mended and {one.spoilt:,} spoilt by {one.clarifications:,} clarifications"
        yield from _lost_lines(one.counted)


def _lost_lines(counted: Counted) -> Iterator[str]:
    kinds = (
        ("rows lost", "", counted.rows),
        ("replies lost", f" of {counted.asked:,}", counted.replies),
        ("clarifications not scored", "", counted.unscored),
    )
    for what, of, reasons in kinds:
        if reasons:
            parts = ", ".join(f"{count:,} {reason}" for reason, count in ranked(reasons))
            yield f"  {what} ({reasons.total():,}{of}): {parts}"


def ranked(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """Reasons, the most frequent first."""
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def figure_values(one: FileFigures) -> dict[str, Any]:
    """The same for programs."""
    return {
        "file": one.file,
        "data_set": one.task,
        "questions": one.questions,
        "chance": one.chance,
        "baseline": None if one.baseline is None else one.baseline.values(),
        "self_talk": None if one.self_talk is None else one.self_talk.values(),
        "mended": one.mended,
        "spoilt": one.spoilt,
        "clarifications": one.clarifications,
        "rows_lost": dict(ranked(one.counted.rows)),
        "replies": one.counted.asked,
        "replies_lost": dict(ranked(one.counted.replies)),
        "clarifications_not_scored": dict(ranked(one.counted.unscored)),
    }


def answer_values(one: Answered) -> dict[str, Any]:
    """A question and what was chosen, for programs."""
    question = one.question
    return {
        "place": question.place,
        "question": question.question or question.about,
        "context": question.context,
        "candidate": question.candidate or None,
        "choices": list(question.choices),
        "right": question.right,
        "baseline": one.baseline,
        "self_talk": one.chosen,
        "clarification": one.clarification or None,
    }
