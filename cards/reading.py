"""A finished corpus: its manifest, which is written last, and the ways to read what the manifest lists.

A folder without a manifest holds no finished corpus. The card is not listed: people write in it. Nothing in a manifest
is of the machine or the day, so that equal corpora have equal manifests.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal  # Any: JSON values, a row's fields of different types

from cards.statistics.figures import CorpusStatistics, statistics_from_json
from ostensive.errors import SettingsError
from ostensive.json_text import parse_json
from ostensive.run.folder import RunFolder
from ostensive.run.summary import StageSummary, publishing_summary
from ostensive.user_paths import user_path

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

MANIFEST_NAME: Final = "manifest.json"
_FORM: Final = {"kind": "ostensive-corpus", "version": 3}


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file of the corpus: `path` is relative to its folder, with `/`; `items` are samples, or rows in `rows/`.

    What is of all splits, such as a plot, has an empty `split`.
    """

    path: str
    kind: Literal["shard", "shard index", "samples", "rows", "plot", "croissant"]
    split: str
    items: int
    byte_count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CorpusSplit:
    """A split; one without rows has no files. Bytes are those that samples and rows take in memory, for the card."""

    name: str
    images: int
    rows: int
    arrow_bytes: int
    rows_arrow_bytes: int


@dataclass(frozen=True, slots=True)
class CorpusManifest:
    """A corpus that was written. With no rows it has no files either, and there is nothing to load."""

    name: str
    recipe_hash: str
    images: int
    rows: int
    splits: tuple[CorpusSplit, ...]
    files: tuple[CorpusFile, ...]
    statistics: CorpusStatistics
    lost: Mapping[str, int] = field(default_factory=dict)
    """Accepted rows that are not in it, by reason: they could not be written, or their image is in no split."""
    taken_down_images: int = 0
    """Images of accepted rows that somebody asked to be removed, and their rows."""
    taken_down_rows: int = 0
    withheld: Mapping[str, int] = field(default_factory=dict)
    """Images without their picture, by the licence that forbids to pass it on; and their rows, which are here."""
    withheld_rows: int = 0

    @property
    def publishing(self) -> tuple[StageSummary, ...]:
        """What became of the accepted rows where not all of them are here; nothing where they are."""
        summary = publishing_summary(self.rows, self.lost, self.taken_down_rows)
        return () if summary.rows == summary.kept else (summary,)

    @property
    def filled_splits(self) -> tuple[CorpusSplit, ...]:
        """The splits that there is something to load of."""
        return tuple(split for split in self.splits if split.rows)

    def files_of(self, kind: str) -> tuple[CorpusFile, ...]:
        """The files of a kind, in the order of splits."""
        return tuple(file for file in self.files if file.kind == kind)

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        values: dict[str, Any] = dataclasses.asdict(self)
        values["statistics"].pop("examples")
        return json.dumps({**_FORM, **values}, indent=2, ensure_ascii=True) + "\n"


def read_manifest(folder: Path) -> CorpusManifest | None:
    """The manifest of the corpus in `folder`; None where there is none, or one that another version wrote."""
    try:
        values = parse_json((folder / MANIFEST_NAME).read_text("utf-8"), strict=False)
        if {key: values.pop(key) for key in _FORM} != _FORM:
            return None
        values["splits"] = tuple(CorpusSplit(**split) for split in values["splits"])
        values["files"] = tuple(CorpusFile(**file) for file in values["files"])
        return CorpusManifest(**{**values, "statistics": statistics_from_json(values["statistics"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def listed_paths(manifest: bytes) -> tuple[str, ...] | None:
    """The files that a manifest of any version lists; None where it is no manifest of a corpus."""
    try:
        values = parse_json(manifest, strict=False)
        return tuple(str(file["path"]) for file in values["files"]) if values["kind"] == _FORM["kind"] else None
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class Corpus:
    """The corpus of a run. `stages` says what became of everything, from the images to the shards."""

    run: RunFolder
    stages: tuple[StageSummary, ...]
    manifest: CorpusManifest

    @property
    def path(self) -> Path:
        """The folder that is published: shards, Parquet and the card."""
        return self.run.corpus_path

    @property
    def row_count(self) -> int:
        """The rows of all splits."""
        return self.manifest.rows

    @property
    def image_count(self) -> int:
        """The images of all splits: those with a row."""
        return self.manifest.images

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits that have rows, in order."""
        return tuple(split.name for split in self.manifest.filled_splits)

    def rows(self, split: str | None = None) -> Iterator[Mapping[str, Any]]:
        """The rows one by one, of one split or of all in order, as the flat Parquet files have them.

        Memory does not grow with the corpus. Raises `SettingsError` for a split that has no rows.
        """
        import pyarrow.parquet as pq

        self._check(split)
        for file in self.manifest.files_of("rows"):
            if split in (None, file.split):
                for batch in pq.ParquetFile(self.path / file.path).iter_batches(1024):
                    yield from batch.to_pylist()

    def to_datasets(self, split: str | None = None) -> "Dataset | DatasetDict":
        """The corpus as `datasets` has it, with one row an image, its picture decoded on access.

        One split, or the only one, is a `Dataset`; several are a `DatasetDict`. Raises `SettingsError` for a split that
        has no rows, and for a corpus without any.
        """
        import datasets

        if not self.splits:
            raise SettingsError(f"{self.path} holds no row, so there is nothing to load; its card says why")
        self._check(split)
        chosen = split or (self.splits[0] if len(self.splits) == 1 else None)
        return datasets.load_dataset(str(self.path), split=chosen)

    def _check(self, split: str | None) -> None:
        if split is not None and split not in self.splits:
            raise SettingsError(
                f"{self.path} has no rows of a split called {split!r}; there are {', '.join(self.splits) or 'none'}"
            )


def read_corpus(run: RunFolder) -> Corpus:
    """The corpus of a finished run; raises `SettingsError` when there is none."""
    manifest = read_manifest(run.corpus_path)
    if manifest is None:
        raise SettingsError(f"{run.path} has no corpus yet; run `ostensive build` with this folder as --out")
    stages = (run.summary(name) for name in run.read_state().get("stages", []))
    return Corpus(run, (*stages, *manifest.publishing), manifest)


def open_corpus(out: Path | str) -> Corpus:
    """The corpus of the run in the folder `out`; raises `SettingsError` when there is none."""
    return read_corpus(RunFolder(user_path(out, "run folder")))
