"""Writes a corpus: shards, Parquet with the same rows, the card, and the manifest last.

Samples pass by once and are forgotten; an earlier corpus in the folder stays whole until the new one is complete. All
files are written into a hidden folder beside the final ones and renamed into place, and nothing in them is of the
machine or the day: the same samples give the same bytes.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cards.card import CARD_NAME
from cards.croissant import CROISSANT_NAME
from cards.description import PLOTS, card_edits, form_of, write_description
from cards.parquet import ParquetFolder, features_of
from cards.plots import is_own_plot
from cards.reading import MANIFEST_NAME, CorpusFile, CorpusManifest, CorpusSplit
from cards.samples import ROWS_UNWRITABLE, CorpusSample, LostSample, PublicForm, Row, sample_key, to_json
from cards.shards import ShardWriter, write_shard_index
from cards.statistics.gathering import StatisticsGatherer
from ostensive.errors import OstensiveError
from ostensive.files import flush_to_disk, leftovers, remove, storage_errors, temporary_name
from ostensive.recipe import CorpusSettings
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.run.summary import IN_NO_SPLIT, TAKEN_DOWN, RunFacts

_WORK: Final = "corpus"
"""Of the temporary folder in which a corpus is laid out."""
# The Hub's viewer fetches whole row groups: a hundred pictures, or a few thousand rows of text.
_IMAGES_A_GROUP: Final = 100
_ROWS_A_GROUP: Final = 5_000
_SHARDS, _DATA, _ROWS = "shards", "data", "rows"
# What the program owns in each folder, of whatever split; other files there are somebody else's.
_DIGITS: Final = "[0-9]" * 5
_OWN_FILES: Final = {
    _SHARDS: (f"*-*-[0-9]{_DIGITS}.tar", "shardindex*.json"),
    _DATA: (f"*-{_DIGITS}-of-{_DIGITS}.parquet",),
    _ROWS: (f"*-{_DIGITS}-of-{_DIGITS}.parquet",),
    PLOTS: ("*.svg",),
}


Told = Callable[[LostSample], None]


def write_corpus(
    samples: Iterable[CorpusSample | LostSample],
    folder: Path,
    *,
    kind: RecipeKind,
    settings: CorpusSettings,
    facts: RunFacts,
    tell: Told = lambda _lost: None,
) -> CorpusManifest:
    """Write the corpus of `samples`, in their order, into `folder`; samples without rows are passed over.

    What is lost is counted in the manifest and on the card, and each is told. With no row at all there is a card that
    says so and a manifest without files, and nothing to load. Raises `StorageError` when the disk is full or
    read-only, `OstensiveError` when all rows are lost (an earlier corpus then stays), when the rows are not those that
    the critics accepted or when the header of an earlier card was broken by hand, `ValueError` for two samples of one
    image.
    """
    form = form_of(kind, facts)
    work = folder / temporary_name(_WORK)
    with storage_errors(folder):
        for left in leftovers(folder, _WORK):  # of a run that was killed
            remove(left)
        for name in _OWN_FILES:
            (work / name).mkdir(parents=True)
    try:
        manifest = _write_samples(samples, work, form, settings, facts.splits or (DEFAULT_SPLIT,), tell)
        _check_counts(manifest, facts)
        with storage_errors(folder):
            edits = card_edits(folder / CARD_NAME)
            manifest = write_description(work, manifest, form, settings=settings, facts=facts, edits=edits)
            put_in_place(work, folder, manifest)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return manifest


@dataclass(slots=True)
class _SplitWriter:
    """The files of one split; one without samples has none."""

    split: str
    shards: ShardWriter
    samples: ParquetFolder
    rows: ParquetFolder
    image_count: int = 0
    row_count: int = 0

    @classmethod
    def opened(
        cls, split: str, work: Path, form: PublicForm, settings: CorpusSettings, statistics: StatisticsGatherer
    ) -> "_SplitWriter":
        """Writers that add what they write to `statistics`."""
        max_bytes = settings.max_shard_bytes
        prefix = f"{settings.name}-{split}"
        shards = ShardWriter(work / _SHARDS, prefix, max_bytes=max_bytes, max_samples=settings.max_shard_samples)
        image_features = features_of(form.sample_schema, with_image=True)
        row_features = features_of(form.flat_schema, with_image=False)
        samples = ParquetFolder(
            work / _DATA,
            split,
            image_features,
            max_bytes=max_bytes,
            group_rows=_IMAGES_A_GROUP,
            tell=statistics.add,
        )
        rows = ParquetFolder(work / _ROWS, split, row_features, max_bytes=max_bytes, group_rows=_ROWS_A_GROUP)
        return cls(split, shards, samples, rows)

    def __enter__(self) -> "_SplitWriter":
        return self

    def __exit__(self, *failure: object) -> None:
        for writer in (self.rows, self.samples, self.shards):
            writer.__exit__(*failure)

    def finish(self, work: Path, name: str) -> tuple[CorpusFile, ...]:
        """Closes all files and lists them."""
        shards, data, rows = self.shards.finish(), self.samples.finish(), self.rows.finish()
        if not shards:
            return ()
        index_name = f"shardindex-{self.split}.json"
        index = write_shard_index(work / _SHARDS / index_name, f"{name}-{self.split}", shards)
        split = self.split
        return (
            *(CorpusFile(f"{_SHARDS}/{s.name}", "shard", split, s.items, s.byte_count, s.sha256) for s in shards),
            CorpusFile(f"{_SHARDS}/{index_name}", "shard index", split, len(shards), index.byte_count, index.sha256),
            *(CorpusFile(f"{_DATA}/{f.name}", "samples", split, f.items, f.byte_count, f.sha256) for f in data),
            *(CorpusFile(f"{_ROWS}/{f.name}", "rows", split, f.items, f.byte_count, f.sha256) for f in rows),
        )

    @property
    def counts(self) -> CorpusSplit:
        """What it holds."""
        return CorpusSplit(
            self.split, self.image_count, self.row_count, self.samples.arrow_bytes, self.rows.arrow_bytes
        )


@dataclass(frozen=True, slots=True)
class _PublicSample:
    """A sample in its public form, before anything of it is written."""

    sample: CorpusSample
    key: str
    row: Row
    shown: Sequence[Sequence[ShownText]]
    text: bytes  # of `row`, as the shards have it


class _Writer:
    """Puts samples into the files of their splits."""

    def __init__(self, form: PublicForm, by_split: Mapping[str, _SplitWriter]) -> None:
        self.lost = Counter[str]()
        self.taken_down_rows: list[int] = []  # of each image
        self._form = form
        self._by_split = by_split
        self._keys: set[int] = set()

    def public(self, sample: CorpusSample) -> _PublicSample | LostSample:
        """The public form of a sample, or the sample as lost where it cannot be had."""
        try:
            row = self._form.sample_row(sample)
            shown = [self._form.kind.shown(judged.candidate) for judged in sample.rows]
            return _PublicSample(sample, sample_key(sample.image.image_id), row, shown, to_json(row))
        except Exception as error:  # noqa: BLE001 - the boundary of one image: its rows are lost, the others are not
            detail = f"{type(error).__name__}: {error}"[:200]
            return LostSample(sample.image, len(sample.rows), ROWS_UNWRITABLE, detail)

    def add(self, public: _PublicSample) -> None:
        """Raises `ValueError` for an image that was there before, in whatever split."""
        number = int(public.key, 16)  # a third of the memory of the text
        if number in self._keys:
            raise ValueError(f"two samples of the corpus have the key {public.key}")
        self._keys.add(number)
        sample, row, text = public.sample, public.row, public.text
        files = self._by_split[sample.split]
        shard = files.shards.add(public.key, sample.jpeg, text)
        picture = {"bytes": sample.jpeg, "path": f"{public.key}.jpg"}
        files.samples.add({"image": picture, **row}, len(sample.jpeg) + len(text))
        for flat_row in self._form.flat_rows(row, public.shown, shard):
            files.rows.add(flat_row, len(text) // len(sample.rows))
        files.image_count += 1
        files.row_count += len(sample.rows)


def _write_samples(
    samples: Iterable[CorpusSample | LostSample],
    work: Path,
    form: PublicForm,
    settings: CorpusSettings,
    splits: Iterable[str],
    tell: Told,
) -> CorpusManifest:
    statistics = StatisticsGatherer(form.kind)
    with ExitStack() as stack:
        by_split = {
            split: stack.enter_context(_SplitWriter.opened(split, work, form, settings, statistics)) for split in splits
        }
        writer = _Writer(form, by_split)
        for sample in samples:  # its errors are not those of the corpus' disk
            if isinstance(sample, CorpusSample) and not sample.rows:
                continue
            public = sample if isinstance(sample, LostSample) else writer.public(sample)
            if isinstance(public, LostSample) and public.reason == TAKEN_DOWN:
                writer.taken_down_rows.append(public.row_count)
                continue
            if isinstance(public, LostSample):
                writer.lost[public.reason] += public.row_count
                tell(public)
                continue
            with storage_errors(work.parent):
                writer.add(public)
        with storage_errors(work.parent):
            files = tuple(file for one in by_split.values() for file in one.finish(work, settings.name))
            figures = statistics.result()
    return CorpusManifest(
        name=settings.name,
        recipe_hash=form.recipe_hash,
        images=figures.images,
        rows=figures.rows,
        splits=tuple(one.counts for one in by_split.values()),
        files=files,
        statistics=figures,
        lost=dict(sorted(writer.lost.items())),
        taken_down_images=len(writer.taken_down_rows),
        taken_down_rows=sum(writer.taken_down_rows),
    )


def _check_counts(manifest: CorpusManifest, facts: RunFacts) -> None:
    lost = sum(manifest.lost.values())
    if facts.accepted != manifest.rows + lost + manifest.taken_down_rows:
        raise OstensiveError(
            f"the corpus would hold {manifest.rows} rows, but the critics accepted {facts.accepted}: files of the run"
            " were changed; run the same command again"
        )
    if lost and not manifest.rows:
        reason, count = max(manifest.lost.items(), key=lambda item: item[1])
        doubt = "" if reason == IN_NO_SPLIT else ": are the images still where they were?"
        raise OstensiveError(
            f"none of the {lost} accepted rows can be published, {count} of them with {reason!r}{doubt or ';'}"
            " log.jsonl of the run names each; mend the cause and run the same command again"
        )


def put_in_place(work: Path, folder: Path, manifest: CorpusManifest) -> None:
    """Rename all of `work` into place; files of the manifest that it lacks are in `folder` already.

    While there is no manifest, no reader takes what is there for a corpus. After a kill the same call completes it.
    """
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    flush_to_disk(folder)
    for name in _OWN_FILES:
        (folder / name).mkdir(exist_ok=True)
    listed = {file.path for file in manifest.files}
    if CROISSANT_NAME not in listed:
        (folder / CROISSANT_NAME).unlink(missing_ok=True)
    for path in listed:
        if (work / path).exists():
            (work / path).replace(folder / path)
    for name, patterns in _OWN_FILES.items():
        for pattern in patterns:
            for file in (folder / name).glob(pattern):
                if f"{name}/{file.name}" not in listed and (name != PLOTS or is_own_plot(file)):
                    file.unlink()
        flush_to_disk(folder / name)
    if (work / CARD_NAME).exists():
        (work / CARD_NAME).replace(folder / CARD_NAME)
        flush_to_disk(folder)
    (work / MANIFEST_NAME).replace(folder / MANIFEST_NAME)
    flush_to_disk(folder)
