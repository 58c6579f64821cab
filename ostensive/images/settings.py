"""How images, and the text that comes in beside them, are read: two sections of every recipe."""

import codecs
import dataclasses
import difflib
from typing import Final, Literal

from pydantic import Field, field_validator

from ostensive.records import Annotation
from ostensive.settings import Settings


class IntakeSettings(Settings):
    """How images are taken in."""

    max_pixels: int = Field(default=80_000_000, ge=1)
    """Images with more pixels (width x height) are refused, as a guard against decompression bombs."""
    max_decoded_bytes: int = Field(default=400_000_000, ge=1)
    """Bytes of memory that decoding a picture may take besides 64 for each byte of its file. Ordinary JPEG and PNG
    files take less for their pixels."""
    max_seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """Seconds of computing that decoding a picture may take."""
    min_side: int = Field(default=16, ge=1)
    """Images with a shorter side, in pixels, are refused."""
    sample_bits: int | None = Field(default=None, ge=8, le=16)
    """How many bits of 16-bit samples hold the picture: 16 is their full range; null has each file, or else the
    brightest of its samples, tell."""
    world: Literal["any", "microworld"] = "any"
    """`microworld` refuses images that `ostensive microworld render` did not make; models of that world know nothing
    else."""
    column: str | None = None
    """The image column of Parquet input; None takes the only one there is."""


ANNOTATION_FIELDS: Final = tuple(
    field.name for field in dataclasses.fields(Annotation) if field.name not in ("annotation_id", "image_id", "extras")
)
"""What an annotation holds besides the columns that a recipe names itself."""
LIST_FIELDS: Final = ("answers", "choices", "rationales")


class AnnotationSettings(Settings):
    """How the text that comes in beside the images is read."""

    columns: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """Our field: their column, where it is not called as usual; `image` is the column that names the image. A field
    that is none of ours is carried along under its name. Answers, choices and rationales may have several columns."""
    encoding: str | None = None
    """Of text files; null takes UTF-8, or what the byte order mark says."""
    beside: bool = True
    """Read what lies beside the images: metadata files, columns, members of tars. `--annotations` is read anyway."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")  # refuses rot13 and base64 too, which `codecs` also knows
        except LookupError as error:
            raise ValueError("the name of an encoding is expected, such as latin-1 or cp1252") from error
        return None if value is None else codecs.lookup(value).name

    @field_validator("columns")
    @classmethod
    def _known_fields(cls, value: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
        known = ("image", *ANNOTATION_FIELDS)
        for field, columns in value.items():
            near = difflib.get_close_matches(field, known, n=1, cutoff=0.75)
            if near and near[0] != field and not field.startswith(f"{near[0]}_"):
                raise ValueError(f"{field} is no field of ours; the nearest is {near[0]}")
            if field in ("annotation_id", "image_id", "extras"):
                raise ValueError(f"{field} is made, not read; the column that names the image is called image here")
            if not field.isidentifier():
                raise ValueError(f"{field!r} is no name for a field; letters, digits and '_' are expected")
            if isinstance(columns, tuple) and (field not in LIST_FIELDS or not columns):
                raise ValueError(f"{field} has one column; several are for {', '.join(LIST_FIELDS)}")
        return value
