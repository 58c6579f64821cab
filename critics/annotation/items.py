"""What is judged: an item is an image and a few texts about it, whichever task it belongs to.

An item holds a copy of its texts, so that a judgement stays about what was shown even when the run is built anew. Items
are made from the candidates of a run, or read from a file (JSON Lines or Parquet) with the columns:

- `image_id`: the content hash of an image of the run;
- the texts of the task: `question`, `answer`, `rationale` (rating); `prompt`, `first`, `second` (pairwise); `prompt`,
  `chosen`, `rejected` (preference);
- `item_id`, if there is one: a name of your own for the item; without it a hash of the others stands for it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from critics.annotation.tasks import Task
from critics.labels import UNKNOWN_DRAW, Draw
from critics.lexicon import TAG
from critics.row_files import TableRow, read_rows
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Candidate

_IMAGE_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Item:
    """Something to judge. `texts` are those of the task's fields, in their order; nobody who judges is shown `draw`."""

    task: str
    item_id: str
    image_id: str
    texts: tuple[ShownText, ...]
    draw: Draw = UNKNOWN_DRAW

    @property
    def mentions(self) -> tuple[int, ...]:
        """The distinct region numbers that the texts mention, in the order of their first mention."""
        return tuple(dict.fromkeys(number for text in self.texts for number in text.mentions))

    def text(self, name: str) -> ShownText:
        """The text of one field."""
        return next(text for text in self.texts if text.name == name)


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A stretch of a text: plain, or a tag `[k]` with the number it names."""

    text: str
    number: int | None = None


def spans_of(text: str) -> Iterator[TextSpan]:
    """`text` cut where tags begin and end; the spans put together are `text` again."""
    end = 0
    for tag in TAG.finditer(text):
        if tag.start() > end:
            yield TextSpan(text[end : tag.start()])
        yield TextSpan(tag[0], int(tag[1]))
        end = tag.end()
    if end < len(text):
        yield TextSpan(text[end:])


def candidate_item(task: Task, candidate: Candidate, kind: RecipeKind, draw: Draw = UNKNOWN_DRAW) -> Item:
    """The item of a candidate in a task that suits its kind; it has the candidate's row id."""
    shown = kind.shown(candidate)
    texts = shown if task.fields is None else tuple(text for text in shown if text.name in task.fields)
    return Item(task.name, candidate.row_id, candidate.image_id, texts, draw)


def read_items(path: Path, task: Task) -> list[Item]:
    """The items of a file for `task`, in its order; raises `SettingsError` naming the file and the row."""
    items: dict[str, Item] = {}
    for row in read_rows(path):
        item = _item(row, task)
        if item.item_id in items:
            raise SettingsError(f"{row.place}: the item {item.item_id!r} is there already; give each its own item_id")
        items[item.item_id] = item
    if not items:
        raise SettingsError(f"{path} holds no items; one a line is expected, with {_columns(task)}")
    return list(items.values())


def _item(row: TableRow, task: Task) -> Item:
    assert task.fields is not None, "items of this task are candidates of the run"
    values = {}
    for name in ("image_id", *task.fields):
        value = row.values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise SettingsError(f"{row.place}: {name} is {value!r:.60}; a text is expected (columns: {_columns(task)})")
        values[name] = value
    if not _IMAGE_ID.fullmatch(values["image_id"]):
        raise SettingsError(f"{row.place}: image_id is {values['image_id']!r:.60}; 64 hexadecimal digits are expected")
    item_id = row.values.get("item_id")
    if item_id is None:
        item_id = fingerprint([task.name, values])[:16]
    if not isinstance(item_id, str) or not item_id.strip() or len(item_id) > 200:
        raise SettingsError(f"{row.place}: item_id is {item_id!r:.60}; a text of at most 200 characters is expected")
    texts = tuple(
        ShownText(name, values[name], tuple(dict.fromkeys(int(number) for number in TAG.findall(values[name]))))
        for name in task.fields
    )
    return Item(task.name, item_id, values["image_id"], texts)


def _columns(task: Task) -> str:
    return ", ".join(("image_id", *(task.fields or ())))
