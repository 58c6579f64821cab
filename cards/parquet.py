"""Parquet files of bounded size that `datasets.load_dataset`, DuckDB and the Hub's viewer open as they are.

Rows are gathered into small row groups, so that the viewer fetches little and memory stays bounded. Compression is
zstd for everything but images, which do not shrink. (`Dataset.to_parquet` wants the whole set at once.)
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any  # Any: JSON values; datasets and pyarrow ship no types

import pyarrow as pa
import pyarrow.parquet as pq

from cards.files import HashedFile, WrittenFile

_GROUP_BYTES = 32 << 20


def features_of(schema: pa.Schema, *, with_image: bool) -> Any:
    """The `datasets.Features` of `schema`, with the column `image` in front if asked for."""
    import datasets

    features = datasets.Features.from_arrow_schema(schema)
    return datasets.Features({"image": datasets.Image(), **features}) if with_image else features


class ParquetFolder:
    """Writes rows into `<prefix>-00000-of-0000N.parquet` and so on in `folder`, named when their number is known.

    `features` give the schema, and are written into each file for `datasets`. A file is closed before it takes more
    than `max_bytes` of payload: a bound on what it holds before compression, so that its size is known to be less.
    `tell` is given every row group.
    Use it as a context manager.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        features: Any,
        *,
        max_bytes: int,
        group_rows: int,
        tell: Callable[[pa.Table], None] = lambda _group: None,
    ) -> None:
        self.arrow_bytes = 0  # what the rows take in memory
        self._folder = folder
        self._prefix = prefix
        self._schema: pa.Schema = features.arrow_schema
        self._max_bytes = max_bytes
        self._group_rows = group_rows
        self._tell = tell
        self._file: HashedFile | None = None
        self._writer: Any = None
        self._group: list[Mapping[str, Any]] = []
        self._group_bytes = self._file_bytes = self._file_rows = 0
        self._files: list[WrittenFile] = []

    def __enter__(self) -> "ParquetFolder":
        return self

    def __exit__(self, *failure: object) -> None:
        if self._file is not None:
            self._file.abandon()
            self._writer.close()

    def add(self, row: Mapping[str, Any], payload_bytes: int) -> None:
        """Write a row that takes about `payload_bytes`."""
        if self._file_rows and self._file_bytes + payload_bytes > self._max_bytes:
            self._close_file()
        self._group.append(row)
        self._group_bytes += payload_bytes
        self._file_bytes += payload_bytes
        self._file_rows += 1
        if len(self._group) >= self._group_rows or self._group_bytes >= _GROUP_BYTES:
            self._write_group()

    def finish(self) -> list[WrittenFile]:
        """Close the last file and name all of them; returns them in order."""
        self._close_file()
        named = []
        for place, file in enumerate(self._files):
            name = f"{self._prefix}-{place:05d}-of-{len(self._files):05d}.parquet"
            (self._folder / file.name).rename(self._folder / name)
            named.append(replace(file, name=name))
        return named

    def _write_group(self) -> None:
        if not self._group:
            return
        table = pa.Table.from_pylist(self._group, schema=self._schema)
        self.arrow_bytes += table.nbytes
        self._tell(table)
        if self._writer is None:
            self._file = HashedFile(self._folder / self._working_name)
            self._writer = _writer(self._file, self._schema)
        self._writer.write_table(table)
        self._group, self._group_bytes = [], 0

    def _close_file(self) -> None:
        self._write_group()
        if self._file is None:
            return
        self._writer.close()
        self._file.close()
        digest = self._file.digest
        self._files.append(WrittenFile(self._working_name, self._file_rows, digest.byte_count, digest.sha256))
        self._file = self._writer = None
        self._file_bytes = self._file_rows = 0

    @property
    def _working_name(self) -> str:
        return f"{self._prefix}-{len(self._files):05d}.parquet"


def _writer(file: HashedFile, schema: pa.Schema) -> Any:
    columns = _leaf_paths(schema)
    pictures = [path for path in columns if path.endswith(".bytes")]
    encoded = [path for path in columns if path not in pictures]
    return pq.ParquetWriter(
        file,
        schema,
        compression={path: "NONE" if path in pictures else "ZSTD" for path in columns},
        use_dictionary=encoded,
        write_statistics=encoded,
        write_page_index=True,
    )


def _leaf_paths(schema: pa.Schema) -> list[str]:
    """The names by which Parquet knows the columns of `schema`: `rows.list.element.question`."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    columns = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [columns.column(place).path for place in range(len(columns))]
