"""Writes a corpus: shards, Parquet with the same rows, the card, and the manifest last.

Samples pass by once and are forgotten; an earlier corpus in the folder stays whole until the new one is complete. All
files are written into a hidden folder beside the final ones and renamed into place, and nothing in them is of the
machine or the day: the same samples give the same bytes. Writing the Parquet files from the finished shards was given
up: it reads everything a second time.
"""

import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cards.card import Handwritten, read_handwritten, render_card
from cards.files import write_text
from cards.manifest import MANIFEST_NAME, CorpusFile, CorpusManifest
from cards.parquet import ParquetFile, ParquetFolder, features_of
from cards.samples import CorpusSample, PublicForm, sample_key, to_json
from cards.shards import ShardFile, ShardWriter, write_shard_index
from cards.statistics import StatisticsGatherer
from ostensive.errors import OstensiveError
from ostensive.files import TEMPORARY, flush_to_disk, storage_errors
from ostensive.recipe import CorpusSettings
from ostensive.run.summary import RunFacts

CARD_NAME = "README.md"
WORK_NAME = f"{TEMPORARY}corpus"
INDEX_NAME = "shardindex.json"
# The Hub's viewer fetches whole row groups: a hundred pictures, or a few thousand rows of text.
_IMAGES_A_GROUP = 100
_ROWS_A_GROUP = 5_000
# What the program owns in each folder; other files there are somebody else's.
_OWN_FILES = {"shards": ("*-train-*.tar", INDEX_NAME), "data": ("train-*.parquet",), "rows": ("train-*.parquet",)}


def write_corpus(
    samples: Iterable[CorpusSample],
    folder: Path,
    *,
    row_type: Any,  # Any: a parametrised class, Judged[Qar]
    settings: CorpusSettings,
    facts: RunFacts,
) -> CorpusManifest:
    """Write the corpus of `samples`, in their order, into `folder`; samples without rows are passed over.

    With no row at all there is a card that says so and a manifest without files, and nothing to load. Raises
    `StorageError` when the disk is full or read-only, `OstensiveError` when the rows are not those that the last stage
    kept or when the header of an earlier card was broken by hand, `ValueError` for two samples of one image.
    """
    form = PublicForm(row_type, facts.recipe_hash)
    work = folder / WORK_NAME
    with storage_errors(folder):
        if work.exists():  # of a run that was killed
            shutil.rmtree(work)
        for name in _OWN_FILES:
            (work / name).mkdir(parents=True)
    try:
        manifest = _write_samples(samples, work, form, settings)
        _check_counts(manifest, facts)
        with storage_errors(folder):
            earlier = _read_card(folder / CARD_NAME)
            card = render_card(manifest, form, settings=settings, facts=facts, handwritten=earlier)
            write_text(work / CARD_NAME, card)
            write_text(work / MANIFEST_NAME, manifest.to_json())
            _publish(work, folder, manifest)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return manifest


@dataclass(slots=True)
class _Writers:
    form: PublicForm
    shards: ShardWriter
    samples: ParquetFolder
    rows: ParquetFolder
    statistics: StatisticsGatherer

    def add(self, sample: CorpusSample) -> None:
        key = sample_key(sample.image.image_id)
        row = self.form.sample_row(sample)
        text = to_json(row)
        shard = self.shards.add(key, sample.jpeg, text)
        picture = {"bytes": sample.jpeg, "path": f"{key}.jpg"}
        self.samples.add({"image": picture, **row}, len(sample.jpeg) + len(text))
        flat = self.form.flat_rows(row, shard)
        for flat_row in flat:
            self.rows.add(flat_row, len(text) // len(flat))
        self.statistics.add(row)


def _write_samples(
    samples: Iterable[CorpusSample], work: Path, form: PublicForm, settings: CorpusSettings
) -> CorpusManifest:
    max_bytes = settings.max_shard_bytes
    image_features = features_of(form.sample_schema, with_image=True)
    row_features = features_of(form.flat_schema, with_image=False)
    with ExitStack() as stack:
        writers = _Writers(
            form,
            stack.enter_context(
                ShardWriter(work / "shards", settings.name, max_bytes=max_bytes, max_samples=settings.max_shard_samples)
            ),
            stack.enter_context(
                ParquetFolder(work / "data", image_features, max_bytes=max_bytes, group_rows=_IMAGES_A_GROUP)
            ),
            stack.enter_context(
                ParquetFolder(work / "rows", row_features, max_bytes=max_bytes, group_rows=_ROWS_A_GROUP)
            ),
            StatisticsGatherer(),
        )
        for sample in samples:  # its errors are not those of the corpus' disk
            if sample.rows:
                with storage_errors(work.parent):
                    writers.add(sample)
        with storage_errors(work.parent):
            shards, data, rows = writers.shards.finish(), writers.samples.finish(), writers.rows.finish()
            files = _listed(work, settings.name, shards, data, rows)
    figures = writers.statistics.result()
    return CorpusManifest(
        name=settings.name,
        recipe_hash=form.recipe_hash,
        images=figures.images,
        rows=figures.rows,
        files=files,
        statistics=figures,
        arrow_bytes=sum(file.arrow_bytes for file in data),
        rows_arrow_bytes=sum(file.arrow_bytes for file in rows),
    )


def _listed(
    work: Path, name: str, shards: Sequence[ShardFile], data: Sequence[ParquetFile], rows: Sequence[ParquetFile]
) -> tuple[CorpusFile, ...]:
    if not shards:
        return ()
    index = write_shard_index(work / "shards" / INDEX_NAME, name, shards)
    return (
        *(CorpusFile(f"shards/{s.name}", "shard", s.samples, s.byte_count, s.sha256) for s in shards),
        CorpusFile(f"shards/{INDEX_NAME}", "shard index", len(shards), index.byte_count, index.sha256),
        *(CorpusFile(f"data/{f.name}", "samples", f.rows, f.byte_count, f.sha256) for f in data),
        *(CorpusFile(f"rows/{f.name}", "rows", f.rows, f.byte_count, f.sha256) for f in rows),
    )


def _check_counts(manifest: CorpusManifest, facts: RunFacts) -> None:
    if facts.stages and facts.stages[-1].kept != manifest.rows:
        raise OstensiveError(
            f"the corpus would hold {manifest.rows} rows, but the stage {facts.stages[-1].name} kept "
            f"{facts.stages[-1].kept}: its files were changed; run the same command again"
        )


def _read_card(card: Path) -> Handwritten:
    if not card.exists():
        return Handwritten()
    try:
        text = card.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise OstensiveError(
            f"{card}: not UTF-8 at byte {error.start}; save it as UTF-8 or remove it, and run the same command again"
        ) from error
    return read_handwritten(text, str(card))


def _publish(work: Path, folder: Path, manifest: CorpusManifest) -> None:
    """Rename everything into place. While there is no manifest, no reader takes what is there for a corpus."""
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    flush_to_disk(folder)
    for name in _OWN_FILES:
        (folder / name).mkdir(exist_ok=True)
    listed = {file.path for file in manifest.files}
    for path in listed:
        (work / path).replace(folder / path)
    for name, patterns in _OWN_FILES.items():
        for pattern in patterns:
            for file in (folder / name).glob(pattern):
                if f"{name}/{file.name}" not in listed:
                    file.unlink()
        flush_to_disk(folder / name)
    for name in (CARD_NAME, MANIFEST_NAME):
        (work / name).replace(folder / name)
        flush_to_disk(folder)
