"""`ostensive report` and `ostensive explain`: a run to look at, and where one of its rows comes from."""

from pathlib import Path
from typing import Annotated

import typer

from ostensive.commands.options import AsJson, RunFolderPath, path_given_as
from ostensive.commands.terminal import print_lines

app = typer.Typer()
_Journal = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="PATH",
        parser=path_given_as("--journal"),
        help="The journal that the run used, where it is not the run's own.",
    ),
]


@app.command()
def report(
    run: RunFolderPath,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            parser=path_given_as("--out"),
            help="The page; report.html in the run by default.",
        ),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", min=0, max=50_000, metavar="N", help="Show at most so many rows.")
    ] = 2000,
    journal: _Journal = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's report: one page with the counts, the figures, and rows with their pictures and lineage."""
    from ostensive.commands import api_report
    from ostensive.commands.show import size_words, to_json
    from ostensive.user_paths import shown_path

    found = api_report.report(run, out=out, rows=rows, journal=journal)
    if as_json:
        values = {"report": str(found.path), "rows": found.rows, "of": found.total, "bytes": found.byte_count}
        print_lines([to_json(values)])
    else:
        shown = f"{found.rows:,} of {found.total:,} rows shown, {size_words(found.byte_count)}"
        print_lines([f"report      {shown_path(found.path)}", f"gallery     {shown}"])


@app.command()
def explain(
    run: RunFolderPath,
    row: Annotated[str, typer.Argument(metavar="ROW", help="The id of a row or of an image, or its beginning.")],
    journal: _Journal = None,
    as_json: AsJson = False,
) -> None:
    """Print where a row comes from and what became of it, kept or not; of an image its rows."""
    from ostensive.commands import api_report
    from ostensive.commands.lineage_lines import lineage_lines, lineage_values
    from ostensive.commands.show import to_json

    found = api_report.explain(run, row, journal=journal)
    print_lines([to_json(lineage_values(found))] if as_json else lineage_lines(found))
