"""What the fields of a corpus mean, for its card."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

_NOTES = {
    "image": "the picture: the original JPEG bytes less their metadata, upright",
    "image_id": "SHA-256 of the file the image was taken from",
    "width": "of the upright picture, in pixels",
    "height": "of the upright picture, in pixels",
    "source": "where the image was found: a path, `tar!member` or `parquet#row`",
    "shard": "the tar in `shards/` that holds the image",
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
    "row_id": "from the image, the request that wrote the row and its place in the reply",
    "mode": "`ids` where regions are named by number, `descriptions` where by what they look like",
    "question": "what is asked",
    "answer": "the answer",
    "rationale": "why the answer holds",
    "mentions": "the region numbers in the text, in the order of their first mention",
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


@dataclass(frozen=True, slots=True)
class FieldNote:
    """A line of the table of fields."""

    path: str
    type_name: str
    note: str


def describe(fields: Sequence[pa.Field], prefix: str = "") -> Iterator[FieldNote]:
    """A note for every leaf of `fields`; `[]` marks a list. A field nobody has described has an empty note."""
    for field in fields:
        yield from _describe(field.type, f"{prefix}{field.name}")


def _describe(kind: pa.DataType, path: str) -> Iterator[FieldNote]:
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        yield from _describe(kind.value_type, f"{path}[]")
    elif pa.types.is_struct(kind):
        yield from describe(list(kind), f"{path}.")
    else:
        yield FieldNote(path, _type_name(kind), _NOTES.get(path.removeprefix("rows[]."), ""))


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type_name(kind.value_type)}"
    names = {pa.string(): "string", pa.int64(): "integer", pa.float64(): "number", pa.bool_(): "true or false"}
    return names[kind]
