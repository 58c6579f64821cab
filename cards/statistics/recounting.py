"""The figures of a corpus worked out anew from its own files, such as when something was taken out of it."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final  # Any: JSON values, candidates of any recipe

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cards.statistics.figures import CorpusStatistics
from cards.statistics.gathering import EXAMPLES
from cards.statistics.summing_up import figures_of
from cards.statistics.tallies import Tallies, tallies_of, text_table
from ostensive.arrow import from_table
from ostensive.recipe_kind import RecipeKind, ShownText

_COLUMNS: Final = ("rows", "regions", "annotations")
_SAMPLES_AT_ONCE: Final = 4_000
_ROWS_AT_ONCE: Final = 256
_AHEAD: Final = 2  # batches that wait to be counted; bounds the memory


def statistics_of(data_files: Iterable[Path], kind: RecipeKind) -> CorpusStatistics:
    """The figures of the samples in Parquet files of `data/`, in the order of the manifest; no picture is read.

    The same as were gathered when the files were written. Texts are taken from rows in this thread, and counted in
    another: Arrow and numpy release the interpreter lock.
    """
    tallies, examples = Tallies(), list[Mapping[str, Any]]()
    waiting: deque[Future[Tallies]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for samples in _batches(data_files):
            waiting.append(pool.submit(tallies_of, samples, text_table(_shown(samples, kind), kind.parts), kind))
            for place in range(min(len(samples), EXAMPLES - len(examples))):
                examples.append(samples.column("rows")[place].as_py()[0])
            while len(waiting) > _AHEAD:
                tallies.take(waiting.popleft().result())
        while waiting:
            tallies.take(waiting.popleft().result())
    return figures_of(tallies, kind, tuple(examples))


def _shown(samples: pa.Table, kind: RecipeKind) -> Iterator[tuple[ShownText, ...]]:
    """The texts of all rows; few of them are there at once, for the garbage collector would look at all that are."""
    rows = pa.Table.from_struct_array(pc.list_flatten(samples.column("rows").combine_chunks()))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        for candidate in from_table(rows.slice(start, _ROWS_AT_ONCE), kind.candidate):
            yield kind.shown(candidate)


def _batches(data_files: Iterable[Path]) -> Iterator[pa.Table]:
    for path in data_files:
        file = pq.ParquetFile(path)
        columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(_SAMPLES_AT_ONCE, columns=columns):
            yield pa.Table.from_batches([batch])
