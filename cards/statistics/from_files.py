"""The figures of a corpus from its files: the same that were gathered while they were written."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cards.reading import CorpusManifest
from cards.statistics.figures import CorpusStatistics
from cards.statistics.gathering import StatisticsGatherer
from ostensive.recipe_kind import RecipeKind

_SAMPLES_AT_ONCE = 2_000


def statistics_of(folder: Path, manifest: CorpusManifest, kind: RecipeKind) -> CorpusStatistics:
    """The figures of the samples that `manifest` lists, read without their pictures; memory does not grow with them."""
    gatherer = StatisticsGatherer(kind)
    for listed in manifest.files_of("samples"):
        file = pq.ParquetFile(folder / listed.path)
        columns = [name for name in file.schema_arrow.names if name != "image"]
        for batch in file.iter_batches(_SAMPLES_AT_ONCE, columns=columns):
            gatherer.add(pa.Table.from_batches([batch]))
    return gatherer.result()
