"""What is judged: an item is an image and a few texts about it, whichever task it belongs to.

An item holds a copy of its texts, so that a judgement stays about what was shown even when the run is built anew. The
items of the task `triple` come from the run; those of the others from a file (JSON Lines or Parquet) with the columns:

- `image_id`: the content hash of an image of the run;
- the texts of the task: `question`, `answer`, `rationale` (rating); `prompt`, `first`, `second` (pairwise); `prompt`,
  `chosen`, `rejected` (preference);
- `item_id`, if there is one: a name of your own for the item; without it a hash of the others stands for it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from critics.annotation.tasks import Task
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.records import Qar

_TAG: Final = re.compile(r"\[(\d{1,6})\]")
_IMAGE_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Text:
    """One text of an item, by the name of its field."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """Something to judge. `texts` are those of the task's fields, in their order."""

    task: str
    item_id: str
    image_id: str
    texts: tuple[Text, ...]

    @property
    def mentions(self) -> tuple[int, ...]:
        """The distinct region numbers that the texts mention, in the order of their first mention."""
        return tuple(dict.fromkeys(int(number) for text in self.texts for number in _TAG.findall(text.text)))

    def text(self, name: str) -> str:
        """The text of one field."""
        return next(text.text for text in self.texts if text.name == name)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a text: plain, or a tag `[k]` with the number it names."""

    text: str
    number: int | None = None


def parts_of(text: str) -> Iterator[Part]:
    """`text` cut where tags begin and end; the parts put together are `text` again."""
    end = 0
    for tag in _TAG.finditer(text):
        if tag.start() > end:
            yield Part(text[end : tag.start()])
        yield Part(tag[0], int(tag[1]))
        end = tag.end()
    if end < len(text):
        yield Part(text[end:])


def triple_item(row: Qar) -> Item:
    """The item of the task `triple` for a candidate; it has the candidate's row id."""
    texts = (Text("question", row.question), Text("answer", row.answer), Text("rationale", row.rationale))
    return Item("triple", row.row_id, row.image_id, texts)


def read_items(path: Path, task: Task) -> list[Item]:
    """The items of a file for `task`, in its order; raises `SettingsError` naming the file and the row."""
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _json_rows(path)
    items: dict[str, Item] = {}
    for place, row in rows:
        item = _item(row, task, f"{path}, {place}")
        if item.item_id in items:
            raise SettingsError(
                f"{path}, {place}: the item {item.item_id!r} is there already; give each its own item_id"
            )
        items[item.item_id] = item
    if not items:
        raise SettingsError(f"{path} holds no items; one a line is expected, with {_columns(task)}")
    return list(items.values())


def _item(row: Mapping[str, Any], task: Task, place: str) -> Item:  # Any: whatever the file holds
    values = {}
    for name in ("image_id", *task.fields):
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            raise SettingsError(f"{place}: {name} is {_shown(value)}; a text is expected (columns: {_columns(task)})")
        values[name] = value
    if not _IMAGE_ID.fullmatch(values["image_id"]):
        raise SettingsError(f"{place}: image_id is {_shown(values['image_id'])}; 64 hexadecimal digits are expected")
    item_id = row.get("item_id")
    if item_id is None:
        item_id = fingerprint([task.name, values])[:16]
    if not isinstance(item_id, str) or not item_id.strip() or len(item_id) > 200:
        raise SettingsError(f"{place}: item_id is {_shown(item_id)}; a text of at most 200 characters is expected")
    return Item(task.name, item_id, values["image_id"], tuple(Text(name, values[name]) for name in task.fields))


def _columns(task: Task) -> str:
    return ", ".join(("image_id", *task.fields))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


Rows = Iterable[tuple[str, Mapping[str, Any]]]  # Any: whatever the file holds


def _json_rows(path: Path) -> Rows:
    try:
        lines = path.read_text("utf-8").split("\n")  # not splitlines: a text may hold U+2028
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path} is not UTF-8; JSON Lines or a file whose name ends in .parquet is expected"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise SettingsError(f"{path}, line {number}: not JSON ({error}); one object a line is expected") from error
        if not isinstance(value, dict):
            raise SettingsError(f"{path}, line {number}: {_shown(value)}; one object a line is expected")
        yield f"line {number}", value


def _parquet_rows(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise SettingsError(f"{path} cannot be read: No such file or directory") from error
    except (OSError, pa.ArrowException) as error:
        raise SettingsError(f"{path} cannot be read as Parquet") from error
    for number, row in enumerate(table.to_pylist(), 1):
        yield f"row {number}", row
