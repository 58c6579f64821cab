"""A finished corpus as students read it: an image with its candidates, one after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any  # Any: candidates of any recipe

import pyarrow as pa
import pyarrow.parquet as pq

from cards.reading import Corpus
from ostensive.arrow import from_table, schema_of
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Judgement, Region

_IMAGES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """A row of a corpus with what critics said of it."""

    candidate: Any
    judgements: tuple[Judgement, ...]

    @property
    def accept_probability(self) -> float:
        """The least that a critic gave, 0-1; 1 where none looked."""
        return min((judgement.accept_probability for judgement in self.judgements), default=1.0)


@dataclass(frozen=True, slots=True)
class CorpusImage:
    """An image of a corpus; `jpeg` as it was published, size in pixels, all of its regions."""

    image_id: str
    jpeg: bytes
    size: tuple[int, int]
    split: str
    regions: tuple[Region, ...]
    rows: tuple[JudgedRow, ...]


def read_images(corpus: Corpus, kind: RecipeKind) -> Iterator[CorpusImage]:
    """The images of all splits in the order of the files; memory does not grow with the corpus."""
    for file in corpus.manifest.files_of("samples"):
        for batch in pq.ParquetFile(corpus.path / file.path).iter_batches(_IMAGES_AT_ONCE):
            for row in batch.to_pylist():
                yield CorpusImage(
                    image_id=row["image_id"],
                    jpeg=row["image"]["bytes"],
                    size=(row["width"], row["height"]),
                    split=file.split,
                    regions=tuple(_records(row.get("regions") or [], Region)),
                    rows=tuple(
                        JudgedRow(candidate, tuple(_records(one["judgements"], Judgement)))
                        for candidate, one in zip(_records(row["rows"], kind.candidate), row["rows"], strict=True)
                    ),
                )


def _records(values: list[dict[str, Any]], record: Any) -> list[Any]:  # Any: JSON values, a record class
    """Plain values as records; keys that the class does not have are passed over."""
    return from_table(pa.Table.from_pylist(values, schema=schema_of(record)), record)
