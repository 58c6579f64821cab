"""Images in rows of Parquet and Arrow files, read again by their location.

A row group is read whole and kept for the rows beside, where its pages say that it decodes to little more than it takes
in the file; any other is read a few rows at a time, from its beginning.
"""

import os
import threading
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar  # Any: pyarrow has no types

import pyarrow as pa
import pyarrow.parquet as pq

from ostensive.errors import one_line
from ostensive.images import refusals
from ostensive.images.arrow_ipc import open_arrow, validated
from ostensive.images.files import read_file, suffix_of
from ostensive.images.parquet_pages import RowGroup, decoded_size, row_groups_of
from ostensive.images.paths import is_inside, unicode_name
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.unpacked import UnpacksTooLargeError, max_unpacked
from ostensive.records import Location

_ROW_GROUPS_KEPT: Final = 3  # stages read at different places; a row group may be hundreds of megabytes
_FILES_KEPT: Final = 16
_BATCHES_KEPT: Final = 3  # threads that read neighbouring rows are not in step

ValueT = TypeVar("ValueT")


class RowReader:
    """Reads images in rows, with the row groups and tables kept that were read last; for any number of threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parquets: _Recent[_OpenParquet] = _Recent(_FILES_KEPT)
        self._groups: _Recent[_Cells] = _Recent(_ROW_GROUPS_KEPT)
        self._columns: _Recent[pa.ChunkedArray] = _Recent(_FILES_KEPT)

    def read(self, path: str, location: Location) -> bytes:
        """The bytes in the row at `location` of the file at `path`; raises `ImageRefusedError` and `OSError`."""
        try:
            return self._read_row(path, location)
        except UnpacksTooLargeError as error:
            raise ImageRefusedError(refusals.BYTE_LIMIT, one_line(error)) from error
        except (pa.ArrowException, LookupError, ValueError) as error:
            raise ImageRefusedError(refusals.UNREADABLE, one_line(error)) from error

    def _read_row(self, path: str, location: Location) -> bytes:
        row, column = location.offset, location.column
        assert row is not None, "a row has a number"
        assert column is not None, "its image is in a column"
        status = Path(path).stat()
        # A file that was replaced is another file, though it has the same path.
        version = (path, str(status.st_size), str(status.st_mtime_ns), column)
        if suffix_of(path) == ".parquet":
            parquet = self._parquets.get(version, lambda: _OpenParquet.of(path, column))
            group, index = parquet.place_of(row)
            return self._bytes_of(
                self._groups.get((*version, str(group)), lambda: parquet.cells(group)).at(index), path
            )
        rows = self._columns.get(version, lambda: validated(open_arrow(path).column(column)))
        if row >= len(rows):
            raise _gone(row)
        return self._bytes_of(rows[row], path)

    def _bytes_of(self, cell: Any, path: str) -> bytes:
        """The image in a cell: bytes, `{bytes, path}`, or a list of one of them."""
        if isinstance(cell, pa.ListScalar) and cell.is_valid:
            if len(cell.values) > 1:
                raise ImageRefusedError(refusals.SEVERAL_IN_ROW, f"the list has {len(cell.values)}")
            if len(cell.values) == 0:
                raise ImageRefusedError(refusals.EMPTY_ROW)
            cell = cell.values[0]
        if not cell.is_valid:
            raise ImageRefusedError(refusals.EMPTY_ROW)
        if isinstance(cell, pa.StructScalar):
            data, name = cell["bytes"], _text(cell, "path")
            if not data.is_valid:
                if name:
                    return self._named_file(name, path)
                raise ImageRefusedError(refusals.EMPTY_ROW)
            cell = data
        size = cell.as_buffer().size
        if size > self._max_bytes:
            raise ImageRefusedError(refusals.BYTE_LIMIT, f"{size} bytes, limit {self._max_bytes}")
        return bytes(cell.as_py())

    def _named_file(self, name: str, path: str) -> bytes:
        """A row may name a file instead of holding its bytes. Files elsewhere on the machine are not its to publish."""
        folder = str(Path(path).parent)
        target = os.path.join(folder, name)  # noqa: PTH118 - a URL in `name` must stay as it is
        if not is_inside(target, os.path.realpath(folder)):
            raise ImageRefusedError(refusals.LEADS_OUT, f"the row names {unicode_name(name)}")
        return read_file(target, self._max_bytes)


def _text(cell: Any, name: str) -> str | None:
    """The text in a field of a struct; None where there is none. Nothing else in the struct is made a value."""
    if cell.type.get_field_index(name) < 0:
        return None
    kind = cell.type.field(name).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return cell[name].as_py() if is_text else None


def _gone(row: int) -> ImageRefusedError:
    return ImageRefusedError(refusals.MISSING, f"the file has no row {row} any more")


# ---- row groups -----------------------------------------------------------------------------------------------------


class _Cells(Protocol):
    """The cells of an image column in one row group."""

    def at(self, index: int) -> Any:
        """The scalar of a row; raises as pyarrow does."""
        ...


@dataclass(frozen=True, slots=True)
class _OpenParquet:
    """Where the row groups of a file end, and the pages of its image column. The file itself is opened for each row
    group: one `ParquetFile` must not be read by two threads."""

    path: str
    ends: list[int]
    groups: list[RowGroup]
    column: str

    @classmethod
    def of(cls, path: str, column: str) -> "_OpenParquet":
        """Of a file's image column; raises `ValueError` and `OSError`."""
        groups = row_groups_of(path)
        return cls(path, list(accumulate(group.rows for group in groups)), groups, column)

    def place_of(self, row: int) -> tuple[int, int]:
        """The row group that holds `row`, and its place there."""
        group = bisect_right(self.ends, row)
        if group == len(self.ends):
            raise _gone(row)
        return group, row - (self.ends[group - 1] if group else 0)

    def cells(self, group: int) -> "_Cells":
        """The cells of a row group; raises `UnpacksTooLargeError` for one with a page that may not be unpacked."""
        chunks = self.groups[group].chunks_of(self.column)
        # Nothing else of a struct is read.
        chunks = [chunk for chunk in chunks if chunk.path.rpartition(".")[2] in ("bytes", "path")] or chunks
        with Path(self.path).open("rb") as file:
            size = decoded_size(file.fileno(), chunks)
        names = [chunk.path for chunk in chunks]
        if size.total > max_unpacked(sum(chunk.packed for chunk in chunks)):
            return _FewRows(self.path, group, names, size.rows_at_a_time)
        with pq.ParquetFile(self.path) as parquet:
            return _WholeGroup(parquet.read_row_group(group, columns=names, use_threads=False).column(0))


class _WholeGroup:
    """The cells of a row group that is held whole."""

    def __init__(self, cells: pa.ChunkedArray) -> None:
        self._cells = cells

    def at(self, index: int) -> Any:
        if index >= len(self._cells):
            raise ValueError(f"the row group has {len(self._cells)} rows and not what its footer says")
        return self._cells[index]


class _FewRows:
    """The cells of a row group of which a few batches are held, and the others come by in their order."""

    def __init__(self, path: str, group: int, names: list[str], batch_rows: int) -> None:
        self._path = path
        self._group = group
        self._names = names
        self._batch_rows = batch_rows
        self._lock = threading.Lock()
        self._start_over()

    def _start_over(self) -> None:
        self._kept: deque[tuple[int, pa.Array]] = deque(maxlen=_BATCHES_KEPT)
        self._next = 0
        self._batches = self._read()

    def _read(self) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self._path) as parquet:
            batches = parquet.iter_batches(
                self._batch_rows, row_groups=[self._group], columns=self._names, use_threads=False
            )
            yield from batches

    def at(self, index: int) -> Any:
        with self._lock:
            if index < self._next and not any(start <= index for start, _ in self._kept):
                self._start_over()
            while index >= self._next:
                batch = next(self._batches, None)
                if batch is None:
                    raise ValueError(f"the row group has {self._next} rows and not what its footer says")
                self._kept.append((self._next, batch.column(0)))
                self._next += batch.num_rows
            start, cells = next(pair for pair in reversed(self._kept) if pair[0] <= index)
            return cells[index - start]


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
