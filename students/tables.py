"""Parquet files as `datasets` reads them: on disk, row by row in any order, with nothing on standard error."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any  # Any: datasets ships no types


def read_tables(files: Sequence[Path], cache: Path, columns: Sequence[str] | None = None) -> Any:
    """A `datasets.Dataset` of the rows of `files` in their order, of all columns or some; `cache` is a folder."""
    import datasets

    were_off = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        wanted = None if columns is None else list(columns)
        return datasets.Dataset.from_parquet([str(file) for file in files], cache_dir=str(cache), columns=wanted)
    finally:
        if not were_off:
            datasets.enable_progress_bars()
