"""Images, files of annotations about them, and what is read from both."""

import csv
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any  # JSON values

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ostensive.images.annotation_columns import AnnotationColumns
from ostensive.images.annotation_joining import read_annotations
from ostensive.images.annotations import Annotations, RawAnnotation
from ostensive.images.settings import ANNOTATION_FIELDS, AnnotationSettings, IntakeSettings
from ostensive.images.sources import list_source

Rows = Sequence[Mapping[str, Any]]


def jpeg(shade: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (20, 20), (shade, 0, 0)).save(sink, "JPEG")
    return sink.getvalue()


def save_images(folder: Path, *names: str) -> None:
    for shade, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg(shade))


def write_rows(path: Path, rows: Rows) -> Path:
    """A file with these rows, in the format that the suffix names."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    match path.suffix:
        case ".csv" | ".tsv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, names, delimiter="\t" if path.suffix == ".tsv" else ",")
                writer.writeheader()
                writer.writerows(rows)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        case ".json":
            path.write_text(json.dumps(rows, indent=1), "utf-8")
        case _:
            pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return path


def read(
    images: Path, file: Path | None = None, fields: Sequence[str] = ANNOTATION_FIELDS, **settings: Any
) -> Annotations:
    columns = AnnotationColumns(AnnotationSettings(**settings), fields)
    found = read_annotations(list_source(images, IntakeSettings(), columns), columns, file)
    held = [item for mapping in (found.items, found.by_image_id) for items in mapping.values() for item in items]
    assert len(held) + found.merged + sum(found.lost.values()) == found.rows, "a row vanished, or was counted twice"
    return found


def texts_of(found: Annotations, key: str) -> list[dict[str, Any]]:
    """What is said of an image, what is empty left out."""
    return [values_of(item) for item in found.items[key]]


def values_of(item: RawAnnotation) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in ANNOTATION_FIELDS}
    values |= {extra.name: extra.text for extra in item.extras}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}


def losses_of(found: Annotations) -> list[tuple[str, str, str]]:
    return [(loss.reason, loss.place, loss.detail) for loss in found.losses]
