"""What several commands may be told, as typer takes it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from ostensive.run.options import BuildOptions


def path_given_as(what: str) -> Callable[[str], Path]:
    """A parser of paths for `what`, an option or an argument.

    It reads the text itself: typer's own type makes a `Path` of it, which takes `./~` for `~`.
    """

    def parse(given: str) -> Path:
        from ostensive.user_paths import user_path

        return user_path(given, what)

    return parse


RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe (`localized`) or a YAML file.")]
Images = Annotated[
    Path,
    typer.Option(
        "--images",
        metavar="PATH",
        parser=path_given_as("--images"),
        help="A folder, a list file, a tar, Parquet, or a `datasets` folder.",
    ),
]
AnnotationsFile = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        metavar="FILE",
        parser=path_given_as("--annotations"),
        help="Items that belong to images: CSV, JSON, JSON Lines, Parquet.",
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="What fills in the models: offline, open, open-small, paper, served, microworld.",
    ),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a setting of the recipe; may be repeated.")
]
AllowKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-key",
        metavar="NAME=HOST",
        envvar="OSTENSIVE_ALLOW_KEYS",
        help="The key in the variable NAME may go to HOST, which the recipe names; may be repeated.",
    ),
]
Prices = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        metavar="FILE",
        parser=path_given_as("--prices"),
        help="YAML price table that overrides the built-in one.",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Take only the first N images.")]
JournalPath = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="PATH",
        parser=path_given_as("--journal"),
        help="Share the answers of this journal with other runs.",
    ),
]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", min=0, metavar="USD", help="Stop before the run has cost more than this.")
]
MaxRequests = Annotated[
    int | None, typer.Option("--max-requests", min=0, metavar="N", help="Stop before the run has sent more than this.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try failed rows again; answers that are there are not paid again.")
]
RunFolderPath = Annotated[
    Path, typer.Argument(metavar="RUN", parser=path_given_as("run folder"), help="The run folder.")
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        parser=path_given_as("--labels"),
        help="Labels as Parquet; by default those given in the run.",
    ),
]
Choose = Annotated[
    Literal["differing", "doubt", "disagreement", "mixed"],
    typer.Option("--choose", help="Which candidates: those that differ most, or a round by scores of critics."),
]
ChoosingCritics = Annotated[
    list[str] | None,
    typer.Option("--critic", metavar="NAME", help="Whose scores choose; two or more for disagreement."),
]
HeldOut = Annotated[
    float | None,
    typer.Option(
        "--held-out",
        min=0,
        max=0.9,
        metavar="SHARE",
        help="Images by lot that no critic learns from; 0.2 by default where scores choose.",
    ),
]
Revision = Annotated[str | None, typer.Option("--revision", metavar="NAME", help="Branch, tag or commit on the Hub.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, mps, cuda or cuda:1.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, bfloat16, float16 or float32.")]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, max=4096, help="Texts at a time; halved when memory runs out.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print results as one line of JSON.")]


REHEARSAL_STAND_INS = ("corpus.license=unknown", "corpus.source=unknown", "corpus.intended_use=unknown")
"""For commands that publish nothing."""


def rehearsal_options(
    profile: str | None,
    settings: list[str] | None,
    *,
    annotations: Path | None = None,
    prices: Path | None = None,
    limit: int | None = None,
    allow_keys: list[str] | None = None,
) -> "BuildOptions":
    """Options of a rehearsal, which publishes nothing and therefore needs neither licence nor source."""
    from ostensive.run.options import BuildOptions

    return BuildOptions(
        profile=profile,
        settings=tuple(settings or ()),
        stand_ins=REHEARSAL_STAND_INS,
        annotations=annotations,
        prices=prices,
        limit=limit,
        allow_keys=tuple(allow_keys or ()),
    )
