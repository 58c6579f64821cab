"""A Parquet file of people's whose rows are all held: labels, items, ratings.

A few hundred bytes may unpack to gigabytes; so the pages are measured before any is unpacked.
"""

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from ostensive.errors import SettingsError
from ostensive.images.parquet_pages import decoded_size, row_groups_of

_MAX_BYTES: Final = 1 << 30
_MAX_ROWS: Final = 10_000_000


def read_whole_parquet(path: Path, what: str) -> pa.Table:
    """The rows of the file at `path`, all texts of it valid.

    Raises `SettingsError` in one line, which says that it cannot be read as `what`; `FileNotFoundError` where it is not
    there.
    """
    try:
        groups = row_groups_of(str(path))
        rows = sum(group.rows for group in groups)
        with path.open("rb") as file:
            size = sum(decoded_size(file.fileno(), group.chunks).total for group in groups)
        if rows > _MAX_ROWS or size > _MAX_BYTES:
            most = f"at most {_MAX_ROWS:,} rows of {_MAX_BYTES:,} bytes are read"
            raise ValueError(f"{rows:,} rows that unpack to up to {size:,} bytes; {most}")
        with pq.ParquetFile(path) as parquet:
            table = parquet.read(use_threads=False)
        table.validate(full=True)
        table.column_names  # noqa: B018 - they are decoded here, and may be no text
        return table
    except FileNotFoundError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        problem = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise SettingsError(f"{path}: cannot be read as {what} ({problem:.200})") from error
