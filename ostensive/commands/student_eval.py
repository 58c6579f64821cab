"""`ostensive student eval` and `compare`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ostensive.commands.options import AsJson, BatchSize, Device, Dtype, Quiet, Revision, path_given_as
from ostensive.commands.terminal import at_work, print_lines, say
from ostensive.run.progress import now_and_then
from ostensive.user_paths import shown_path

app = typer.Typer()


class FormatName(StrEnum):
    """Forms of benchmark files."""

    VCR = "vcr"
    SHERLOCK = "sherlock"
    VISUALCOMET = "visualcomet"
    AOKVQA = "aokvqa"
    SNLI_VE = "snli-ve"
    VISUAL7W = "visual7w"
    CHOICES = "choices"
    YESNO = "yesno"
    CAPTIONS = "captions"
    CORPUS = "corpus"


class ScoringName(StrEnum):
    """How choices are scored."""

    LIKELIHOOD = "likelihood"
    CONTRASTIVE = "contrastive"
    ITM = "itm"
    ITC = "itc"


class PerName(StrEnum):
    """Over what a likelihood goes."""

    TOKEN = "token"  # noqa: S105 - a word, no secret
    TEXT = "text"


class QuestionName(StrEnum):
    """What becomes of the question before a choice."""

    AUTO = "auto"
    KEEP = "keep"
    DROP = "drop"


class DrawnName(StrEnum):
    """Which boxes are drawn."""

    MENTIONED = "mentioned"
    ALL = "all"
    NONE = "none"


_Task = Annotated[
    Path,
    typer.Option(
        "--task", metavar="PATH", parser=path_given_as("--task"), help="The benchmark's own file, or its folder."
    ),
]
_Regions = Annotated[DrawnName, typer.Option("--regions", help="Which boxes are drawn.")]
_Split = Annotated[str | None, typer.Option("--split", metavar="NAME", help="Of a file that holds several.")]


@app.command(name="eval")
def evaluate(  # noqa: PLR0913, PLR0917 - one parameter an option; they become one record at once
    model: Annotated[str, typer.Argument(metavar="STUDENT", help="A student's folder, or any model.")],
    task: _Task,
    task_format: Annotated[FormatName, typer.Option("--format", help="Its form: see docs/evaluation.md.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            parser=path_given_as("--out"),
            help="JSON Lines; run again to go on.",
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", parser=path_given_as("--images"), help="The folder of its images."),
    ] = None,
    scoring: Annotated[ScoringName | None, typer.Option("--scoring", help="How choices are scored.")] = None,
    per: Annotated[PerName, typer.Option("--per", help="Likelihoods: mean, or sum.")] = PerName.TOKEN,
    question: Annotated[
        QuestionName, typer.Option("--question", help="Before a choice that is compared with a picture.")
    ] = QuestionName.AUTO,
    regions: _Regions = DrawnName.MENTIONED,
    split: _Split = None,
    describe: Annotated[bool, typer.Option("--describe", help="Describe the picture first, then respond.")] = False,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest reply, in tokens.")] = 256,
    no_meteor: Annotated[bool, typer.Option("--no-meteor", help="Leave out METEOR, which takes longest.")] = False,
    objects: Annotated[
        Path | None,
        typer.Option("--objects", metavar="FILE", parser=path_given_as("--objects"), help="Things, for CHAIR."),
    ] = None,
    fluency_model: Annotated[
        str | None, typer.Option("--fluency-model", metavar="MODEL", help="Whose perplexity is a reply's fluency.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Take only the first N items.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws candidates where a benchmark has none.")] = 0,
    revision: Revision = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_size: BatchSize = 16,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a student, or any model, on a benchmark; the same command goes on after a kill."""
    from ostensive.commands import evaluation
    from ostensive.commands.evaluation_lines import evaluation_lines
    from ostensive.commands.show import to_json

    settings = {
        "scoring": None if scoring is None else scoring.value,
        "per": per.value,
        "question": question.value,
        "regions": regions.value,
        "split": split,
        "describe": describe,
        "max_tokens": max_tokens,
        "meteor": not no_meteor,
        "objects": None if objects is None else str(objects),
        "fluency_model": fluency_model,
        "limit": limit,
        "seed": seed,
        "revision": revision,
        "device": device,
        "dtype": dtype,
        "batch_size": batch_size,
    }
    with at_work(quiet=True) as (_, stop):
        summary = evaluation.evaluate(
            model,
            task,
            out,
            task_format=task_format.value,
            images=images,
            settings=settings,
            stop=stop,
            tell=(lambda _line: None) if quiet else now_and_then(say),
        )
    print_lines([to_json(dict(summary))] if as_json else evaluation_lines(summary, out))


@app.command()
def compare(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="BEFORE AFTER...", parser=path_given_as("results"), help="Files that `student eval` wrote."
        ),
    ],
    shared: Annotated[
        bool, typer.Option("--shared", help="Leave out items that not all files scored, instead of refusing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put results over the same items side by side, with intervals and paired tests."""
    from ostensive.commands import evaluation
    from ostensive.commands.evaluation_lines import comparison_lines
    from ostensive.commands.show import to_json

    found = evaluation.compare(results, shared=shared)
    if as_json:
        values = {"before": found.baseline, "task": found.task, "left_out": found.left_out}
        print_lines([to_json({**values, "compared": [one.values() for one in found.compared]})])
        return
    print_lines(comparison_lines(found))


@app.command(name="lmms-task")
def lmms_task(
    task: _Task,
    task_format: Annotated[FormatName, typer.Option("--format", help="Its form: one with right choices.")],
    images: Annotated[
        Path,
        typer.Option("--images", metavar="DIR", parser=path_given_as("--images"), help="The folder of its images."),
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What lmms-eval is to call the task.")],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", parser=path_given_as("--out"), help="A folder that is empty."),
    ],
    regions: _Regions = DrawnName.MENTIONED,
    split: _Split = None,
    as_json: AsJson = False,
) -> None:
    """Write a benchmark of choices as a task folder of lmms-eval, pictures and drawn boxes included."""
    from ostensive.commands import evaluation
    from ostensive.commands.show import to_json

    found = evaluation.export_task(
        task,
        out,
        name=name,
        task_format=task_format.value,
        images=images,
        settings={"regions": regions.value, "split": split},
    )
    if as_json:
        print_lines([to_json({"name": found.name, "items": found.items, "lost": dict(found.lost)})])
        return
    print_lines([f"items       {found.items:,}"])
    print_lines(f"lost        {count:,}: {reason}" for reason, count in found.lost.items())
    print_lines([f"task        {shown_path(out)}", f"run there   lmms-eval --include_path . --tasks {found.name} ..."])
