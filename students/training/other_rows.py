"""What is trained on beside the rows of a corpus: replayed general data, and ILLUME's questions without a rationale.

Both are drawn without repetition, by the seed alone, and written as TRL reads them, each into a folder of its own.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from cards.parquet import ParquetFolder
from cards.reading import Corpus
from critics.trained.inputs import image_loader
from ostensive.errors import OstensiveError, SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.image_slots import SlotError
from ostensive.images.publish import publishable_jpeg
from ostensive.models.digests import files_digest
from ostensive.rationale_replay import answer_of, replayed_items, single_line
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Annotation, ImageRecord, ImageSplit, Turn
from ostensive.run.folder import kept_records
from ostensive.run.splits import DEFAULT_SPLIT
from students.exporting import UNUSABLE, training_features
from students.reading import read_images
from students.rows import Json, prompt_completion_rows
from students.training.foreign_rows import ForeignRowLostError, ForeignRows, foreign_files, open_rows, training_row
from students.training.settings import ReplaySettings

OWN_ITEMS: Final = "annotations of the run"
"""The name of the source of ILLUME's questions where no other is named."""
_FILE_BYTES: Final = 500_000_000
_ROWS_A_GROUP: Final = 100
_JPEG_QUALITY: Final = 95
UNREADABLE_IMAGE: Final = "image cannot be read any more"


@dataclass(frozen=True, slots=True)
class ReplayedCorpus:
    """The corpus of another run, replayed in place of a file, and the kind of its recipe."""

    corpus: Corpus
    kind: RecipeKind


@dataclass(frozen=True, slots=True)
class OtherRows:
    """Rows that were drawn: `wanted` were asked for, `rows` were to be had; `lost` are those drawn that were broken."""

    data: str  # the last name of where they are from
    wanted: int
    rows: int
    lost: Mapping[str, int]


def data_digest(data: str, setting: str) -> str:
    """A hash of the rows in the file or folder `data`, without the pictures that they name."""
    return files_digest(foreign_files(Path(data), setting))


def draw_replayed(settings: ReplaySettings, folder: Path, *, wanted: int, seed: int, source: Path) -> OtherRows:
    """Writes `wanted` of the rows at `source` to `folder`, a reply of a conversation each, or as many as there are.

    Raises `SettingsError` where no row can be used.
    """
    images = None if settings.images is None else Path(settings.images)
    found = open_rows(source, images, "replay.data")
    name = Path(settings.data).name
    return draw_foreign(found, folder, wanted=wanted, seed=seed, name=name, setting="replay.data")


def draw_foreign(found: ForeignRows, folder: Path, *, wanted: int, seed: int, name: str, setting: str) -> OtherRows:
    """The same from rows that are open."""
    order = list(range(found.count))
    Random(seed).shuffle(order)  # noqa: S311 - a draw, no secret
    lost: Counter[str] = Counter()
    rows, first_loss = 0, ""
    with _writer(folder) as writer:
        while rows < wanted and order:
            chosen, order = order[: wanted - rows], order[wanted - rows :]
            for number, row in found.read(chosen):
                draw = Random(fingerprint([seed, number]))  # noqa: S311 - a draw, no secret
                try:
                    made, jpeg = training_row(row, found.root, draw)
                except ForeignRowLostError as error:
                    lost[error.reason] += 1
                    first_loss = first_loss or str(error)
                    continue
                _add(writer, made, jpeg, f"{name}#{number}", hashlib.sha256(jpeg).hexdigest())
                rows += 1
        if not rows:
            raise SettingsError(
                f"{setting}: none of the {found.count:,} rows of {name} can be trained on"
                + (f"; the first: {first_loss}" if first_loss else "")
            )
        writer.finish()
    return OtherRows(name, wanted, rows, dict(lost))


def draw_items(
    corpus: Corpus, kind: RecipeKind, folder: Path, *, explained: int, replay: float, seed: int
) -> OtherRows:
    """Writes questions of the run's own annotations that have no rationale, `replay` times `explained`, to `folder`.

    They are of images of the split `train`, with the answer that is given most often.
    """
    items = {
        (one.image_id, single_line(one.question), answer_of(one.answers)): one
        for one in kept_records(corpus.run, Annotation)
        if one.question is not None and one.answers
    }
    splits = {one.image_id: one.split for one in kept_records(corpus.run, ImageSplit)}
    images = {one.image_id: one for one in kept_records(corpus.run, ImageRecord)}
    usable = {
        key: one
        for key, one in items.items()
        if (not splits or splits.get(key[0]) == DEFAULT_SPLIT) and key[0] in images and key[2]
    }
    drawn = replayed_items(usable, _explained(corpus, kind), explained=explained, replay=replay, seed=seed)
    loader = image_loader(corpus.run)
    lost: Counter[str] = Counter()
    rows = 0
    with _writer(folder) as writer:
        for one in sorted(drawn, key=lambda one: one.image_id):
            try:
                (made,) = prompt_completion_rows(_asked(one))
                jpeg = publishable_jpeg(loader.read(images[one.image_id]), jpeg_quality=_JPEG_QUALITY)
            except OstensiveError as error:
                lost[UNUSABLE if isinstance(error, SlotError) else UNREADABLE_IMAGE] += 1
                continue
            _add(writer, made, jpeg, one.annotation_id, one.image_id)
            rows += 1
        writer.finish()
    return OtherRows(OWN_ITEMS, round(replay * explained), rows, dict(lost))


def _explained(corpus: Corpus, kind: RecipeKind) -> set[tuple[str, str, str]]:
    """Image, question and answer of what has a rationale, in any split."""
    assert kind.dialogue is not None, "rows with a rationale are conversations"
    found = set()
    for image in read_images(corpus, kind):
        for row in image.rows:
            asked, answered = [turn.text for turn in kind.dialogue(row.candidate) if turn.role != "system"][:2]
            found.add((image.image_id, asked, answered))
    return found


def _asked(one: Annotation) -> tuple[Turn, Turn]:
    return Turn("user", single_line(one.question or "")), Turn("assistant", answer_of(one.answers))


def _writer(folder: Path) -> ParquetFolder:
    folder.mkdir(parents=True)
    features = training_features(["prompt", "completion"])
    return ParquetFolder(folder, DEFAULT_SPLIT, features, max_bytes=_FILE_BYTES, group_rows=_ROWS_A_GROUP)


def _add(writer: ParquetFolder, made: Json, jpeg: bytes, row_id: str, image_id: str) -> None:
    """A row with the columns of those that are exported from a corpus."""
    whole = {
        **made,
        "images": [{"bytes": jpeg, "path": f"{image_id}.jpg"}],
        "row_id": row_id,
        "image_id": image_id,
        "lineage": json.dumps({}),
    }
    writer.add(whole, len(jpeg))
