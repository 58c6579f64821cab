"""A corpus as a map-style dataset of torch: one item is one row with its image, by its place.

`datasets` maps the corpus's Parquet into memory (it keeps a copy in its cache), so that rows are reached in any order
and what is held is eight bytes an image. (Parquet itself is read a row group at a time: a hundred pictures for one.)
"""

from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any, cast  # Any: rows as datasets gives them, what a transform makes

from cards.reading import Corpus
from ostensive.errors import SettingsError
from ostensive.recipe_kind import RecipeKind
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.user_paths import shown_path
from students.reading import CorpusRow, corpus_image, corpus_row

Transform = Callable[[CorpusRow, Random], Any]
"""What is made of a row, by lot: `RegionAugmentation` is one."""


def draw_for(seed: int, epoch: int, name: str) -> Random:
    """The lot of one row in one epoch: it depends on nothing else, such as workers or order."""
    return Random(f"{seed}/{epoch}/{name}")  # noqa: S311 - a draw, no secret


class CorpusRows:
    """The rows of a split: `len()` of them, each a `CorpusRow` by its place, or what `transform` makes of it.

    Made by `corpus_rows`. What is drawn by lot follows from seed, epoch and row: call `set_epoch` before each epoch.
    """

    def __init__(self, images: Any, split: str, kind: RecipeKind, transform: Transform | None, seed: int) -> None:
        import numpy as np
        import pyarrow.compute as pc

        self._images = images
        self._split = split
        self._kind = kind
        self._transform = transform
        self._seed = seed
        self._epoch = 0
        counts = pc.list_value_length(images.data.column("rows")).to_numpy()
        self._ends = np.cumsum(counts, dtype=np.int64)  # after the last row of each image

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch begins; workers that are at work already do not hear of it."""
        self._epoch = epoch

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, place: int) -> Any:
        row = self.row(place)
        return row if self._transform is None else self._transform(row, draw_for(self._seed, self._epoch, row.row_id))

    def candidates(self) -> Iterator[Any]:
        """The candidates of all rows in order, without their pictures."""
        for values in self._images.remove_columns("image"):
            for row in corpus_image(values, b"", self._split, self._kind).rows:
                yield row.candidate

    def row(self, place: int) -> CorpusRow:
        """The row at a place, from the end where it is below 0; raises `IndexError` outside."""
        import numpy as np

        if not -len(self) <= place < len(self):
            raise IndexError(f"there are {len(self)} rows, and none at {place}")
        place %= len(self)
        image = int(np.searchsorted(self._ends, place, side="right"))
        values = self._images[image]
        first = int(self._ends[image - 1]) if image else 0
        return corpus_row(values, values["image"]["bytes"], self._split, self._kind, place - first)


def corpus_rows(
    corpus: Corpus, kind: RecipeKind, *, split: str | None = None, transform: Transform | None = None, seed: int = 0
) -> CorpusRows:
    """The rows of a split of `corpus`, a `torch.utils.data.Dataset`; `split` None is the only one, or that to train on.

    Raises `SettingsError` for a corpus without images and for a split that is not there.
    """
    import datasets

    if not corpus.splits:
        raise SettingsError(
            f"{shown_path(corpus.path)}: holds no image, so that there is nothing to train on; its card says why"
        )
    chosen = split or (corpus.splits[0] if len(corpus.splits) == 1 else DEFAULT_SPLIT)
    images = cast("datasets.Dataset", corpus.to_datasets(chosen))
    return _rows(images.cast_column("image", datasets.Image(decode=False)), chosen, kind, transform, seed)


def _rows(images: Any, split: str, kind: RecipeKind, transform: Transform | None, seed: int) -> CorpusRows:
    return _torch_class()(images, split, kind, transform, seed)


@cache
def _torch_class() -> Callable[..., CorpusRows]:
    """`CorpusRows` as a class of torch's, made when it is needed: importing this module does not import torch."""
    from torch.utils.data import Dataset as TorchDataset

    class TorchRows(CorpusRows, TorchDataset[Any]):
        """Pickles, for workers that are started anew, by the function that makes it."""

        def __reduce__(self) -> tuple[Any, ...]:
            made = self._images, self._split, self._kind, self._transform, self._seed
            return _rows, made, {"_epoch": self._epoch}

    return TorchRows
