"""What goes into a corpus: an image with its text and its accepted rows, and the public form of both.

The public form is the same everywhere: the `.json` of a WebDataset sample has exactly the columns of the Parquet row
beside it, except the image itself. Its fields follow from the record classes and the recipe's kind.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: candidates of any recipe, JSON values; pyarrow ships no types

import pyarrow as pa

from ostensive.arrow import plain_maker, schema_of, struct_of
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Annotation, ImageRecord, Judged, Judgement, Probe, Region, Verbalization
from ostensive.run.splits import DEFAULT_SPLIT

KEY_DIGITS: Final = 32
IMAGE_NOTE: Final = "the original JPEG bytes less their metadata, upright"
_NOTES: Final = {
    "image_id": "SHA-256 of the file the image was taken from",
    "width": "of the upright picture, in pixels",
    "height": "of the upright picture, in pixels",
    "source": "where the image was found: a path, `tar!member` or `parquet#row`",
    "split": "the split that the image belongs to",
    "shard": "the tar in `shards/` that holds the image",
    "image_source": "where the image is from, as was said beside it: an address where there is one",
    "image_license": "the licence of the image, as was said beside it",
    "concepts": "sentences about the whole image",
    "narratives": "sentences about what is where",
    "regions[].number": "what `[k]` in a text means, from 0",
    "regions[].box.x1": "left edge of the box, 0-1 of the width",
    "regions[].box.y1": "upper edge, 0-1 of the height, downwards",
    "regions[].box.x2": "right edge, 0-1 of the width",
    "regions[].box.y2": "lower edge, 0-1 of the height",
    "regions[].label": "what the proposer took it for; `area` where it does not know",
    "regions[].label_probability": "the proposer's confidence, 0-1; null where it has none",
    "regions[].caption": "what is said of the region",
    "probes[].question": "a short question asked about the image",
    "probes[].answer": "its answer",
    "annotations[].annotation_id": "of an item that came in beside the image: from the image and the item's content",
    "annotations[].image_id": "as above",
    "annotations[].question": "a question about the image",
    "annotations[].answers": "its answers",
    "annotations[].choices": "what there was to choose from",
    "annotations[].label": "what the image is said to show",
    "annotations[].instruction": "what is asked for",
    "annotations[].turns[].role": "whose turn of a conversation it is: system, user or assistant",
    "annotations[].turns[].text": "what is said; `<image>` stands for the image",
    "annotations[].rationales": "rationales that people wrote",
    "annotations[].split": "the split that was given",
    "annotations[].source": "where the image is from",
    "annotations[].license": "the licence of the image",
    "annotations[].extras[].name": "the name of a further column",
    "annotations[].extras[].text": "what it holds",
    "row_id": "from the image, the request that wrote the row and its place in the reply",
    "teacher": "the model that wrote the row, as its server named it",
    "prompt_hash": "of the prompt templates",
    "request_key": "of the journal entry with the request and the reply",
    "recipe_hash": "of the recipe, which stands at the end of this page",
    "judgements[].critic": "who judged",
    "judgements[].critic_version": "the critic's version",
    "judgements[].accept_probability": "0-1, 1 is accept; rules give 0 or 1",
    "judgements[].accepted": "the decision",
    "judgements[].reason": "why not; empty when accepted",
}

# Fields of a row that stands alone, and of `Annotation`: what came in beside an image about the image itself.
_OF_IMAGE: Final = {"image_source": "source", "image_license": "license"}
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CorpusSample:
    """An image of the corpus: `jpeg` as it is published, and the rows that were accepted."""

    image: ImageRecord
    jpeg: bytes
    verbalization: Verbalization | None
    rows: tuple[Judged[Any], ...]
    annotations: tuple[Annotation, ...] = ()
    split: str = DEFAULT_SPLIT


# Why an accepted row is not in the corpus.
IMAGE_UNREADABLE: Final = "image cannot be read"
IMAGE_UNPUBLISHABLE: Final = "image cannot be published"
ROWS_UNWRITABLE: Final = "rows cannot be written"


@dataclass(frozen=True, slots=True)
class LostSample:
    """An image that was to be published and cannot be, with how many accepted rows it takes along."""

    image: ImageRecord
    row_count: int
    reason: str  # one of the phrases above
    detail: str


@dataclass(frozen=True, slots=True)
class FieldNote:
    """A line of the table of fields."""

    path: str
    type_name: str
    note: str


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


_annotation, _judgement, _probe, _region = map(plain_maker, (Annotation, Judgement, Probe, Region))


class PublicForm:
    """How samples of a recipe are published; `record_names` are the classes of records that belong to its images.

    Raises `TypeError` where a field of the candidate would hide one of the image.
    """

    def __init__(
        self,
        kind: RecipeKind,
        recipe_hash: str,
        *,
        record_names: Collection[str] = (Verbalization.__name__,),
        has_splits: bool = False,
    ) -> None:
        self.kind = kind
        self.recipe_hash = recipe_hash
        self._is_verbalized = Verbalization.__name__ in record_names
        self._is_annotated = Annotation.__name__ in record_names
        self._has_splits = has_splits
        self._has_regions = kind.has_regions and self._is_verbalized
        candidate: Any = kind.candidate
        self._candidate = plain_maker(candidate)
        own = {"width", "height", "source", "split", "shard", "regions", "judgements", "recipe_hash", *_OF_IMAGE}
        clash = own & set(schema_of(candidate).names)
        if clash:
            raise TypeError(f"{candidate.__name__} has fields that are the corpus's own: {sorted(clash)}")
        #: The fields of a row: the candidate's own, what critics said of it, the recipe's hash.
        self.row_fields: tuple[pa.Field, ...] = (
            *schema_of(candidate),
            pa.field("judgements", pa.list_(struct_of(Judgement))),
            pa.field("recipe_hash", pa.string()),
        )

    @property
    def sample_schema(self) -> pa.Schema:
        """The fields of a sample: what the `.json` holds."""
        fields = [
            pa.field("image_id", pa.string()),
            pa.field("width", pa.int64()),
            pa.field("height", pa.int64()),
            pa.field("source", pa.string()),
        ]
        if self._has_splits:
            fields.append(pa.field("split", pa.string()))
        if self._is_verbalized:
            fields += [
                pa.field("concepts", pa.list_(pa.string())),
                pa.field("narratives", pa.list_(pa.string())),
                pa.field("regions", pa.list_(struct_of(Region))),
                pa.field("probes", pa.list_(struct_of(Probe))),
            ]
        if self._is_annotated:
            fields.append(pa.field("annotations", pa.list_(struct_of(Annotation))))
        return pa.schema([*fields, pa.field("rows", pa.list_(pa.struct(list(self.row_fields))))])

    @property
    def flat_schema(self) -> pa.Schema:
        """The fields of a row that stands alone: its own, its image's, and the regions it mentions."""
        fields = [
            *self.row_fields,
            pa.field("source", pa.string()),
            pa.field("width", pa.int64()),
            pa.field("height", pa.int64()),
        ]
        if self._has_splits:
            fields.append(pa.field("split", pa.string()))
        fields.append(pa.field("shard", pa.string()))
        if self._is_annotated:
            fields += [pa.field(name, pa.string()) for name in _OF_IMAGE]
        if self._has_regions:
            fields.append(pa.field("regions", pa.list_(struct_of(Region))))
        return pa.schema(fields)

    def sample_row(self, sample: CorpusSample) -> dict[str, Any]:
        """`sample` as plain values with the fields of `sample_schema`."""
        row: dict[str, Any] = {
            "image_id": sample.image.image_id,
            "width": sample.image.width,
            "height": sample.image.height,
            "source": sample.image.source,
        }
        if self._has_splits:
            row["split"] = sample.split
        if self._is_verbalized:
            text = sample.verbalization
            row["concepts"] = list(text.concepts) if text else []
            row["narratives"] = list(text.narratives) if text else []
            row["regions"] = [_region(region) for region in text.regions] if text else []
            row["probes"] = [_probe(probe) for probe in text.probes] if text else []
        if self._is_annotated:
            row["annotations"] = [_annotation(item) for item in sample.annotations]
        row["rows"] = [
            {
                **self._candidate(judged.candidate),
                "judgements": [_judgement(judgement) for judgement in judged.judgements],
                "recipe_hash": self.recipe_hash,
            }
            for judged in sample.rows
        ]
        return row

    def flat_rows(self, row: Row, shown: Sequence[Sequence[ShownText]], shard: str) -> list[dict[str, Any]]:
        """The rows of `row` (a `sample_row`) with the fields of `flat_schema`; `shown` are the texts of each.

        `regions` are those that the texts mention, in the order of first mention; a mention of no region is left out.
        """
        names = ("source", "width", "height", *(("split",) if self._has_splits else ()))
        image = {name: row[name] for name in names} | {"shard": shard}
        if self._is_annotated:
            image |= {name: _given(row["annotations"], field) for name, field in _OF_IMAGE.items()}
        flat = [{**inner, **image} for inner in row["rows"]]
        if self._has_regions:
            regions = {region["number"]: region for region in row["regions"]}
            for one, texts in zip(flat, shown, strict=True):
                one["regions"] = [regions[number] for number in mentions_of(texts) if number in regions]
        return flat

    def field_notes(self, fields: Sequence[pa.Field]) -> list[FieldNote]:
        """A note for every leaf of `fields`; `[]` marks a list. A field nobody has described has an empty note."""
        own = self.kind.field_notes
        notes = {**own, **_NOTES, **{f"rows[].{path}": note for path, note in own.items()}}
        return [
            FieldNote(path, _type_name(kind), notes.get(path, notes.get(path.removeprefix("rows[]."), "")))
            for field in fields
            for path, kind in _leaves(field.name, field.type)
        ]


def _given(annotations: Sequence[Mapping[str, Any]], name: str) -> str | None:
    """What the items beside an image say of the image itself by its field `name`: all that say something say the same.

    `ostensive.images.annotations.settle` sees to that.
    """
    return next((item[name] for item in annotations if item[name]), None)


def mentions_of(texts: Sequence[ShownText]) -> tuple[int, ...]:
    """The distinct regions that texts mention, in the order of first mention."""
    return tuple(dict.fromkeys(number for text in texts for number in text.mentions))


def _leaves(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        yield from _leaves(f"{path}[]", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, kind


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type_name(kind.value_type)}"
    names = {pa.string(): "string", pa.int64(): "integer", pa.float64(): "number", pa.bool_(): "true or false"}
    return names[kind]
