"""`ostensive student export` and `train`."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ostensive.commands.options import AsJson, Quiet, RunFolderPath, path_given_as
from ostensive.commands.terminal import at_work, print_lines, say

student_app = typer.Typer(help="Make a corpus ready for training, and train on it.", no_args_is_help=True)


class ViewName(StrEnum):
    """The forms of training rows."""

    MESSAGES = "messages"
    PROMPT_COMPLETION = "prompt-completion"
    PREFERENCE = "preference"
    LLAVA = "llava"
    LSKD = "lskd"


class RegionsName(StrEnum):
    """Which regions are drawn."""

    MENTIONED = "mentioned"
    ALL = "all"
    NONE = "none"


@student_app.command()
def export(
    run: RunFolderPath,
    view: Annotated[ViewName, typer.Option("--view", help="The form: see docs/students.md.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", parser=path_given_as("--out"), help="A folder that is empty or not there."
        ),
    ],
    regions: Annotated[
        RegionsName | None, typer.Option("--regions", help="Which regions to draw; those that the row mentions.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the corpus of a run in the form that a trainer reads."""
    from ostensive.commands import api
    from ostensive.commands.show import export_lines, to_json

    found = api.export(run, view.value, out, regions=None if regions is None else regions.value)
    print_lines([to_json(asdict(found))] if as_json else export_lines(found, out))


@student_app.command()
def train(
    run: RunFolderPath,
    base: Annotated[str, typer.Option("--base", metavar="MODEL", help="The model to start from: on the Hub, or here.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="STUDENT",
            parser=path_given_as("--out"),
            help="The student's folder; run again to go on.",
        ),
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a setting of the training.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a student on the corpus of a run; the same command goes on after a kill."""
    from ostensive.commands import api
    from ostensive.commands.show import student_lines, to_json
    from students.training.processes import is_first_process

    with at_work(quiet=True) as (_, stop):
        found = api.train_student(
            run, base, out, settings=tuple(settings or ()), stop=stop, tell=(lambda _line: None) if quiet else say
        )
    if is_first_process():
        print_lines([to_json(asdict(found))] if as_json else student_lines(found, out))
