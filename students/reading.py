"""A finished corpus as students read it: an image with its candidates, one after another."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # Any: candidates of any recipe

import pyarrow.parquet as pq

from cards.reading import Corpus
from ostensive.arrow import from_plain
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


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """A row of a corpus with its image; the picture is bytes until it is asked for."""

    image: CorpusImage  # with this row alone
    row: JudgedRow

    @property
    def row_id(self) -> str:
        return str(self.row.candidate.row_id)


def read_images(corpus: Corpus, kind: RecipeKind) -> Iterator[CorpusImage]:
    """The images of all splits in the order of the files; memory does not grow with the corpus."""
    for file in corpus.manifest.files_of("samples"):
        for batch in pq.ParquetFile(corpus.path / file.path).iter_batches(_IMAGES_AT_ONCE):
            for row in batch.to_pylist():
                yield corpus_image(row, row["image"]["bytes"], file.split, kind)


def corpus_image(
    values: Mapping[str, Any], jpeg: bytes, split: str, kind: RecipeKind, *, rows: Sequence[int] | None = None
) -> CorpusImage:
    """An image from its public form: a row of the Parquet files, or the JSON of a sample.

    `rows` are the places of those of its rows that are wanted; None for all. Raises `KeyError`, `TypeError` or
    `ValueError` where the form is another.
    """
    found = values["rows"] if rows is None else [values["rows"][place] for place in rows]
    return CorpusImage(
        image_id=values["image_id"],
        jpeg=jpeg,
        size=(values["width"], values["height"]),
        split=split,
        regions=tuple(_records(values.get("regions") or [], Region)),
        rows=tuple(
            JudgedRow(candidate, tuple(_records(one["judgements"], Judgement)))
            for candidate, one in zip(_records(found, kind.candidate), found, strict=True)
        ),
    )


def corpus_row(values: Mapping[str, Any], jpeg: bytes, split: str, kind: RecipeKind, place: int) -> CorpusRow:
    """The row at `place` among those of an image, from the image's public form; raises as `corpus_image` does."""
    image = corpus_image(values, jpeg, split, kind, rows=[place])
    return CorpusRow(image, image.rows[0])


def _records(values: list[dict[str, Any]], record: Any) -> list[Any]:  # Any: JSON values, a record class
    """Plain values as records; keys that the class does not have are passed over."""
    return from_plain(values, record)
