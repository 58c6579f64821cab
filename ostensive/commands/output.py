"""What commands share on standard output, and the arguments that several of them take."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

RunFolderPath = Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print results as one line of JSON.")]


def print_lines(lines: Iterable[str]) -> None:
    """Prints each line; what the terminal's encoding lacks, as a file name or a model's text may hold, as `?`."""
    for line in lines:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")
