"""`croissant.json` is read by `mlcroissant`: it is valid for every recipe, and gives the rows that the Parquet has."""

import dataclasses
import hashlib
import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from caption_kind import KIND as CAPTIONS
from drawn_corpus import sample_of, written_corpus
from test_cards_card import facts_of, manifest_of, sample

from builders.table import MODULES, recipe_kind
from cards.croissant import CROISSANT_NAME, render_croissant
from cards.reading import Corpus, read_manifest
from cards.samples import PublicForm
from cards.writing import write_corpus
from ostensive.licenses import license_id, license_ids, license_url
from ostensive.recipe import CorpusSettings
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Annotation, Verbalization

ONLY_WARNING = "datePublished"
EVIL = '<b>x</b> "q" \\ \u2028 \u202e {{ 7*7 }} \x00'


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return written_corpus(tmp_path_factory.mktemp("drawn"), 5, splits=("train", "test"))


def opened(path: Path) -> Any:
    import mlcroissant

    return mlcroissant.Dataset(str(path))


def plain(value: Any, path: str) -> Any:
    """A value of `mlcroissant` as Parquet has it: text decoded, records by the last part of their names."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, list):
        return [plain(one, path) for one in value]
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, one in value.items():
            *sections, last = name.removeprefix(f"{path}/").split(".")
            inside = found
            for section in sections:
                inside = inside.setdefault(section, {})
            inside[last] = plain(one, f"{path}/{last}")
        return found
    return value


def records_of(path: Path, record_set: str, count: int) -> list[dict[str, Any]]:
    return [
        {name.split("/")[1]: plain(value, name) for name, value in record.items()}
        for record in islice(opened(path).records(record_set), count)
    ]


def test_it_is_valid_and_reads_what_the_parquet_has(corpus: Corpus) -> None:
    path = corpus.path / CROISSANT_NAME
    data = opened(path)
    assert not data.metadata.ctx.issues.errors
    warnings = [str(one) for one in data.metadata.ctx.issues.warnings]
    assert all(ONLY_WARNING in one for one in warnings), warnings
    for record_set, folder in (("rows", "rows"), ("default", "data")):
        files = sorted((corpus.path / folder).glob("*.parquet"))
        expected = [row for file in files for row in pq.read_table(file).to_pylist()]
        got = records_of(path, record_set, 100)
        assert len(got) == len(expected) > 0
        for one, row in zip(got, expected, strict=True):
            picture = one.pop("image", None)
            if picture is not None:
                assert picture.size == (row["width"], row["height"])
                for inner in row["rows"]:
                    del inner["judgements"]  # a list of records in a list of records
            row.pop("image", None)
            assert one == row


def test_files_are_there_with_their_hashes(corpus: Corpus) -> None:
    values = json.loads((corpus.path / CROISSANT_NAME).read_text("utf-8"))
    files = [one for one in values["distribution"] if one["@type"] == "cr:FileObject"]
    for one in files:
        data = (corpus.path / one["contentUrl"]).read_bytes()
        assert (one["sha256"], one["contentSize"]) == (hashlib.sha256(data).hexdigest(), f"{len(data)} B")
    listed = {file.path for file in corpus.manifest.files}
    assert listed - {one["contentUrl"] for one in files} == {CROISSANT_NAME}
    for one in values["distribution"]:
        if one["@type"] == "cr:FileSet":
            found = [path for pattern in one["includes"] for path in corpus.path.glob(pattern)]
            assert len(found) == len(set(found)) > 1
    [listing] = corpus.manifest.files_of("croissant")
    assert listing.sha256 == hashlib.sha256((corpus.path / CROISSANT_NAME).read_bytes()).hexdigest()


def test_it_is_the_same_whenever_it_is_written(corpus: Corpus, tmp_path: Path) -> None:
    again = written_corpus(tmp_path / "again", 5, splits=("train", "test"))
    text = (corpus.path / CROISSANT_NAME).read_bytes()
    assert (again.path / CROISSANT_NAME).read_bytes() == text
    assert not re.search(rb"\b20\d\d-\d\d|/(?:home|tmp|root)/", text)
    other = written_corpus(tmp_path / "other", 4, splits=("train", "test"))
    version = [json.loads((one.path / CROISSANT_NAME).read_text("utf-8"))["version"] for one in (corpus, other)]
    assert version[0] != version[1], "another corpus is another version"


def test_a_corpus_without_rows_has_none_and_an_earlier_one_goes(tmp_path: Path) -> None:
    from builders.localized.recipe import KIND

    folder = tmp_path / "corpus"
    folder.mkdir()
    settings = CorpusSettings(name="d", license="cc0-1.0", source="drawn", intended_use="to test")
    for samples in ([sample_of(0, 2)], []):
        accepted = sum(len(one.rows) for one in samples)
        facts = dataclasses.replace(facts_of(), accepted=accepted, records={"verbalized": Verbalization.__name__})
        write_corpus(samples, folder, kind=KIND, settings=settings, facts=facts)
        assert (folder / CROISSANT_NAME).exists() == bool(samples)
        manifest = read_manifest(folder)
        assert manifest is not None
        assert len(manifest.files_of("croissant")) == len(samples)


def rendered(kind: RecipeKind, **settings: Any) -> dict[str, Any]:
    form = PublicForm(kind, "r", record_names=(Verbalization.__name__, Annotation.__name__), has_splits=True)
    given = {"name": "c", "license": "mit", "source": EVIL, "intended_use": EVIL, "contact": EVIL, **settings}
    text = render_croissant(
        manifest_of(sample(0), sample(1)), form, settings=CorpusSettings.model_validate(given), facts=facts_of()
    )
    values: dict[str, Any] = json.loads(text)
    return values


@pytest.mark.parametrize("name", [*MODULES, "captions"])
def test_it_is_valid_for_every_recipe(name: str, tmp_path: Path) -> None:
    """With splits and what came in beside images, whose turns are a list of records in a list of records."""
    kind = CAPTIONS if name == "captions" else recipe_kind(name)
    values = rendered(kind)
    (tmp_path / CROISSANT_NAME).write_text(json.dumps(values), "utf-8")
    data = opened(tmp_path / CROISSANT_NAME)
    assert not data.metadata.ctx.issues.errors
    default, rows = data.metadata.record_sets
    form = PublicForm(kind, "r", record_names=(Verbalization.__name__, Annotation.__name__), has_splits=True)
    assert [field.name for field in default.fields] == ["image", *form.sample_schema.names]
    assert [field.name for field in rows.fields] == form.flat_schema.names
    by_name = {field["name"]: field for field in values["recordSet"][0]["field"]}
    assert by_name["annotations"]["description"] == "without turns, extras, which are lists of records"
    assert "annotations/answers" in {one["name"] for one in by_name["annotations"]["subField"]}


def test_what_is_said_for_responsible_use() -> None:
    kind = recipe_kind("localized")
    values = rendered(kind)
    assert values["rai:dataUseCases"] == [EVIL]
    assert values["rai:dataLimitations"] == list(kind.limits)
    assert EVIL in values["rai:dataCollection"]
    assert kind.method in values["rai:dataCollection"]
    assert "faces are not blurred" in values["rai:personalSensitiveInformation"][0]
    assert f"write to {EVIL}" in values["rai:dataReleaseMaintenancePlan"]
    assert "write to whoever publishes" in rendered(kind, contact=None)["rai:dataReleaseMaintenancePlan"]
    assert values["citeAs"] == kind.citation
    assert "citeAs" not in rendered(dataclasses.replace(kind, citation=""))


def test_the_licence_is_an_address_where_there_is_one() -> None:
    kind = recipe_kind("localized")
    other = {"license": "other", "license_name": "ours-1.0"}
    assert rendered(kind)["license"] == "https://spdx.org/licenses/MIT.html"
    assert rendered(kind, license="unknown")["license"] == "unknown"
    assert rendered(kind, **other)["license"] == "ours-1.0"
    assert rendered(kind, **other, license_link="LICENSE")["license"] == "ours-1.0"
    assert rendered(kind, **other, license_link="https://e.org/t")["license"] == "https://e.org/t"


def test_addresses_of_licences_name_the_licence() -> None:
    """The address of a licence reads as that licence to whoever writes it into a recipe."""
    known = [one for one in license_ids() if license_url(one) is not None]
    assert len(known) > 50
    for one in known:
        url = license_url(one)
        assert url is not None
        assert url.startswith("https://")
        assert one.startswith(("gpl", "lgpl", "agpl")) or license_id(url) == one, (one, url)
    assert license_url("cc-by-nc-sa-3.0") == "https://creativecommons.org/licenses/by-nc-sa/3.0/"
    assert license_url("other") is license_url("llama3") is license_url("cc") is None
