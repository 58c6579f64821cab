"""`ostensive loop`, and how far a loop has come as people and programs read it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any  # Any: JSON values

import typer

from ostensive.commands.options import (
    AllowKeys,
    AnnotationsFile,
    AsJson,
    Images,
    JournalPath,
    Limit,
    MaxCost,
    MaxRequests,
    Prices,
    Profile,
    Quiet,
    RecipeName,
    RetryFailed,
    Settings,
    path_given_as,
)
from ostensive.commands.student_eval import FormatName
from ostensive.commands.terminal import at_work, print_lines
from ostensive.errors import Interrupted, OstensiveError, SettingsError
from ostensive.images.paths import shown_name

if TYPE_CHECKING:
    from students.loop.records import LoopEvaluation, RoundRecord
    from students.loop.status import LoopStatus

app = typer.Typer()


class StartName(StrEnum):
    """What trainings begin from."""

    BASE = "base"
    LAST = "last"


@app.command()
def loop(  # noqa: PLR0913, PLR0917 - one parameter an option; they become one record at once
    recipe: RecipeName,
    images: Images,
    base: Annotated[str, typer.Option("--base", metavar="MODEL", help="The model that teaches first and is trained.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="LOOP",
            parser=path_given_as("--out"),
            help="The folder of the loop; run again to go on in it.",
        ),
    ],
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", min=1, metavar="N", help="End after N rounds, the recipe's own number else."),
    ] = None,
    start: Annotated[
        StartName,
        typer.Option("--from", help="Train from the last student, or from the base on all rows so far."),
    ] = StartName.LAST,
    train_settings: Annotated[
        list[str] | None,
        typer.Option("--train-set", metavar="A.B=C", help="Change a setting of the trainings; may be repeated."),
    ] = None,
    eval_task: Annotated[
        Path | None,
        typer.Option(
            "--eval-task",
            metavar="PATH",
            parser=path_given_as("--eval-task"),
            help="Evaluate the base and each student on this benchmark, as `student eval --task`.",
        ),
    ] = None,
    eval_format: Annotated[
        FormatName | None, typer.Option("--eval-format", help="Its form: see docs/evaluation.md.")
    ] = None,
    eval_images: Annotated[
        Path | None,
        typer.Option(
            "--eval-images", metavar="DIR", parser=path_given_as("--eval-images"), help="The folder of its images."
        ),
    ] = None,
    eval_settings: Annotated[
        list[str] | None,
        typer.Option("--eval-set", metavar="A=B", help="Change a setting of the evaluation; may be repeated."),
    ] = None,
    keep_models: Annotated[
        int | None,
        typer.Option("--keep-models", min=1, metavar="K", help="Keep the merged models of the last K students alone."),
    ] = None,
    annotations: AnnotationsFile = None,
    profile: Profile = None,
    settings: Settings = None,
    allow_keys: AllowKeys = None,
    journal: JournalPath = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    limit: Limit = None,
    prices: Prices = None,
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Build and train in rounds, each student teaching the next; the same command goes on, and pays nothing twice."""
    from ostensive.commands.api_loop import loop as run_loop
    from ostensive.run.options import BuildOptions
    from students.loop.records import LoopOptions

    options = LoopOptions(
        build=BuildOptions(
            profile=profile,
            settings=tuple(settings or ()),
            allow_keys=tuple(allow_keys or ()),
            annotations=annotations,
            journal=journal,
            max_cost_usd=max_cost,
            max_requests=max_requests,
            limit=limit,
            prices=prices,
            retry_failed=retry_failed,
        ),
        train=tuple(train_settings or ()),
        rounds=rounds,
        evaluation=_evaluation(eval_task, eval_format, eval_images, eval_settings or ()),
        start="base" if start is StartName.BASE else "last",
        keep_models=keep_models,
    )
    try:
        with at_work(quiet) as (reporter, stop):
            run_loop(recipe, images=images, base=base, out=out, options=options, reporter=reporter, stop=stop)
    except (SettingsError, Interrupted):
        raise
    except OstensiveError:
        show_loop(out, as_json)
        raise
    show_loop(out, as_json)


def _evaluation(
    task: Path | None, task_format: FormatName | None, images: Path | None, settings: Sequence[str]
) -> "LoopEvaluation | None":
    from students.loop.records import LoopEvaluation

    if task is None and task_format is None and images is None and not settings:
        return None
    if task is None or task_format is None:
        missing = "--eval-task" if task is None else "--eval-format"
        raise SettingsError(f"{missing}: is missing; a benchmark is named by --eval-task and --eval-format")
    return LoopEvaluation(task=task, task_format=task_format.value, images=images, settings=tuple(settings))


def show_loop(path: Path, as_json: bool) -> None:
    """Prints how far the loop in a folder has come."""
    from ostensive.commands.show import to_json
    from students.loop.status import loop_status

    found = loop_status(path)
    print_lines([to_json(loop_values(found))] if as_json else loop_lines(found))


def loop_lines(found: "LoopStatus", *, with_build: bool = True) -> Iterator[str]:
    """The table of rounds, and where the loop is; with how far the build is that is at work, if asked for."""
    from ostensive.user_paths import shown_path

    head = (
        f"{'round':<6}{'rows':>8}{'new':>8}{'growth':>9}{'fitting':>9}{'requests':>10}{'cost':>9}{'build':>12}"
        f"{'steps':>8}{'loss':>9}{'at end':>9}{'train':>12}"
    )
    shown = {number: main_figure(figures) for number, figures in found.figures.items() if figures}
    name = next((figure["name"] for figure in shown.values()), None)
    yield head if name is None else f"{head}{name:>12}  95 % interval"
    if None in shown:
        yield f"{'base':<{len(head)}}{_figure(shown[None])}"
    for one in found.rounds:
        yield f"{_row(one, found.plan.stop_below)}{_figure(shown[one.number]) if one.number in shown else ''}"
    yield ""
    yield f"loop        {found.plan.recipe}, {found.outcome}{f': {found.message}' if found.message else ''}"
    if found.at is not None:
        number, what = found.at
        yield f"at          {'base' if number is None else f'round {number}'}, {what}; the same command goes on"
        if with_build and number is not None and what == "build":
            yield from _build_lines(found, number)
    if found.model is not None:
        yield f"student     {shown_path(found.model)}"


def _row(one: "RoundRecord", stop_below: float) -> str:
    from ostensive.commands.show import duration, money

    built, trained, growth = one.built, one.trained, one.growth(stop_below)
    cells = ["-"] * 6
    if built is not None and growth is not None:
        share = "-" if growth.share is None else f"{growth.share:+.1%}"
        fitting = "-" if built.fitting is None else f"{built.fitting:.1%}"
        cost = "unknown" if built.usd is None else money(built.usd)
        cells = [f"{built.rows:,}", f"{built.new:,}", share, fitting, f"{built.requests:,}", cost]
    learned = ["-"] * 3
    if trained is not None:
        learned = [f"{trained.steps:,}", f"{trained.first_loss:.4f}", f"{trained.last_loss:.4f}"]
    rows, new, share, fitting, requests, cost = cells
    steps, first_loss, last_loss = learned
    return (
        f"{one.number:<6}{rows:>8}{new:>8}{share:>9}{fitting:>9}{requests:>10}{cost:>9}"
        f"{duration(one.build_seconds):>12}{steps:>8}{first_loss:>9}{last_loss:>9}{duration(one.train_seconds):>12}"
    )


def main_figure(figures: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The figure that the table shows: the first of a benchmark, VCR's of both parts."""
    from students.evaluation.figures import BOTH_PARTS

    return next((figure for figure in figures if figure["name"] == BOTH_PARTS), figures[0])


def _figure(figure: Mapping[str, Any]) -> str:
    from ostensive.commands.evaluation_lines import value_and_interval

    value, interval = value_and_interval(figure)
    return f"{value:>12}  {interval}"


def _build_lines(found: "LoopStatus", number: int) -> Iterator[str]:
    """How far the build of the round that is at work is, where it has begun."""
    from ostensive.commands.show import status_lines
    from ostensive.run.folder import RunFolder
    from ostensive.run.status import status
    from students.loop.folder import LoopFolder

    run = LoopFolder(found.path).run_path(number)
    if "outcome" in RunFolder(run).read_state():
        yield ""
        yield from status_lines(status(run))


def build_at_work(found: "LoopStatus") -> Path | None:
    """The run of the round that is built, where its build has begun."""
    from ostensive.run.folder import RunFolder
    from students.loop.folder import LoopFolder

    if found.at is None or found.at[0] is None or found.at[1] != "build":
        return None
    run = LoopFolder(found.path).run_path(found.at[0])
    return run if "outcome" in RunFolder(run).read_state() else None


def loop_line(found: "LoopStatus") -> str:
    """Where the loop is, in a line."""
    ending = loop_ending(found)
    rows = f", {found.rounds[-1].built.rows:,} rows" if found.rounds and found.rounds[-1].built is not None else ""
    if ending is not None:
        return f"loop is {ending}{f': {shown_name(found.message)}' if found.message else ''}{rows}"
    number, what = found.at or (None, "end")
    return f"loop is at work: {'base' if number is None else f'round {number}'}, {what}{rows}"


def loop_ending(found: "LoopStatus") -> str | None:
    """How it ended; None while it is at work, "stopped" where its process is gone without having said why."""
    from ostensive.run.processes import is_alive

    if found.outcome != "unfinished":
        return found.outcome
    return "stopped" if is_alive(found.process) is False else None


def loop_values(found: "LoopStatus") -> dict[str, Any]:
    """The same for programs."""
    return {
        "loop": str(found.path),
        "recipe": found.plan.recipe,
        "base": found.plan.base,
        "outcome": found.outcome,
        "message": found.message,
        "ending": found.ending,
        "at": None if found.at is None else {"round": found.at[0], "phase": found.at[1]},
        "model": None if found.model is None else str(found.model),
        "evaluated_on": found.plan.evaluated_on,
        "base_figures": found.figures.get(None),
        "rounds": [_round_values(found, one) for one in found.rounds],
    }


def _round_values(found: "LoopStatus", one: "RoundRecord") -> dict[str, Any]:
    growth = one.growth(found.plan.stop_below)
    return {
        **asdict(one),
        "growth": None if growth is None else growth.share,
        "fitting": None if one.built is None else one.built.fitting,
        "figures": found.figures.get(one.number),
    }
