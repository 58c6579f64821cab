"""A corpus that is compared with another: that of a run, or a folder of its own, such as one from the Hub.

Of a folder without its run, what became of the rows before they were accepted is not known; the settings are those at
the end of the card, as of every corpus, so that two of them are told in the same words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final  # Any: values of YAML and of rows; pyarrow has no types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cards.card import CARD_NAME
from cards.column_hashes import Hashes, hashes_of
from cards.reading import MANIFEST_NAME, CorpusFile, CorpusManifest, read_corpus, read_manifest
from cards.row_matching import Places
from ostensive.errors import OstensiveError, SettingsError, one_line
from ostensive.run.folder import RunFolder
from ostensive.run.summary import StageSummary
from ostensive.user_paths import shown_path, user_path
from ostensive.yaml_text import parse_yaml

_RECIPE: Final = re.compile(r"^(`{3,})yaml\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
_MOST_SETTINGS: Final = 10_000  # a card may come from anybody, and a few lines of YAML may stand for billions
_BATCH_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True)
class ComparedCorpus:
    """A corpus and what is known of how it was made."""

    path: Path  # as it was given
    folder: Path  # of the corpus
    manifest: CorpusManifest
    settings: Mapping[str, Any] | None  # that rows depend on, by dotted path; None where the card does not say
    stages: tuple[StageSummary, ...] | None  # None without the run

    @property
    def recipe(self) -> str | None:
        """The recipe by which it was made."""
        name = (self.settings or {}).get("recipe")
        return name if isinstance(name, str) else None

    def parquet(self, file: CorpusFile) -> Any:
        """A Parquet file that the manifest lists; raises `OstensiveError` where it is not there, or is none."""
        place = PurePosixPath(file.path)
        if place.is_absolute() or ".." in place.parts:
            raise OstensiveError(f"{shown_path(self.folder)}: the manifest lists {file.path!r}, which is not within it")
        try:
            return pq.ParquetFile(self.folder / place)
        except (OSError, pa.ArrowInvalid) as error:
            raise OstensiveError(
                f"{shown_path(self.folder / place)}: is in the manifest and cannot be read ({one_line(error)}); have"
                " the whole folder, or build the corpus again"
            ) from error

    def batches(self, kind: str, columns: Sequence[str]) -> Iterator[tuple[CorpusFile, Any]]:
        """The record batches of all files of a kind, in order, with those of the columns that there are."""
        for file in self.manifest.files_of(kind):
            parquet = self.parquet(file)
            there = [name for name in columns if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=there):
                yield file, batch

    def names(self, kind: str) -> tuple[str, ...]:
        """The columns of the files of a kind; none where there is no file."""
        files = self.manifest.files_of(kind)
        return tuple(self.parquet(files[0]).schema_arrow.names) if files else ()

    def rows_at(self, kind: str, places: Sequence[int], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The rows at these places of all files of a kind, in that order; reads the row groups that hold them."""
        wanted, found, first = sorted(set(places)), dict[int, dict[str, Any]](), 0
        for file in self.manifest.files_of(kind) if wanted else ():
            parquet = self.parquet(file)
            for group in range(parquet.num_row_groups):
                count = parquet.metadata.row_group(group).num_rows
                here = [place for place in wanted if first <= place < first + count]
                if here:
                    rows = parquet.read_row_group(group, columns=columns).take([place - first for place in here])
                    found.update(zip(here, rows.to_pylist(), strict=True))
                first += count
        return [found[place] for place in places]


@dataclass(frozen=True, slots=True)
class ColumnHashes:
    """The numbers of the values of some columns, in the order of rows, and the split that each row is of."""

    values: Mapping[str, Hashes]
    splits: Places  # places in `split_names`
    split_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.splits)


def open_compared(given: Path | str) -> ComparedCorpus:
    """The corpus in a run folder, or in a folder of its own; raises `SettingsError` in one line where there is none."""
    path = user_path(given, "corpus")
    manifest = read_manifest(path)
    if manifest is not None:
        return ComparedCorpus(path, path, manifest, _settings(path / CARD_NAME), None)
    if (path / MANIFEST_NAME).exists():
        raise SettingsError(
            f"{shown_path(path / MANIFEST_NAME)}: is damaged or of another version; build the corpus again, or download"
            " the whole of it"
        )
    run = RunFolder(path)
    if not run.read_state():
        raise SettingsError(
            f"{shown_path(path)}: there is no corpus here; give the folder of a run, or that of a corpus with its"
            " manifest.json"
        )
    corpus = read_corpus(run)
    return ComparedCorpus(path, corpus.path, corpus.manifest, _settings(corpus.path / CARD_NAME), corpus.stages)


def column_hashes(corpus: ComparedCorpus, kind: str, columns: Sequence[str]) -> ColumnHashes:
    """The numbers of these columns of the files of a kind; memory holds a batch and the numbers."""
    names = tuple(dict.fromkeys(file.split for file in corpus.manifest.files_of(kind)))
    parts: dict[str, list[Hashes]] = {name: [] for name in columns}
    splits: list[Places] = []
    for file, batch in corpus.batches(kind, columns):
        for name in batch.schema.names:
            parts[name].append(hashes_of(batch.column(name)))
        splits.append(np.full(batch.num_rows, names.index(file.split), np.int64))
    return ColumnHashes(
        {name: np.concatenate(found) for name, found in parts.items() if found},
        np.concatenate(splits) if splits else np.zeros(0, np.int64),
        names,
    )


def flat_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted path, such as `critics[0].kind`; lists of plain values and what is empty stay as they are."""
    found = dict(islice(_leaves("", values), _MOST_SETTINGS + 1))
    if len(found) > _MOST_SETTINGS:
        raise OstensiveError(f"the recipe on the card has more than {_MOST_SETTINGS} settings, which no recipe has")
    return found


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value):
            yield from _leaves(f"{path}[{place}]", item)
    else:
        yield path, value


def _settings(card: Path) -> Mapping[str, Any] | None:
    """Those of the recipe at the end of a card, which people may have written in; None where it is not there."""
    try:
        blocks = _RECIPE.findall(card.read_text("utf-8"))
        return flat_settings(parse_yaml(blocks[-1][1], str(card))) if blocks else None
    except (OSError, UnicodeDecodeError, OstensiveError):
        return None
