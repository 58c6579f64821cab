"""`ostensive self-talk`: how much a language model knows, to choose a base model by."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any  # Any: JSON values

import typer

from ostensive.commands.options import AsJson, BatchSize, Device, Dtype, Quiet, Revision, path_given_as
from ostensive.commands.terminal import print_lines, say
from ostensive.errors import SettingsError

if TYPE_CHECKING:
    from builders.self_talk.measuring import Measured
    from builders.self_talk.settings import SelfTalkSettings

app = typer.Typer()
_Questions = Annotated[
    int, typer.Option("--questions", min=0, max=100, help="Questions drawn from each beginning; 0: no self-talk.")
]
_Answers = Annotated[int, typer.Option("--answers", min=1, max=100, help="Answers drawn to each question.")]
_TopP = Annotated[float, typer.Option("--question-top-p", min=0, max=1, help="Nucleus that questions are drawn from.")]
_AnswerTopP = Annotated[
    float, typer.Option("--answer-top-p", min=0, max=1, help="Nucleus that answers are drawn from.")
]
_Tokens = Annotated[int, typer.Option("--question-tokens", min=1, max=200, help="Most tokens of a question.")]
_AnswerTokens = Annotated[int, typer.Option("--answer-tokens", min=1, max=200, help="Most tokens of an answer.")]


@app.command(name="self-talk")
def self_talk(  # noqa: PLR0913, PLR0917 - one parameter an option; they become one record at once
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A language model on the Hub, or its folder.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            parser=path_given_as("file"),
            help="CSQA, COPA, PIQA, Social-IQA, WinoGrande or MC-TACO as their makers have them.",
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            parser=path_given_as("--labels"),
            help="Labels of the one FILE, one a line; by default NAME-labels.lst beside it.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Take only the first N questions of each file.")
    ] = None,
    questions: _Questions = 5,
    answers: _Answers = 10,
    question_top_p: _TopP = 0.2,
    answer_top_p: _AnswerTopP = 0.5,
    question_tokens: _Tokens = 12,
    answer_tokens: _AnswerTokens = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="What tokens are drawn by.")] = 0,
    revision: Revision = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_size: BatchSize = 16,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", parser=path_given_as("--out"), help="JSON Lines: each question, what was chosen."
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Answer multiple-choice questions by likelihood, without and with what the model says to itself about them."""
    from builders.self_talk.settings import SelfTalkSettings
    from ostensive.settings import validate

    given = {
        "model": model,
        "revision": revision,
        "device": device,
        "dtype": dtype,
        "batch_size": batch_size,
        "questions": questions,
        "answers": answers,
        "question_top_p": question_top_p,
        "answer_top_p": answer_top_p,
        "question_tokens": question_tokens,
        "answer_tokens": answer_tokens,
        "seed": seed,
    }
    settings = validate(SelfTalkSettings, given, "self-talk")
    if labels is not None and len(files) > 1:
        raise SettingsError("--labels: is for one FILE; those of several are looked for beside them, NAME-labels.lst")
    found = _measured(settings, files, labels, limit, quiet=quiet)
    if out is not None:
        _write(out, found)
    _print(settings, found, as_json=as_json)


def _measured(
    settings: "SelfTalkSettings", files: list[Path], labels: Path | None, limit: int | None, *, quiet: bool
) -> "list[Measured]":
    from builders.self_talk.measuring import measure
    from builders.self_talk.reading import read_questions

    read = [read_questions(path, labels=labels, limit=limit) for path in files]
    return list(measure(read, settings, tell=(lambda _: None) if quiet else say))


def _write(out: Path, found: "list[Measured]") -> None:
    from builders.self_talk.figures import answer_values
    from ostensive.files import write_text

    rows = [{"file": one.figures.file, **answer_values(answer)} for one in found for answer in one.answered]
    write_text(out, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))


def _print(settings: "SelfTalkSettings", found: "list[Measured]", *, as_json: bool) -> None:
    from builders.self_talk.figures import figure_lines, figure_values
    from builders.self_talk.prompts import prompt_hash
    from ostensive.commands.show import to_json
    from ostensive.models.files import model_version

    version = model_version(settings.model, settings.revision)
    if as_json:
        values: dict[str, Any] = {
            "settings": settings.identity(),
            "model_version": version,
            "prompt_hash": prompt_hash(),
            "files": [figure_values(one.figures) for one in found],
        }
        print_lines([to_json(values)])
        return
    print_lines([f"{settings.model_name} ({version[:19]}), seed {settings.seed}, prompts {prompt_hash()}"])
    print_lines(figure_lines([one.figures for one in found]))
