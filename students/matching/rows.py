"""From a corpus to what an image-text student is shown: a picture with its regions, and one text that is true of it."""

import io
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final  # Any: candidates of any recipe

import PIL.Image

from cards.reading import Corpus
from ostensive.chat.pictures import shrunk
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.image_slots import SlotError, checked
from ostensive.images.drawing import draw_regions
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Region
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.user_paths import shown_path
from students.exporting import UNUSABLE
from students.reading import CorpusImage, read_images
from students.tables import read_tables

ANSWER: Final = "answer"
"""The text of a candidate without which there is no statement about a picture."""
TOO_LONG: Final = "text is too long for the student"
_LEAST_IMAGES: Final = 2


@dataclass(frozen=True, slots=True)
class ImageTextRow:
    """A row of a corpus as a student is shown it."""

    row_id: str
    image_id: str
    regions: tuple[Region, ...]  # to be drawn: those that it mentions
    short: str  # question and answer
    full: str  # with the rationale, where it has one

    def text(self, seed: int, epoch: int, rationale_share: float) -> str:
        """One of its texts, by the seed, the row and the epoch alone."""
        rng = random.Random(fingerprint([seed, self.row_id, epoch]))  # noqa: S311 - no secret
        return self.full if rng.random() < rationale_share else self.short


@dataclass(frozen=True, slots=True)
class ImageTextRows:
    """The rows of a split, and those of it that cannot be used, by reason."""

    rows: tuple[ImageTextRow, ...]
    lost: Mapping[str, int]


def fits(kind: RecipeKind) -> bool:
    """Whether rows of a recipe are statements about a picture: something that is asked, and its answer."""
    return kind.dialogue is not None and ANSWER in kind.parts[1:]


def statement(texts: Sequence[ShownText], *, has_rationale: bool) -> str:
    """A question with its answer, and the rest behind them if asked for: "question Answer: ... Rationale: ...".

    As in LSKD's repository, where nothing stands before the question.
    """
    names = [text.name for text in texts]
    end = len(texts) if has_rationale else names.index(ANSWER) + 1
    first, *others = texts[:end]
    return " ".join([first.text, *(f"{one.name.capitalize()}: {one.text}" for one in others)])


def image_text_row(image: CorpusImage, candidate: Any, kind: RecipeKind) -> ImageTextRow:
    """A candidate of an image; raises `SlotError` where a text of it is empty or holds an image placeholder."""
    texts = kind.shown(candidate)
    for text in texts:
        checked(text.text, text.name)
    mentioned = {number for text in texts for number in text.mentions}
    return ImageTextRow(
        row_id=candidate.row_id,
        image_id=image.image_id,
        regions=tuple(region for region in image.regions if region.number in mentioned),
        short=statement(texts, has_rationale=False),
        full=statement(texts, has_rationale=True),
    )


def read_rows(
    corpus: Corpus, kind: RecipeKind, *, token_count: Callable[[str], int], max_tokens: int, split: str = DEFAULT_SPLIT
) -> ImageTextRows:
    """The rows of a split in the order of the files.

    Those that hold an image placeholder, and those with more tokens than `max_tokens`, are left out and counted. Raises
    `SettingsError` where there are no rows of two images, without which there are no negatives.
    """
    rows: list[ImageTextRow] = []
    lost: Counter[str] = Counter()
    for image in read_images(corpus, kind):
        if image.split != split:
            continue
        for one in image.rows:
            try:
                row = image_text_row(image, one.candidate, kind)
            except SlotError:
                lost[UNUSABLE] += 1
                continue
            if token_count(row.full) > max_tokens:
                lost[TOO_LONG] += 1
            else:
                rows.append(row)
    images = len({row.image_id for row in rows})
    if images < _LEAST_IMAGES:
        left_out = "".join(f"; {count:,} left out: {reason}" for reason, count in sorted(lost.items()))
        raise SettingsError(
            f"{shown_path(corpus.path)}: has {len(rows):,} rows of {images} images in the split {split} that can be"
            f" trained on, and rows of two images at least are needed to be told apart{left_out}"
        )
    return ImageTextRows(tuple(rows), dict(lost))


class Order:
    """Rows in an endless order, in which every epoch has each row once; a step takes the next ones.

    No batch is smaller than the others, since a small one would have few negatives.
    """

    def __init__(self, rows: Sequence[ImageTextRow], *, batch_size: int, seed: int) -> None:
        self._rows, self._batch_size, self._seed = rows, batch_size, seed
        self._shuffled = lru_cache(maxsize=2)(self._shuffle)

    def of_step(self, step: int) -> list[tuple[ImageTextRow, int]]:
        """The rows of a step, counted from 0, each with its epoch."""
        first = step * self._batch_size
        places = (divmod(place, len(self._rows)) for place in range(first, first + self._batch_size))
        return [(self._rows[self._shuffled(epoch)[place]], epoch) for epoch, place in places]

    def _shuffle(self, epoch: int) -> list[int]:
        order = list(range(len(self._rows)))
        random.Random(fingerprint([self._seed, epoch])).shuffle(order)  # noqa: S311 - no secret
        return order


class CorpusPictures:
    """The pictures of a split, read from disk one by one, with the regions of a row drawn on them."""

    def __init__(self, corpus: Corpus, cache: Path, side_px: int, *, split: str = DEFAULT_SPLIT) -> None:
        import datasets

        files = [file for file in corpus.manifest.files_of("samples") if file.split == split]
        table = read_tables([corpus.path / file.path for file in files], cache, ("image_id", "image"))
        self._images = table.cast_column("image", datasets.Image(decode=False))
        self._places = {image_id: place for place, image_id in enumerate(table["image_id"])}
        self._side_px = side_px

    def drawn(self, row: ImageTextRow) -> PIL.Image.Image:
        """The picture of a row in RGB."""
        data = self._images[self._places[row.image_id]]["image"]["bytes"]
        with PIL.Image.open(io.BytesIO(data)) as plain:
            return draw_regions(shrunk(plain.convert("RGB"), self._side_px), row.regions)
