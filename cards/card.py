"""The dataset card: `README.md` of a corpus, a pure function of its manifest, the run's facts and the settings.

The header is made by `huggingface_hub` and `datasets`, the page by a Jinja template beside this module. Text that a
model, a server or a user wrote is escaped or fenced (`cards.markdown`); what the recipe's kind says is Markdown. People
edit cards: what they write between the markers, keys they add to the header and tags are kept.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: YAML values; datasets, huggingface_hub and pyarrow type little

import yaml

from cards.card_text import cost, funnel, limits, losses, models, plots, statistics, taken_down, thresholds, withheld
from cards.figure_text import agreement, frequent
from cards.markdown import fenced, fenced_json, fenced_yaml, inline, table
from cards.parquet import features_of
from cards.reading import CorpusFile, CorpusManifest
from cards.samples import IMAGE_NOTE, PublicForm
from cards.split_text import kept_out, split_table
from ostensive.errors import OstensiveError, SettingsError
from ostensive.languages import language_code
from ostensive.recipe import CorpusSettings
from ostensive.recipe_kind import RecipeKind
from ostensive.run.summary import RunFacts
from ostensive.yaml_text import parse_yaml

CARD_NAME: Final = "README.md"
_TEMPLATE: Final = Path(__file__).parent / "templates" / "corpus.md.jinja"
_YOURS: Final = re.compile(r"^<!-- yours -->\n(.*?)^<!-- /yours -->", re.DOTALL | re.MULTILINE)
_HEADER: Final = re.compile(r"---\n(.*?\n)---(?:\n|\Z)", re.DOTALL)
_YOURS_AT_FIRST: Final = "(Nothing yet.)"
_OWN_KEYS: Final = frozenset(
    {
        "language", "language_bcp47", "license", "pretty_name", "tags", "annotations_creators", "language_creators",
        "size_categories", "source_datasets", "task_categories", "configs", "dataset_info",
    }
)  # fmt: skip
_TAGS: Final = frozenset({"ostensive", "synthetic", "vision", "webdataset"})


@dataclass(frozen=True, slots=True)
class CardEdits:
    """What a person wrote into an earlier card."""

    yours: str = _YOURS_AT_FIRST
    header: Mapping[str, Any] | None = None


def read_edits(text: str, origin: str) -> CardEdits:
    """What a person wrote into the card `text`.

    Raises `OstensiveError` when its header is not YAML, or a key stands twice in it.
    """
    from huggingface_hub import DatasetCard

    text = text.removeprefix("\ufeff")  # before it the header would be none
    try:
        data: Any = DatasetCard(text, ignore_metadata_errors=False).data
        header = data.to_dict()
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise OstensiveError(
            f"{origin}: the header between the --- lines is not valid YAML: {str(error).splitlines()[0]}; "
            "mend it or remove the file, and run the same command again"
        ) from error
    text = text.replace("\r\n", "\n")
    if lines := _HEADER.match(text):
        _refuse_repeated(lines[1], origin)
    found = _YOURS.search(text)
    return CardEdits(found.group(1).rstrip("\n") if found else _YOURS_AT_FIRST, header)


def with_edits(text: str, edits: CardEdits) -> str:
    """The card `text`, one of ours, with `edits` in place of what people wrote into it.

    Keys of the header that are the program's own stay as they are; tags are those of `edits`.
    """
    from huggingface_hub import DatasetCard

    card = DatasetCard(text, ignore_metadata_errors=False)
    header = people_keys(edits.header)
    data: Any = card.data
    for key in people_keys(data.to_dict()):
        if key not in header:
            card.data.pop(key)
    for key, value in header.items():
        card.data[key] = value
    if edits.header and "tags" in edits.header:
        card.data["tags"] = edits.header["tags"]
    return _YOURS.sub(lambda _: f"<!-- yours -->\n{edits.yours}\n<!-- /yours -->", card.content, count=1)


def has_markers(text: str) -> bool:
    """Whether there is a place in the card for what people write."""
    return _YOURS.search(text) is not None


def without_edits(text: str) -> str:
    """What the program wrote of a card, to tell whether somebody changed that too."""
    body = text.replace("\r\n", "\n").removeprefix("\ufeff")
    return _YOURS.sub("", _HEADER.sub("", body, count=1), count=1).strip()


def people_keys(header: Mapping[str, Any] | None) -> dict[str, Any]:
    """The keys of a header that people added, in order."""
    return {key: value for key, value in (header or {}).items() if key not in _OWN_KEYS}


def own_tags(kind: RecipeKind) -> list[str]:
    """The tags that every card of a recipe has, by name."""
    return sorted(_TAGS | set(kind.tags))


def _refuse_repeated(header: str, origin: str) -> None:
    """Raises `OstensiveError` for a key that stands twice: the Hub takes no such card."""
    try:
        parse_yaml(f"---\n{header}", origin)
    except SettingsError as error:
        raise OstensiveError(f"{error}; mend it or remove the file, and run the same command again") from error


def size_category(count: int) -> str:
    """The Hub's name for a number of rows: `n<1K`, `1K<n<10K`, ... `n>1T`."""
    bounds = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    for place, bound in enumerate(bounds):
        if count < 1000 * 10**place:
            return f"n<{bound}" if place == 0 else f"{bounds[place - 1]}<n<{bound}"
    return "n>1T"


def render_card(
    manifest: CorpusManifest, form: PublicForm, *, settings: CorpusSettings, facts: RunFacts, edits: CardEdits
) -> str:
    """The text of the card."""
    from huggingface_hub import DatasetCard

    kind = form.kind
    own_row_fields = {field.name for field in form.row_fields}
    card = DatasetCard.from_template(
        _header(manifest, form, settings, edits.header or {}),
        template_path=str(_TEMPLATE),
        title=inline(settings.name),
        name=settings.name,  # letters, digits, "-", "_" and "." only
        noun=kind.noun,
        summary=_summary(manifest, form),
        intended_use=inline(settings.intended_use, with_links=True),
        contact=inline(settings.contact, with_links=True) if settings.contact else "",
        taken_down=taken_down(manifest),
        withheld=withheld(manifest, form.flat_schema.names),
        yours=edits.yours,
        recipe_sentence=_recipe_sentence(facts),
        method=kind.method,
        models=models(facts),
        funnel=funnel(facts),
        losses=losses(facts.stages),
        kept_out=kept_out(facts),
        thresholds=thresholds(facts),
        agreement=agreement(facts.agreements),
        cost=cost(facts.stages),
        statistics=statistics(manifest.statistics, has_regions=kind.has_regions),
        frequent=frequent(manifest.statistics),
        plots=plots(manifest.statistics),
        splits=split_table(manifest.splits, facts.split_figures) if facts.splits else "",
        examples=[fenced_json(example) for example in manifest.statistics.examples],
        loadable=[split.name for split in manifest.filled_splits],
        shard_pattern=_shard_pattern(manifest),
        sharded=[split.name for split in manifest.filled_splits if _shards(manifest, split.name)],
        sample_fields=_field_table(form, list(form.sample_schema), ("`image`", "picture", IMAGE_NOTE)),
        flat_fields=_field_table(form, [field for field in form.flat_schema if field.name not in own_row_fields]),
        limits=limits(kind.limits, facts, manifest.statistics),
        licence=f"Licence: {_licence(settings)}. Source of the images: {inline(settings.source, with_links=True)}",
        citation=fenced(kind.citation, "bibtex") if kind.citation else "",
        recipe_hash=inline(facts.recipe_hash),
        recipe=fenced_yaml(facts.recipe),
    )
    return re.sub(r"\n{3,}", "\n\n", card.content.rstrip()) + "\n"


def _header(manifest: CorpusManifest, form: PublicForm, settings: CorpusSettings, earlier: Mapping[str, Any]) -> Any:
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    own = own_tags(form.kind)
    data = DatasetCardData(
        language=_one_or_all([language_code(tag) for tag in settings.languages]),
        license=settings.license,
        pretty_name=settings.name,
        tags=[*own, *(tag for tag in earlier.get("tags") or [] if isinstance(tag, str) and tag not in own)],
        annotations_creators="machine-generated",
        language_creators="machine-generated",
        size_categories=size_category(manifest.images),
        source_datasets=["original"],
        task_categories=list(form.kind.task_categories),
    )
    tags = [tag for tag in settings.languages if tag != language_code(tag)]
    more = {
        "language_bcp47": tags or None, "license_name": settings.license_name, "license_link": settings.license_link
    }  # fmt: skip
    for key, value in more.items():
        if value is not None:
            data[key] = value
    if manifest.rows:
        MetadataConfigs(
            {"default": {**_data_files(manifest, "data"), "default": True}, "rows": _data_files(manifest, "rows")}
        ).to_dataset_card_data(data)
        DatasetInfosDict(
            {"default": _info(form, manifest, with_image=True), "rows": _info(form, manifest, with_image=False)}
        ).to_dataset_card_data(data)
    for key, value in earlier.items():
        if key not in _OWN_KEYS and more.get(key) is None:
            data[key] = value
    return data


def _one_or_all(codes: Sequence[str]) -> str | list[str]:
    distinct = list(dict.fromkeys(codes))
    return distinct[0] if len(distinct) == 1 else distinct


def _licence(settings: CorpusSettings) -> str:
    more = [
        inline(text, with_links=True) for text in (settings.license_name, settings.license_link) if text is not None
    ]
    return inline(settings.license) + (f" ({', '.join(more)})" if more else "")


def _data_files(manifest: CorpusManifest, folder: str) -> dict[str, Any]:
    return {
        "data_files": [
            {"split": split.name, "path": f"{folder}/{split.name}-*.parquet"} for split in manifest.filled_splits
        ]
    }


def _info(form: PublicForm, manifest: CorpusManifest, *, with_image: bool) -> Any:
    """What `datasets` calls a DatasetInfo: of the samples, which have the image, or of the rows."""
    import datasets

    splits: list[dict[str, Any]] = [
        {
            "name": split.name,
            "num_bytes": split.arrow_bytes if with_image else split.rows_arrow_bytes,
            "num_examples": split.images if with_image else split.rows,
        }
        for split in manifest.filled_splits
    ]
    return datasets.DatasetInfo(
        features=features_of(form.sample_schema if with_image else form.flat_schema, with_image=with_image),
        splits=splits,
        download_size=sum(file.byte_count for file in manifest.files_of("samples" if with_image else "rows")),
        dataset_size=sum(split["num_bytes"] for split in splits),
    )


def _summary(manifest: CorpusManifest, form: PublicForm) -> str:
    if not manifest.rows:
        return "This corpus is empty: no row was accepted. The tables below say where they were lost."
    return f"{manifest.rows:,} rows about {manifest.images:,} images: {form.kind.title}. One row is {form.kind.one}."


def _recipe_sentence(facts: RunFacts) -> str:
    recipe = facts.recipe
    return (
        f"Made by Ostensive {inline(facts.ostensive_version)} with the recipe {inline(str(recipe.get('recipe')))}, "
        f"profile {inline(str(recipe.get('profile')))}, seed {inline(str(recipe.get('seed')))}."
    )


def _shard_pattern(manifest: CorpusManifest) -> str:
    """The shards of the first split that has any, as `webdataset` expands them."""
    shards = next((found for split in manifest.filled_splits if (found := _shards(manifest, split.name))), [])
    if len(shards) < 2:
        return shards[0].path if shards else ""
    return f"shards/{manifest.name}-{shards[0].split}-{{{0:06d}..{len(shards) - 1:06d}}}.tar"


def _shards(manifest: CorpusManifest, split: str) -> list[CorpusFile]:
    return [file for file in manifest.files_of("shard") if file.split == split]


def _field_table(form: PublicForm, fields: list[Any], *first: tuple[str, str, str]) -> str:
    notes = [(f"`{note.path}`", note.type_name, note.note) for note in form.field_notes(fields)]
    return table(("field", "type", "what"), [*first, *notes])
