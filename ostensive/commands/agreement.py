"""`ostensive annotate RUN --agreement`: how far the people who judged a run agree."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from critics.annotation.serving import existing_store
from ostensive.errors import SettingsError

if TYPE_CHECKING:
    from critics.annotation.agreement import QuestionAgreement

    Agreement = Mapping[str, Sequence[QuestionAgreement]]


def agreement(out: Path | str) -> "dict[str, list[QuestionAgreement]]":
    """How far annotators agree, by task and question; raises `SettingsError` where nobody has judged anything."""
    from critics.annotation.agreement import task_agreement
    from critics.annotation.tasks import TASKS

    with existing_store(out) as store:
        answers = {task.name: store.answers(task.name) for task in TASKS.values()}
    if not any(answers.values()):
        raise SettingsError(f"{out}: nothing was judged here yet; label with `ostensive annotate RUN`")
    return {name: task_agreement(TASKS[name], given) for name, given in answers.items() if given}


def agreement_lines(found: "Agreement") -> Iterator[str]:
    """A table for each task, and under each question the annotators two by two."""
    for task, questions in found.items():
        yield f"{task:<24}{'items':>9}{'the same':>10}{'nominal':>9}{'ordinal':>9}{'kappa':>8}"
        for one in questions:
            alphas = f"{_figure(one.alpha_nominal):>9}{_figure(one.alpha_ordinal):>9}"
            yield f"{one.question:<24}{one.items:>9,}{_share(one.same_share):>10}{alphas}"
            for pair in one.pairs:
                names = f"  {pair.first}, {pair.second}"
                yield f"{names:<24}{pair.items:>9,}{_share(pair.same_share):>10}{'':>18}{_figure(pair.kappa):>8}"
    yield "nominal, ordinal: Krippendorff's alpha; kappa: Cohen's. 1 is full agreement, 0 is chance, - is undefined."


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
