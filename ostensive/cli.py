"""The command line: it puts the command groups together, and turns an expected error into one line and a status.

Results go to standard output, progress and errors to standard error. Exit status: 0 done, 1 failed, 2 misused,
130 interrupted. Nothing heavy is imported before a command needs it, so that `--help` answers at once.
"""

import logging
import os
import sys
import warnings
from typing import Annotated

import typer

from ostensive.commands import annotate, build, diff, loop, publish, report, self_talk, serve, student_eval
from ostensive.commands.critic import critic_app
from ostensive.commands.microworld import microworld_app
from ostensive.commands.recipes import recipes_app
from ostensive.commands.student import student_app
from ostensive.commands.terminal import WarningsOnTerminal, complain, print_lines
from ostensive.errors import Interrupted, OstensiveError, SettingsError
from ostensive.version import VERSION

app = typer.Typer(
    help="Turn a folder of images into vision-language corpora that point at things and say why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(build.app)
app.add_typer(diff.app)
app.add_typer(annotate.app)
app.add_typer(report.app)
app.add_typer(critic_app, name="critic")
app.add_typer(publish.app)
app.add_typer(self_talk.app)
app.add_typer(serve.app)
app.add_typer(recipes_app, name="recipes")
student_app.add_typer(student_eval.app)
app.add_typer(student_app, name="student")
app.add_typer(loop.app)
app.add_typer(microworld_app, name="microworld")


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    """Turn a folder of images into vision-language corpora that point at things and say why."""
    if show:
        print_lines([f"ostensive {VERSION}"])
        raise typer.Exit


def main() -> None:
    """Runs the command line and leaves with its exit status; an expected error is one line on standard error."""
    # Pillow warns of odd metadata in photographs; what matters of it is said in `images/`.
    warnings.filterwarnings("ignore", module="PIL")
    logging.lastResort = WarningsOnTerminal(logging.WARNING)  # what nobody else handles
    try:
        app(prog_name="ostensive")
    except Interrupted:
        complain("interrupted; the same command continues")
        sys.exit(130)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(130)
    except SettingsError as error:
        complain(str(error))
        sys.exit(2)
    except OstensiveError as error:
        complain(str(error))
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain once more on closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
