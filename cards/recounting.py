"""The figures of a corpus worked out anew from its own files, when something was taken out of it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any  # Any: candidates of any recipe, JSON values

import pyarrow.parquet as pq

from cards.samples import CorpusSample
from cards.statistics import CorpusStatistics, StatisticsGatherer
from ostensive.arrow import from_plain
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Annotation, ImageRecord, Judged, Judgement, Location, Region, Verbalization

_AT_A_TIME = 256


def count_again(data_files: Iterable[Path], kind: RecipeKind) -> CorpusStatistics:
    """The figures of the samples in Parquet files of `data/`, whose pictures are not read."""
    gatherer = StatisticsGatherer(kind)
    for row in _rows(data_files):
        sample = _sample(row, kind)
        gatherer.add(sample, [kind.shown(judged.candidate) for judged in sample.rows], row)
    return gatherer.result()


def _rows(data_files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in data_files:
        file = pq.ParquetFile(path)
        columns = [name for name in file.schema_arrow.names if name != "image"]
        for batch in file.iter_batches(_AT_A_TIME, columns=columns):
            yield from batch.to_pylist()


def _sample(row: dict[str, Any], kind: RecipeKind) -> CorpusSample:
    """What the figures are made of; the image's own facts but its size are not published, and none of them."""
    candidates = from_plain(row["rows"], kind.candidate)
    judgements = [tuple(from_plain(one["judgements"], Judgement)) for one in row["rows"]]
    regions = tuple(from_plain(row.get("regions", []), Region))
    image_id = row["image_id"]
    return CorpusSample(
        ImageRecord(image_id, row["width"], row["height"], "JPEG", "RGB", 0, row["source"], Location("")),
        b"",
        Verbalization(image_id, (), (), regions, ()),
        tuple(Judged(candidate, said) for candidate, said in zip(candidates, judgements, strict=True)),
        tuple(from_plain(row.get("annotations", []), Annotation)),
    )
