"""The bytes and pixels of an image by its location, for every stage that needs them again.

Nothing is kept but the row groups and tables read last: images are read anew each time they are needed, because a
folder may be larger than memory, and the operating system caches files better than we could. What is read is checked
against the content hash, so that a file that was edited during a run is noticed instead of being described wrongly.
"""

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ostensive.images import refusals
from ostensive.images.columns import open_arrow
from ostensive.images.decode import open_rgb
from ostensive.images.paths import is_inside, openable_path, shown_name
from ostensive.images.refusals import ImageChangedError, ImageRefusedError
from ostensive.images.settings import IntakeSettings
from ostensive.records import ImageRecord, Location

_ROW_GROUPS_KEPT: Final = 3  # stages read at different places; a row group may be hundreds of megabytes
_FILES_KEPT: Final = 16
_MAX_BYTES_PER_PIXEL: Final = 16  # RGBA of 32 bits a channel; a file larger than that at the pixel limit is no image
_MAX_BYTES_BESIDES: Final = 64 << 20  # metadata, second pictures, film clips

ValueT = TypeVar("ValueT")


class ImageLoader:
    """Reads images by location; any number of threads may use one loader."""

    def __init__(self, settings: IntakeSettings) -> None:
        self._max_pixels = settings.max_pixels
        self._max_bytes = settings.max_pixels * _MAX_BYTES_PER_PIXEL + _MAX_BYTES_BESIDES
        self._parquets: _Recent[pq.ParquetFile] = _Recent(_FILES_KEPT)
        self._groups: _Recent[pa.ChunkedArray] = _Recent(_ROW_GROUPS_KEPT)
        self._tables: _Recent[pa.Table] = _Recent(_FILES_KEPT)

    def read(self, image: ImageRecord) -> bytes:
        """The bytes of `image`; raises `ImageChangedError` when they are gone or are not those that were taken in."""
        try:
            data = self.read_location(image.location)
        except ImageRefusedError as error:
            raise ImageChangedError(
                f"{image.source}: cannot be read any more ({error}); put it back, or build into a new folder"
            ) from error
        if hashlib.sha256(data).hexdigest() != image.image_id:
            raise ImageChangedError(
                f"{image.source}: changed since it was taken in as {image.image_id[:12]}; "
                "put the old file back, or build into a new folder"
            )
        return data

    def load(self, image: ImageRecord) -> Image.Image:
        """The pixels of `image`, upright, RGB, 8 bits; raises as `read` does."""
        return open_rgb(self.read(image), self._max_pixels)

    def read_location(self, location: Location) -> bytes:
        """The bytes at `location`, unchecked; raises `ImageRefusedError` when there are none to be had."""
        path = openable_path(location.path)
        try:
            if location.column is not None:
                assert location.offset is not None, "a row has a number"
                return self._read_row(path, location.offset, location.column)
            if location.offset is not None:
                assert location.length is not None, "a tar member has a length"
                return read_file(path, self._max_bytes, offset=location.offset, length=location.length)
            return read_file(path, self._max_bytes)
        except FileNotFoundError as error:
            raise ImageRefusedError(refusals.MISSING, error.strerror or "") from error
        except OSError as error:
            raise ImageRefusedError(refusals.UNREADABLE, error.strerror or str(error)) from error
        except (pa.ArrowException, KeyError) as error:
            raise ImageRefusedError(refusals.UNREADABLE, " ".join(str(error).split())[:200]) from error

    def _read_row(self, path: str, row: int, column: str) -> bytes:
        status = Path(path).stat()
        # A file that was replaced is another file, though it has the same path.
        version = (path, str(status.st_size), str(status.st_mtime_ns), column)
        if path.lower().endswith(".parquet"):
            cells, index = self._parquet_cells(path, version, row)
        else:
            table = self._tables.get(version, lambda: open_arrow(path))
            cells, index = table.column(column), row
        if index >= len(cells):
            raise ImageRefusedError(refusals.MISSING, f"the file has no row {row} any more")
        return self._cell_bytes(cells[index].as_py(), path)

    def _parquet_cells(self, path: str, version: tuple[str, ...], row: int) -> tuple[pa.ChunkedArray, int]:
        """The column within the row group that holds `row`, and the row's place in it."""
        parquet = self._parquets.get(version, lambda: pq.ParquetFile(path))
        group, start = _group_of(parquet.metadata, row)

        def read_group() -> pa.ChunkedArray:
            # A second handle: one ParquetFile must not be read by two threads.
            with pq.ParquetFile(path, metadata=parquet.metadata) as file:
                return file.read_row_group(group, columns=[version[-1]], use_threads=False).column(0)

        return self._groups.get((*version, str(group)), read_group), row - start

    def _cell_bytes(self, cell: object, path: str) -> bytes:
        if isinstance(cell, dict):
            data, name = cell.get("bytes"), cell.get("path")
            if data is None and isinstance(name, str) and name:
                return self._named_file(name, path)
            cell = data
        if not isinstance(cell, bytes):
            raise ImageRefusedError(refusals.EMPTY_ROW)
        return cell

    def _named_file(self, name: str, path: str) -> bytes:
        """A row may name a file instead of holding its bytes. Files elsewhere on the machine are not its to publish."""
        folder = str(Path(path).parent)
        target = os.path.join(folder, name)  # noqa: PTH118 - a URL in `name` must stay as it is
        if not is_inside(target, os.path.realpath(folder)):
            raise ImageRefusedError(refusals.LEADS_OUT, f"the row names {shown_name(name)}")
        return read_file(target, self._max_bytes)


def read_file(path: str, max_bytes: int, *, offset: int = 0, length: int | None = None) -> bytes:
    """The bytes of the regular file at `path`, or `length` of them from `offset`; never waits for a pipe.

    Raises `ImageRefusedError` for what is no regular file, holds more than `max_bytes`, or ends too early, and
    `OSError`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageRefusedError(refusals.NOT_A_FILE)
        wanted = status.st_size if length is None else length
        if wanted > max_bytes:
            raise ImageRefusedError(refusals.BYTE_LIMIT, f"{wanted} bytes, limit {max_bytes}")
        parts = []
        missing = wanted
        while missing and (part := os.pread(descriptor, missing, offset + wanted - missing)):
            parts.append(part)
            missing -= len(part)
    finally:
        os.close(descriptor)
    if missing:
        raise ImageRefusedError(refusals.TRUNCATED, f"{missing} of {wanted} bytes are missing")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _group_of(metadata: pq.FileMetaData, row: int) -> tuple[int, int]:
    """The number of the row group that holds `row`, and its first row."""
    start = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < start + rows:
            return group, start
        start += rows
    raise ImageRefusedError(refusals.MISSING, f"the file has no row {row} any more")


class _Recent(Generic[ValueT]):
    """The values used last, each made once even when several threads ask for it together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[tuple[str, ...], ValueT] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...], make: Callable[[], ValueT]) -> ValueT:
        # Held while the value is made: threads that read neighbouring rows want the same one.
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
                while len(self._values) > self._limit:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
            return self._values[key]
