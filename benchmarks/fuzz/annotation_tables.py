"""Tables of annotations that people bring: CSV, TSV, JSON, JSON Lines and Parquet, joined with a listing of images."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final  # Any: JSON values

import pyarrow as pa
import pyarrow.parquet as pq

from fuzz.table import Reader
from fuzz.texts import one_line
from ostensive.errors import SettingsError
from ostensive.images.annotation_columns import AnnotationColumns
from ostensive.images.annotation_joining import read_annotations
from ostensive.images.items import SourceItem, SourceListing
from ostensive.images.settings import ANNOTATION_FIELDS, AnnotationSettings
from ostensive.records import Location

_IMAGES: Final = ("a.jpg", "below/b.png", "\u00e9.webp")
_LISTING: Final = SourceListing(
    [
        SourceItem(key=name, source=name, location=Location(f"/images/{name}"), size_bytes=9, modified_ns=0)
        for name in _IMAGES
    ],
    None,
)
_ROWS: Final[list[dict[str, Any]]] = [
    {"image": "a.jpg", "question": "What \u2028 is it?", "answers": ["a cat", "cat"], "label": "cat", "split": "train"},
    {"image": "below/b.png", "question": "Why, then?", "answers": [], "label": None, "split": "test"},
    {"image": "b.png", "question": 'Is it "red"?\nOr not?', "answers": ["no"], "label": "dog", "split": "test"},
    {"image": "ab" * 32, "question": "", "answers": ["x"], "label": "7", "split": "train"},
]
_CONVERSATION: Final = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]


def _separated(delimiter: str) -> list[bytes]:
    seeds = []
    for encoding, ends in (("utf-8", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\n")):
        sink = io.StringIO()
        writer = csv.DictWriter(sink, list(_ROWS[0]), delimiter=delimiter, lineterminator=ends)
        writer.writeheader()
        writer.writerows({**row, "answers": json.dumps(row["answers"])} for row in _ROWS)
        seeds.append(sink.getvalue().encode(encoding))
    return seeds


def _lines() -> list[bytes]:
    plain = "\n".join(json.dumps(row, ensure_ascii=False) for row in _ROWS)
    talk = "\n".join(json.dumps({"image": name, "conversations": _CONVERSATION}) for name in _IMAGES)
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]
    messages = json.dumps({"file_name": "a.jpg", "messages": [*turns, {"role": "assistant", "content": "A cat."}]})
    return [plain.encode(), ("\ufeff" + plain.replace("\n", "\r\n")).encode(), talk.encode(), messages.encode()]


def _json() -> list[bytes]:
    columns = {name: {str(place): row[name] for place, row in enumerate(_ROWS)} for name in _ROWS[0]}
    forms: list[Any] = [
        _ROWS,
        {"version": 1, "info": {"x": [1]}, "data": _ROWS},
        columns,
        {name: [row[name] for row in _ROWS] for name in _ROWS[0]},
        {row["image"]: row for row in _ROWS[:2]},
        [{"id": "1", "image": "a.jpg", "conversations": _CONVERSATION}],
    ]
    return [json.dumps(form, indent=indent).encode() for form in forms for indent in (None, 1)]


def _parquet() -> list[bytes]:
    seeds = []
    for rows in (_ROWS, [{"image": name, "conversations": _CONVERSATION} for name in _IMAGES]):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), sink, compression="none")
        seeds.append(sink.getvalue())
    return seeds


def _joined(suffix: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        path = folder / f"table{suffix}"
        path.write_bytes(data)
        columns = AnnotationColumns(AnnotationSettings(), ANNOTATION_FIELDS)
        try:
            found = read_annotations(_LISTING, columns, path)
        except SettingsError as error:
            one_line(error)
            return
        used = sum(map(len, found.items.values())) + sum(map(len, found.by_image_id.values()))
        assert used + found.merged + sum(found.lost.values()) == found.rows, "no row is made up, and none lost silently"
        for loss in found.losses:
            f"{loss.place}{loss.detail}".encode()

    return read


READERS: Final[Mapping[str, Reader]] = {
    "annotations-csv": Reader(lambda: _separated(","), _joined(".csv")),
    "annotations-tsv": Reader(lambda: _separated("\t"), _joined(".tsv")),
    "annotations-jsonl": Reader(_lines, _joined(".jsonl")),
    "annotations-json": Reader(_json, _joined(".json")),
    "annotations-parquet": Reader(_parquet, _joined(".parquet")),
}
