"""Training rows that others wrote: TRL's `messages`, or `prompt` and `completion`, and LLaVA's `conversations`.

Whatever the form, a row becomes a conversation about one picture, of which one reply is learned: TRL would train on
every token of `messages`, the question's too.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final  # Any: what JSON and Arrow give

import pyarrow as pa
import pyarrow.parquet as pq

from ostensive.errors import OstensiveError, SettingsError, one_line
from ostensive.image_slots import SlotError, without_slot
from ostensive.images import refusals
from ostensive.images.annotation_cells import ItemLostError, text_in, turns_in
from ostensive.images.annotations import UNREADABLE_ROW
from ostensive.images.beside import DEFAULT_LIMITS
from ostensive.images.decode import open_rgb
from ostensive.images.files import read_file
from ostensive.images.formats import open_table
from ostensive.images.paths import is_inside
from ostensive.images.publish import publishable_jpeg
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.rows import BadRow, Row
from ostensive.images.settings import IntakeSettings
from ostensive.records import IMAGE_SLOT, Turn
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.user_paths import shown_path
from students.exporting import UNUSABLE
from students.rows import Json, prompt_completion_rows

OTHER_FORM: Final = "row of another form"
NOT_ONE_PICTURE: Final = "not one picture"
_TALKS: Final = ("messages", "conversations")
_PICTURES: Final = ("images", "image")
_COLUMNS: Final = frozenset((*_TALKS, "prompt", "completion", *_PICTURES))
_MAX_PIXELS: Final = IntakeSettings().max_pixels
_MAX_BYTES: Final = 1 << 28
_JPEG_QUALITY: Final = 95
_ROWS_AT_ONCE: Final = 64


class ForeignRowLostError(OstensiveError):
    """A row cannot be trained on; `reason` is what it is counted under."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ForeignRows:
    """The rows of files, by their numbers from 0. JSON is held, of Parquet what is asked for is read."""

    count: int
    root: Path  # from which pictures' files are meant
    _parquet: tuple[Path, ...] = ()
    _listed: tuple[Row | BadRow, ...] = ()

    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, Row | BadRow]]:
        """The rows of `numbers` in ascending order, each with its number. Raises `SettingsError` for broken files."""
        if self._listed:
            yield from ((number, self._listed[number]) for number in sorted(numbers))
            return
        wanted, first = set(numbers), 0
        for path in self._parquet:
            try:
                with pq.ParquetFile(path) as file:
                    names = [name for name in file.schema_arrow.names if name in _COLUMNS]
                    for group in range(file.metadata.num_row_groups):
                        end = first + file.metadata.row_group(group).num_rows
                        if not wanted.isdisjoint(range(first, end)):
                            yield from _of_group(file, group, names, first, wanted)
                        first = end
            except (pa.ArrowException, OSError) as error:
                raise SettingsError(f"{shown_path(path)}: cannot be read: {one_line(error)}") from error


def open_rows(data: Path, images: Path | None, setting: str) -> ForeignRows:
    """The rows of the file or folder `data`, which `setting` names; raises `SettingsError` where there are none."""
    files = foreign_files(data, setting)
    root = images or (data if data.is_dir() else data.parent)
    if not root.is_dir():
        raise SettingsError(f"{setting.rpartition('.')[0]}.images: {shown_path(root)} is no folder")
    if files[0].suffix == ".parquet":
        try:
            count = sum(pq.read_metadata(file).num_rows for file in files)
        except (pa.ArrowException, OSError) as error:
            raise SettingsError(f"{setting}: {shown_path(files[0])}: cannot be read: {one_line(error)}") from error
        return ForeignRows(count, root, _parquet=files)
    listed = tuple(open_table(str(data), f"{setting}: {shown_path(data)}", None, lambda _column: False).rows)
    return ForeignRows(len(listed), root, _listed=listed)


def foreign_files(data: Path, setting: str) -> tuple[Path, ...]:
    """The files of `data`: itself, or the Parquet files of a folder, of its split `train` where it has splits.

    Raises `SettingsError` for what is not there or of another format.
    """
    if data.is_dir():
        places = (data / "data", data)
        found = [sorted(place.glob(name)) for place in places for name in (f"{DEFAULT_SPLIT}-*.parquet", "*.parquet")]
        files = next((tuple(some) for some in found if some), ())
        if not files:
            raise SettingsError(f"{setting}: {shown_path(data)} has no Parquet files in it, nor in a folder data")
        return files
    if not data.is_file():
        raise SettingsError(f"{setting}: {shown_path(data)} is not there; a file or a folder of rows is expected")
    if data.suffix not in (".json", ".jsonl", ".ndjson", ".parquet"):
        raise SettingsError(
            f"{setting}: {data.name} is of no format that rows are read from; .json, .jsonl or .parquet is expected"
        )
    return (data,)


def training_row(row: Row | BadRow, root: Path, draw: Random) -> tuple[Json, bytes]:
    """`prompt` and `completion` of one reply of the conversation, which `draw` chooses, and the picture as JPEG bytes.

    Raises `ForeignRowLostError` for a row that cannot be trained on.
    """
    if isinstance(row, BadRow):
        raise ForeignRowLostError(UNREADABLE_ROW, f"{row.place}: {row.detail}")
    try:
        turns, replies = _turns(row)
        made = list(prompt_completion_rows(_without_slots(turns)))[-replies:]
        return draw.choice(made), publishable_jpeg(_picture(row.values, root), jpeg_quality=_JPEG_QUALITY)
    except (ItemLostError, ImageRefusedError) as error:
        raise ForeignRowLostError(error.reason, f"{row.place}: {error.detail or error.reason}") from error
    except SlotError as error:
        raise ForeignRowLostError(UNUSABLE, f"{row.place}: {error}") from error


def _of_group(
    file: pq.ParquetFile, group: int, names: list[str], first: int, wanted: Collection[int]
) -> Iterator[tuple[int, Row]]:
    number = first
    for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=names):
        for place in range(len(batch)):
            if number in wanted:
                yield number, Row(f"row {number}", batch.slice(place, 1).to_pylist()[0])
            number += 1


def _turns(row: Row) -> tuple[Sequence[Turn], int]:
    """The conversation, and how many of its last replies are for learning."""
    values = row.values
    for column in _TALKS:
        if values.get(column) is not None:
            turns = turns_in(values[column], column)
            return turns, max(1, sum(turn.role == "assistant" for turn in turns))
    if values.get("prompt") is None or values.get("completion") is None:
        detail = f"has {', '.join(sorted(map(str, values))[:8]) or 'nothing'}"
        expected = "messages, conversations, or prompt and completion are expected"
        raise ItemLostError(OTHER_FORM, f"{detail}; {expected}")
    return (*_side(values["prompt"], "prompt", "user"), *_side(values["completion"], "completion", "assistant")), 1


def _side(value: Any, column: str, role: str) -> tuple[Turn, ...]:
    if isinstance(value, str):
        return (Turn(role, text_in(value, column) or ""),)
    return turns_in(value, column)


def _without_slots(turns: Sequence[Turn]) -> list[Turn]:
    slots = sum(turn.text.count(IMAGE_SLOT) for turn in turns)
    if slots > 1:
        raise SlotError(f"the conversation has {slots} image slots, and there is one image")
    return [Turn(turn.role, without_slot(turn.text, f"turn {place}")) for place, turn in enumerate(turns, 1)]


def _picture(values: Mapping[str, Any], root: Path) -> bytes:
    """The bytes of the one picture of a row, which decodes; raises `ItemLostError`, `ImageRefusedError`."""
    given: Any = next((values[column] for column in _PICTURES if values.get(column) is not None), [])
    pictures = given if isinstance(given, list) else [given]
    if len(pictures) != 1:
        raise ItemLostError(NOT_ONE_PICTURE, f"has {len(pictures)} pictures, one is expected")
    picture = pictures[0]
    data = picture.get("bytes") if isinstance(picture, Mapping) else picture
    if data is None and isinstance(picture, Mapping):
        data = picture.get("path")
    if isinstance(data, str):
        data = _of_file(data, root)
    if not isinstance(data, bytes):
        raise ItemLostError(NOT_ONE_PICTURE, f"its picture is {type(picture).__name__}, bytes or a file are expected")
    open_rgb(data, _MAX_PIXELS, limits=DEFAULT_LIMITS)
    return data


def _of_file(name: str, root: Path) -> bytes:
    path = root / name
    try:
        if not is_inside(str(path), str(root.resolve())):
            raise ImageRefusedError(refusals.LEADS_OUT, name[:200])
        return read_file(str(path), _MAX_BYTES)
    except FileNotFoundError as error:
        raise ImageRefusedError(refusals.MISSING, name[:200]) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageRefusedError(refusals.UNREADABLE, f"{name[:200]}: {one_line(error)}") from error
