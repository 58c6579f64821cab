"""The dataset card: `README.md` of a corpus, a pure function of its manifest, the run's facts and the settings.

The header is made by `huggingface_hub` and `datasets`, the page by a Jinja template beside this module. Text that a
model, a server or a user wrote is escaped or fenced (`cards.markdown`). People edit cards: what they write between the
markers, keys they add to the header and tags are kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cards.card_text import cost, funnel, limits, losses, models, statistics, thresholds
from cards.fields import describe
from cards.manifest import CorpusManifest
from cards.markdown import fenced_json, fenced_yaml, inline, table
from cards.parquet import features_of
from cards.samples import PublicForm
from ostensive.errors import OstensiveError
from ostensive.recipe import CorpusSettings
from ostensive.run.summary import RunFacts

_TEMPLATE = Path(__file__).parent / "templates" / "corpus.md.jinja"
_YOURS = re.compile(r"^<!-- yours -->\n(.*?)^<!-- /yours -->", re.DOTALL | re.MULTILINE)
_YOURS_AT_FIRST = "(Nothing yet.)"
_OWN_KEYS = frozenset(
    {
        "language", "license", "pretty_name", "tags", "annotations_creators", "language_creators", "size_categories",
        "source_datasets", "task_categories", "configs", "dataset_info",
    }
)  # fmt: skip
_TAGS = ("ostensive", "rationales", "regions", "synthetic", "vision", "webdataset")


@dataclass(frozen=True, slots=True)
class Handwritten:
    """What a person wrote into an earlier card."""

    yours: str = _YOURS_AT_FIRST
    header: Mapping[str, Any] | None = None  # Any: YAML values


def read_handwritten(text: str, origin: str) -> Handwritten:
    """What a person wrote into the card `text`; raises `OstensiveError` when its header is not YAML."""
    from huggingface_hub import DatasetCard

    try:
        # Any: huggingface_hub does not type this method.
        data: Any = DatasetCard(text, ignore_metadata_errors=False).data
        header = data.to_dict()
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise OstensiveError(
            f"{origin}: the header between the --- lines is not valid YAML: {str(error).splitlines()[0]}; "
            "mend it or remove the file, and run the same command again"
        ) from error
    found = _YOURS.search(text.replace("\r\n", "\n"))
    return Handwritten(found.group(1).rstrip("\n") if found else _YOURS_AT_FIRST, header)


def size_category(count: int) -> str:
    """The Hub's name for a number of rows: `n<1K`, `1K<n<10K`, ... `n>1T`."""
    bounds = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    for place, bound in enumerate(bounds):
        if count < 1000 * 10**place:
            return f"n<{bound}" if place == 0 else f"{bounds[place - 1]}<n<{bound}"
    return "n>1T"


def render_card(
    manifest: CorpusManifest, form: PublicForm, *, settings: CorpusSettings, facts: RunFacts, handwritten: Handwritten
) -> str:
    """The text of the card."""
    from huggingface_hub import DatasetCard

    card = DatasetCard.from_template(
        _header(manifest, form, settings, handwritten.header or {}),
        template_path=str(_TEMPLATE),
        title=inline(settings.name),
        name=settings.name,  # letters, digits, "-", "_" and "." only
        summary=_summary(manifest, form),
        yours=handwritten.yours,
        recipe_sentence=_recipe_sentence(facts),
        models=models(facts),
        funnel=funnel(facts.stages),
        losses=losses(facts.stages),
        thresholds=thresholds(facts),
        cost=cost(facts.stages),
        statistics=statistics(manifest.statistics),
        examples=[fenced_json(example) for example in manifest.statistics.examples],
        loadable=manifest.rows > 0,
        shard_pattern=_shard_pattern(manifest),
        sample_fields=_field_table(form.sample_schema, set(), image=True),
        flat_fields=_field_table(form.flat_schema, {field.name for field in form.row_fields}, image=False),
        limits=limits(),
        licence=f"Licence: {inline(settings.license)}. Source of the images: {inline(settings.source)}",
        recipe_hash=inline(facts.recipe_hash),
        recipe=fenced_yaml(facts.recipe),
    )
    return re.sub(r"\n{3,}", "\n\n", card.content.rstrip()) + "\n"


def _header(
    manifest: CorpusManifest, form: PublicForm, settings: CorpusSettings, earlier: Mapping[str, Any]
) -> Any:  # Any: huggingface_hub's DatasetCardData, imported here only
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    tags = earlier.get("tags") or []
    data = DatasetCardData(
        language=settings.language,
        license=settings.license,
        pretty_name=settings.name,
        tags=[*_TAGS, *(tag for tag in tags if isinstance(tag, str) and tag not in _TAGS)],
        annotations_creators="machine-generated",
        language_creators="machine-generated",
        size_categories=size_category(manifest.images),
        source_datasets=["original"],
        task_categories=["visual-question-answering", "image-text-to-text"],
    )
    if manifest.rows:
        MetadataConfigs(
            {
                "default": {"data_files": [{"split": "train", "path": "data/train-*.parquet"}], "default": True},
                "rows": {"data_files": [{"split": "train", "path": "rows/train-*.parquet"}]},
            }
        ).to_dataset_card_data(data)
        DatasetInfosDict(
            {
                "default": _info(form.sample_schema, manifest, "samples"),
                "rows": _info(form.flat_schema, manifest, "rows"),
            }
        ).to_dataset_card_data(data)
    for key, value in earlier.items():
        if key not in _OWN_KEYS:
            data[key] = value
    return data


def _info(schema: Any, manifest: CorpusManifest, kind: str) -> Any:  # Any: pyarrow and datasets ship no types
    import datasets

    is_samples = kind == "samples"
    arrow_bytes = manifest.arrow_bytes if is_samples else manifest.rows_arrow_bytes
    count = manifest.images if is_samples else manifest.rows
    return datasets.DatasetInfo(
        features=features_of(schema, with_image=is_samples),
        splits=[{"name": "train", "num_bytes": arrow_bytes, "num_examples": count}],
        download_size=manifest.bytes_of(kind),
        dataset_size=arrow_bytes,
    )


def _summary(manifest: CorpusManifest, form: PublicForm) -> str:
    if not manifest.rows:
        return "This corpus is empty: no row was accepted. The tables below say where they were lost."
    purpose = (form.candidate.__doc__ or "").partition("\n")[0].replace("`", "")
    return f"{manifest.rows:,} rows about {manifest.images:,} images. What a row is: {inline(purpose)}"


def _recipe_sentence(facts: RunFacts) -> str:
    recipe = facts.recipe
    return (
        f"Made by Ostensive {inline(facts.ostensive_version)} with the recipe {inline(str(recipe.get('recipe')))}, "
        f"profile {inline(str(recipe.get('profile')))}, seed {inline(str(recipe.get('seed')))}."
    )


def _shard_pattern(manifest: CorpusManifest) -> str:
    shards = [file.path for file in manifest.files if file.kind == "shard"]
    if len(shards) < 2:
        return shards[0] if shards else ""
    return f"shards/{manifest.name}-train-{{{0:06d}..{len(shards) - 1:06d}}}.tar"


def _field_table(schema: Any, without: set[str], *, image: bool) -> str:  # Any: pyarrow ships no types
    fields = [field for field in schema if field.name not in without]
    first = [("`image`", "picture", "the original JPEG bytes less their metadata, upright")] if image else []
    notes = [(f"`{note.path}`", note.type_name, note.note) for note in describe(fields)]
    return table(("field", "type", "what"), [*first, *notes])
