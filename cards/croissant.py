"""`croissant.json` of a corpus: its files, fields and terms as Croissant 1.0 has them, with those of responsible AI.

A pure function of the manifest, the public form, the settings and the facts of the run; terms are those of
http://mlcommons.org/croissant/1.0 and http://mlcommons.org/croissant/RAI/1.0. `mlcroissant` 1.1 reads a list of
records, and of what is in them records and lists of values, but no list of records in another: such a field is left
out where it is nested, and named there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final  # Any: JSON values; pyarrow has no types

import pyarrow as pa

from cards.reading import CorpusFile, CorpusManifest
from cards.samples import IMAGE_NOTE, FieldNote, PublicForm
from ostensive.licenses import license_url
from ostensive.recipe import CorpusSettings
from ostensive.run.summary import RunFacts

CROISSANT_NAME: Final = "croissant.json"
_CONFORMS_TO: Final = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")
_JSON: Final = {"@type": "@json"}
# As the specification has it, with the terms of responsible AI beside.
_CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", **_JSON},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", **_JSON},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_FORMATS: Final = {
    "shard": "application/x-tar",
    "shard index": "application/json",
    "samples": "application/x-parquet",
    "rows": "application/x-parquet",
    "plot": "image/svg+xml",
}
_TYPES: Final = {pa.string(): "sc:Text", pa.int64(): "sc:Integer", pa.float64(): "sc:Float", pa.bool_(): "sc:Boolean"}
_VERSION_DIGITS: Final = 12
# Both configurations: their name, the kind and the folder of their files, what identifies a record.
_SAMPLES, _ROWS = ("default", "samples", "data", "image_id"), ("rows", "rows", "rows", "row_id")


def render_croissant(manifest: CorpusManifest, form: PublicForm, *, settings: CorpusSettings, facts: RunFacts) -> str:
    """The text of `croissant.json`; `manifest` lists the files that it describes, itself not among them."""
    values = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": settings.name,
        "description": _description(manifest, form),
        "conformsTo": list(_CONFORMS_TO),
        **({"citeAs": form.kind.citation} if form.kind.citation else {}),
        "license": _license(settings),
        "version": _version(manifest),
        "inLanguage": list(settings.languages),
        "keywords": sorted({"synthetic", "vision", *form.kind.tags, *form.kind.task_categories}),
        **_responsible(manifest, form, settings, facts),
        "distribution": list(_distribution(manifest)),
        "recordSet": [
            _record_set(
                _SAMPLES, form, form.sample_schema, f"One image with its picture and all its {form.kind.noun}s."
            ),
            _record_set(_ROWS, form, form.flat_schema, f"One {form.kind.noun} that stands alone, without its picture."),
        ],
    }
    return json.dumps(values, indent=1, ensure_ascii=True) + "\n"


def _description(manifest: CorpusManifest, form: PublicForm) -> str:
    kind = form.kind
    return (
        f"{manifest.rows:,} rows about {manifest.images:,} images: {kind.title}. One row is {kind.one}. The texts were"
        " written by a model and kept by critics; the card, README.md, says how."
    )


def _license(settings: CorpusSettings) -> str:
    """An address where there is one, else the name."""
    link = settings.license_link
    own = link if link is not None and "://" in link else settings.license_name or link
    return own or license_url(settings.license) or settings.license


def _version(manifest: CorpusManifest) -> str:
    """The form of the corpus, and as the build of it its content, by the files that are in it."""
    digest = hashlib.sha256("\n".join(f"{file.path} {file.sha256}" for file in manifest.files).encode())
    return f"1.0.0+{digest.hexdigest()[:_VERSION_DIGITS]}"


def _responsible(
    manifest: CorpusManifest, form: PublicForm, settings: CorpusSettings, facts: RunFacts
) -> dict[str, str | list[str]]:
    """What is said of how it was made and may be used, less what there is nothing to say of."""
    kind = form.kind
    teachers = ", ".join(facts.teachers) or "none"
    removal = f"write to {settings.contact}" if settings.contact else "write to whoever publishes this corpus"
    found: dict[str, str | list[str]] = {
        "rai:dataCollection": f"Source of the images: {settings.source}\n{kind.method}",
        "rai:dataCollectionType": ["Software Collection"],
        "rai:dataCollectionMissingData": _missing(facts),
        "rai:dataCollectionRawData": "The pictures are those that were taken in, upright and less their metadata.",
        "rai:dataPreprocessingProtocol": [
            "Pictures were turned upright, and their metadata (place, camera, time) were removed.",
            *(f"{stage.name}: {stage.kept:,} of {stage.rows:,} rows were kept." for stage in facts.stages),
        ],
        "rai:dataAnnotationProtocol": [f"Texts were written by a model (teacher): {teachers}."],
        "rai:machineAnnotationTools": [*facts.teachers, *facts.critics],
        "rai:annotationsPerItem": f"{manifest.rows / manifest.images:.2f} rows an image, mean",
        "rai:dataBiases": [
            "Not measured. Texts have the biases of the model that wrote them, and pictures those of their source."
        ],
        "rai:dataUseCases": [settings.intended_use],
        "rai:dataLimitations": list(kind.limits),
        "rai:personalSensitiveInformation": [
            "Pictures may show people; faces are not blurred. Metadata such as place and camera were removed from the"
            " pictures. The names of their files are published."
        ],
        "rai:dataReleaseMaintenancePlan": (
            f"To have a picture removed, with all that is said about it, {removal} and name its image_id."
        ),
    }
    return {term: value for term, value in found.items() if value}


def _missing(facts: RunFacts) -> str:
    lost = sum(sum(stage.dropped.values()) + sum(stage.failed.values()) for stage in facts.stages)
    return f"{lost:,} images and rows were dropped or failed on the way; the card counts them by step and reason."


def _distribution(manifest: CorpusManifest) -> Iterator[dict[str, Any]]:
    """Every file with its hash, and the sets of them that are read as one."""
    for file in manifest.files:
        yield {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "description": _file_note(file),
            "contentUrl": file.path,
            "contentSize": f"{file.byte_count} B",
            "encodingFormat": _FORMATS[file.kind],
            "sha256": file.sha256,
        }
    for name, kind, folder, _ in (_SAMPLES, _ROWS, ("shards", "shard", "shards", "")):
        suffix = "tar" if kind == "shard" else "parquet"
        prefix = f"{manifest.name}-" if kind == "shard" else ""
        yield {
            "@type": "cr:FileSet",
            "@id": f"{name}-files",
            "name": f"{name}-files",
            "description": f"All files of {folder}/, of every split.",
            "encodingFormat": _FORMATS[kind],
            "includes": [f"{folder}/{prefix}{split.name}-*.{suffix}" for split in manifest.filled_splits],
        }


def _file_note(file: CorpusFile) -> str:
    what = {
        "shard": "images as WebDataset: a picture and a JSON object each",
        "shard index": "shards, indexed for wids",
        "samples": "images with their rows",
        "rows": "rows",
        "plot": "picture of a figure",
    }[file.kind]
    return f"{file.items:,} {what}{f'; split {file.split}' if file.split else ''}"


def _record_set(
    configuration: tuple[str, str, str, str], form: PublicForm, schema: pa.Schema, description: str
) -> dict[str, Any]:
    name, kind, _, key = configuration
    notes = {note.path: note for note in form.field_notes(list(schema))}
    fields = [_field(name, field, notes) for field in schema]
    if kind == "samples":
        fields.insert(0, _picture(name))
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/{key}"},
        "field": fields,
    }


def _picture(record_set: str) -> dict[str, Any]:
    source = _source(record_set, "image", "bytes")
    return _head(record_set, "image", IMAGE_NOTE) | {"dataType": "sc:ImageObject", "source": source}


def _field(record_set: str, field: pa.Field, notes: Mapping[str, FieldNote]) -> dict[str, Any]:
    """A column: a value, a list of values, a record, or a list of records with what in them is no list of records."""
    column, kind = field.name, field.type
    is_list = pa.types.is_list(kind)
    item = kind.value_type if is_list else kind
    repeated = {"repeated": True} if is_list else {}
    if not pa.types.is_struct(item):
        head = _head(record_set, column, _note(notes, column))
        return head | {"dataType": _TYPES[item], **repeated, "source": _source(record_set, column)}
    inner, left_out = list(_inner(item)), _left_out(item)
    note = f"without {', '.join(left_out)}, which are lists of records" if left_out else ""
    return _head(record_set, column, note) | {
        **repeated,
        "subField": [
            _head(record_set, f"{column}/{path}", _note(notes, f"{column}{'[]' if is_list else ''}.{path}"))
            | {"dataType": _TYPES[leaf], "source": _source(record_set, column, path)}
            for path, leaf in inner
        ],
    }


def _inner(kind: pa.StructType, path: str = "") -> Iterator[tuple[str, Any]]:
    """The paths of values in a record, and their types; of a list of values that of one of them."""
    for field in kind:
        if pa.types.is_struct(field.type):
            yield from _inner(field.type, f"{path}{field.name}.")
        elif not pa.types.is_list(field.type):
            yield f"{path}{field.name}", field.type
        elif not pa.types.is_struct(field.type.value_type):
            yield f"{path}{field.name}", field.type.value_type


def _left_out(kind: pa.StructType) -> Sequence[str]:
    return [field.name for field in kind if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type)]


def _head(record_set: str, path: str, note: str) -> dict[str, Any]:
    words = {"description": note} if note else {}
    return {"@type": "cr:Field", "@id": f"{record_set}/{path}", "name": path, **words}


def _note(notes: Mapping[str, FieldNote], path: str) -> str:
    return notes[path].note if path in notes else ""


def _source(record_set: str, column: str, json_path: str = "") -> dict[str, Any]:
    transform = {"transform": {"jsonPath": json_path}} if json_path else {}
    return {"fileSet": {"@id": f"{record_set}-files"}, "extract": {"column": column}, **transform}
