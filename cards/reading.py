"""A finished corpus, to read: its rows, its counts, and the way into `datasets`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostensive.errors import SettingsError
from ostensive.run.folder import RunFolder
from ostensive.run.summary import StageSummary

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, slots=True)
class Corpus:
    """The corpus of a run. `stages` says what became of everything, from the images to the shards."""

    run: RunFolder
    stages: tuple[StageSummary, ...]
    row_count: int
    image_count: int

    @property
    def path(self) -> Path:
        """The folder that is published: shards, Parquet and the card."""
        return self.run.corpus_path

    def rows(self) -> Iterator[Mapping[str, Any]]:  # Any: a row's fields have different types
        """The rows one by one, as the flat Parquet files have them; memory does not grow with the corpus."""
        import pyarrow.parquet as pq

        for path in sorted((self.path / "rows").glob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(1024):
                yield from batch.to_pylist()

    def to_datasets(self) -> "Dataset":
        """The corpus as a `datasets.Dataset` with one row an image, its image decoded on access."""
        import datasets

        return datasets.load_dataset(str(self.path), split="train")


def read_corpus(run: RunFolder) -> Corpus:
    """The corpus of a finished run; raises `SettingsError` when there is none."""
    manifest = run.corpus_path / "manifest.json"
    try:
        counts = json.loads(manifest.read_text("utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{run.path} has no corpus yet; run `ostensive build` with this folder as --out") from error
    names = run.read_state().get("stages", [])
    return Corpus(run, tuple(run.summary(name) for name in names), counts["rows"], counts["images"])


def open_corpus(out: Path | str) -> Corpus:
    """The corpus of the run in the folder `out`; raises `SettingsError` when there is none."""
    return read_corpus(RunFolder(Path(out)))
