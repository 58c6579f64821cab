"""The texts beside the images of a WebDataset tar, by their offsets: one row a sample, or as many as its JSON has."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ostensive.images.items import TarMember
from ostensive.images.json_rows import parse_json
from ostensive.images.loader import read_file
from ostensive.images.paths import openable_path, shown_name
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.rows import BadRow, Row
from ostensive.images.text_files import decode

_MAX_MEMBER_BYTES: Final = 16 << 20


def sample_rows(samples: Mapping[str, Sequence[TarMember]], encoding: str | None) -> Iterator[Row | BadRow]:
    """The rows of the samples of a tar, their keys the names of the samples; those without a text have none."""
    for sample, parts in samples.items():
        texts = [part for part in parts if part.column]
        place = f"sample {shown_name(sample)}"
        try:
            rows = _rows_of_sample(texts, encoding) if texts else []
        except (OSError, ValueError, ImageRefusedError) as error:
            yield BadRow(place, f"{error}"[:200])
            continue
        for values in rows:
            yield Row(place, values, sample)


def _rows_of_sample(texts: list[TarMember], encoding: str | None) -> list[dict[str, Any]]:  # Any: JSON values
    """What the texts of a sample say: one row, or as many as its JSON is a list of. Raises `ValueError`."""
    cells: dict[str, Any] = {}
    for part in texts:
        data = read_file(openable_path(part.tar.path), _MAX_MEMBER_BYTES, offset=part.offset, length=part.length)
        if part.column in cells:
            raise ValueError(f"{part.column} stands in the sample twice")
        cells[part.column] = decode(data, encoding)
    if "json" not in cells:
        return [cells]
    value = parse_json(cells.pop("json"))
    objects = value if isinstance(value, list) else [value]
    for row in objects:
        if not isinstance(row, dict):
            raise ValueError("the JSON is neither an object nor a list of objects")
        if repeated := row.keys() & cells.keys():
            raise ValueError(f"{min(repeated)} stands in the JSON and beside it")
    return [{**cells, **row} for row in objects]
