"""What goes into a corpus: an image with its verbalization and accepted rows, and the public form of both.

The public form is the same everywhere: the `.json` of a WebDataset sample has exactly the columns of the Parquet row
beside it, except the image itself. Its fields follow from the record classes, so that a recipe with another kind of
row needs no change here; a hand-written schema for each was given up because it drifts from the records.
"""

import json
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from ostensive.arrow import schema_of, struct_of
from ostensive.plain import plainer
from ostensive.records import ImageRecord, Judged, Judgement, Probe, Region, Verbalization

KEY_DIGITS = 32

Row = Mapping[str, Any]  # Any: JSON values


@dataclass(frozen=True, slots=True)
class CorpusSample:
    """An image of the corpus: `jpeg` as it is published, and the rows that were accepted."""

    image: ImageRecord
    jpeg: bytes
    verbalization: Verbalization | None
    rows: tuple[Judged[Any], ...]  # Any: the candidates of any recipe


def sample_key(image_id: str) -> str:
    """The name of the image in a shard: the first 32 digits of its hash, so it has no dot; raises `ValueError`."""
    key = image_id[:KEY_DIGITS]
    if not re.fullmatch(f"[0-9a-f]{{{KEY_DIGITS}}}", key):
        raise ValueError(f"image id {image_id!r} does not start with {KEY_DIGITS} lower-case hexadecimal digits")
    return key


def to_json(row: Row) -> bytes:
    """`row` as UTF-8 JSON in the order of its fields: no NaN, and nothing that a reader of lines takes for a line end.

    Raises `ValueError` for a NaN, an infinity or a surrogate.
    """
    text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # JSON escapes control characters itself; these three end a line for str.splitlines and for JavaScript.
    for line_end, escape in (("\x85", "\\u0085"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        text = text.replace(line_end, escape)
    return text.encode("utf-8")


def _record_plainer(record: type) -> Callable[[Any], dict[str, Any]]:  # Any: a record, JSON values
    make = plainer(record)
    if make is None:
        raise TypeError(f"a record class is expected, not {record!r}")
    return make


_region, _probe, _judgement = map(_record_plainer, (Region, Probe, Judgement))


class PublicForm:
    """How samples with rows of the class `row_type` (such as `Judged[Qar]`) are published.

    Raises `TypeError` for another kind of class, or where a field of the candidate would hide one of the image.
    """

    def __init__(self, row_type: Any, recipe_hash: str) -> None:  # Any: a parametrised class
        if typing.get_origin(row_type) is not Judged:
            raise TypeError(f"the rows of a corpus are Judged[...], not {row_type!r}")
        self.candidate: type = typing.get_args(row_type)[0]
        self.recipe_hash = recipe_hash
        self._candidate = _record_plainer(self.candidate)
        self.has_mentions = "mentions" in schema_of(self.candidate).names
        taken = {"width", "height", "source", "shard", "regions", "judgements", "recipe_hash"}
        clash = taken & set(schema_of(self.candidate).names)
        if clash:
            raise TypeError(f"{self.candidate.__name__} has fields that are the corpus's own: {sorted(clash)}")

    @cached_property
    def row_fields(self) -> tuple[pa.Field, ...]:
        """The fields of a row: the candidate's own, what critics said of it, the recipe's hash."""
        return (
            *schema_of(self.candidate),
            pa.field("judgements", pa.list_(struct_of(Judgement))),
            pa.field("recipe_hash", pa.string()),
        )

    @cached_property
    def sample_schema(self) -> pa.Schema:
        """The fields of a sample: what the `.json` holds."""
        return pa.schema(
            [
                pa.field("image_id", pa.string()),
                pa.field("width", pa.int64()),
                pa.field("height", pa.int64()),
                pa.field("source", pa.string()),
                pa.field("concepts", pa.list_(pa.string())),
                pa.field("narratives", pa.list_(pa.string())),
                pa.field("regions", pa.list_(struct_of(Region))),
                pa.field("probes", pa.list_(struct_of(Probe))),
                pa.field("rows", pa.list_(pa.struct(list(self.row_fields)))),
            ]
        )

    @cached_property
    def flat_schema(self) -> pa.Schema:
        """The fields of a row that stands alone: its own, its image's, and the regions it mentions."""
        fields = [
            *self.row_fields,
            pa.field("source", pa.string()),
            pa.field("width", pa.int64()),
            pa.field("height", pa.int64()),
            pa.field("shard", pa.string()),
        ]
        if self.has_mentions:
            fields.append(pa.field("regions", pa.list_(struct_of(Region))))
        return pa.schema(fields)

    def sample_row(self, sample: CorpusSample) -> dict[str, Any]:  # Any: JSON values
        """`sample` as plain values with the fields of `sample_schema`."""
        said = sample.verbalization
        return {
            "image_id": sample.image.image_id,
            "width": sample.image.width,
            "height": sample.image.height,
            "source": sample.image.source,
            "concepts": list(said.concepts) if said else [],
            "narratives": list(said.narratives) if said else [],
            "regions": [_region(region) for region in said.regions] if said else [],
            "probes": [_probe(probe) for probe in said.probes] if said else [],
            "rows": [self._row(judged) for judged in sample.rows],
        }

    def flat_rows(self, row: Row, shard: str) -> list[dict[str, Any]]:  # Any: JSON values
        """The rows of `row` (a `sample_row`) with the fields of `flat_schema`.

        `regions` are those that the row mentions, in that order; a mention of no region is left out.
        """
        image = {name: row[name] for name in ("source", "width", "height")} | {"shard": shard}
        if not self.has_mentions:
            return [{**inner, **image} for inner in row["rows"]]
        regions = {region["number"]: region for region in row["regions"]}
        return [
            {**inner, **image, "regions": [regions[number] for number in inner["mentions"] if number in regions]}
            for inner in row["rows"]
        ]

    def _row(self, judged: Judged[Any]) -> dict[str, Any]:  # Any: as above
        return {
            **self._candidate(judged.candidate),
            "judgements": [_judgement(judgement) for judgement in judged.judgements],
            "recipe_hash": self.recipe_hash,
        }
