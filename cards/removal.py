"""The files of a split without one of its images: those that it is in are written anew, and numbers close up."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final  # Any: JSON values, a column's values

import pyarrow.parquet as pq

from cards.files import WrittenFile
from cards.parquet import features_of, rewrite
from cards.reading import CorpusFile, CorpusSplit
from cards.samples import PublicForm, sample_key
from cards.shards import without_sample, write_shard_index

_KINDS: Final = ("shard", "shard index", "samples", "rows")
_UNNUMBERED: Final = "unnumbered-"  # a new file in `staged` before it is known how many there are


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """A split and its files."""

    counts: CorpusSplit
    files: tuple[CorpusFile, ...]

    def of_kind(self, kind: str) -> list[CorpusFile]:
        """The files of a kind, in order."""
        return [file for file in self.files if file.kind == kind]


@dataclass(frozen=True, slots=True)
class _Part:
    """A file of the new split before it has its number: as it was called, and where its bytes are now."""

    file: CorpusFile
    place: Path


@dataclass(frozen=True, slots=True)
class ImageRemoval:
    """Writes into `staged` what is other without the image in the corpus in `folder`, which is called `name`."""

    folder: Path
    staged: Path
    name: str
    form: PublicForm
    image_id: str

    def without_image(self, split: SplitFiles) -> SplitFiles:
        """The split without the image; as it is where it does not hold it."""
        shown = [
            shard
            for file in split.of_kind("rows")
            for image_id, shard in zip(*self._columns(file, "image_id", "shard"), strict=True)
            if image_id == self.image_id
        ]
        if not shown:
            return split
        counts, name = split.counts, split.counts.name
        parts = [part for file in split.of_kind("shard") if (part := self._shard(file, shown[0])) is not None]
        shards = self._numbered(parts, lambda place, _count: f"shards/{self.name}-{name}-{place:06d}.tar")
        renamed = {
            _name(part.file): _name(shard)
            for part, shard in zip(parts, shards, strict=True)
            if part.file.path != shard.path
        }
        samples, sample_bytes = self._parquet(split.of_kind("samples"), {}, name)
        rows, row_bytes = self._parquet(split.of_kind("rows"), renamed, name)
        left = CorpusSplit(
            name,
            counts.images - 1,
            counts.rows - len(shown),
            counts.arrow_bytes - sample_bytes,
            counts.rows_arrow_bytes - row_bytes,
        )
        index = [self._index(name, shards)] if shards else []
        others = [file for file in split.files if file.kind not in _KINDS]
        return SplitFiles(left, (*shards, *index, *samples, *rows, *others))

    def _shard(self, file: CorpusFile, holder: str) -> _Part | None:
        """A shard; the one called `holder` without the image, None where that is empty then."""
        if _name(file) != holder:
            return _Part(file, self.folder / file.path)
        target = self._unnumbered(file)
        return _part(file, target, without_sample(self.folder / file.path, target, sample_key(self.image_id)))

    def _parquet(
        self, files: Sequence[CorpusFile], renamed: Mapping[str, str], split: str
    ) -> tuple[list[CorpusFile], int]:
        """Parquet files without the image and with the new names of shards, and the bytes of memory that went."""
        parts, gone_bytes = [], 0
        for file in files:
            ids = set(self._columns(file, "image_id")[0])
            shards = set(self._columns(file, "shard")[0]) if renamed else set()
            if self.image_id not in ids and not shards & renamed.keys():
                parts.append(_Part(file, self.folder / file.path))
                continue
            features = (
                features_of(self.form.sample_schema, with_image=True)
                if file.kind == "samples"
                else features_of(self.form.flat_schema, with_image=False)
            )
            target = self._unnumbered(file)
            done = rewrite(self.folder / file.path, target, features, self._change(renamed))
            gone_bytes += done.arrow_bytes_before - done.arrow_bytes
            if (part := _part(file, target, done.written)) is not None:
                parts.append(part)
        folder = files[0].path.partition("/")[0]
        named = self._numbered(parts, lambda place, count: f"{folder}/{split}-{place:05d}-of-{count:05d}.parquet")
        return named, gone_bytes

    def _change(self, renamed: Mapping[str, str]) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
        def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            kept = [row for row in rows if row["image_id"] != self.image_id]
            if not renamed:
                return kept
            return [{**row, "shard": renamed.get(row["shard"], row["shard"])} for row in kept]

        return change

    def _numbered(self, parts: Sequence[_Part], name_of: Callable[[int, int], str]) -> list[CorpusFile]:
        """The files under their new names; those whose name or bytes are new lie in `staged`."""
        named = []
        for place, part in enumerate(parts):
            path = name_of(place, len(parts))
            target = self.staged / path
            if part.place.name.startswith(_UNNUMBERED):
                part.place.rename(target)
            elif path != part.file.path:
                _link(part.place, target)
            named.append(replace(part.file, path=path))
        return named

    def _index(self, split: str, shards: Sequence[CorpusFile]) -> CorpusFile:
        path = f"shards/shardindex-{split}.json"
        written = [WrittenFile(_name(shard), shard.items, shard.byte_count, shard.sha256) for shard in shards]
        digest = write_shard_index(self.staged / path, f"{self.name}-{split}", written)
        return CorpusFile(path, "shard index", split, len(shards), digest.byte_count, digest.sha256)

    def _unnumbered(self, file: CorpusFile) -> Path:
        target = self.staged / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.with_name(f"{_UNNUMBERED}{target.name}")

    def _columns(self, file: CorpusFile, *names: str) -> list[list[Any]]:
        table = pq.read_table(self.folder / file.path, columns=list(names))
        return [table.column(name).to_pylist() for name in names]


def _part(file: CorpusFile, target: Path, written: WrittenFile | None) -> _Part | None:
    if written is None:
        return None
    new = replace(file, items=written.items, byte_count=written.byte_count, sha256=written.sha256)
    return _Part(new, target)


def _name(file: CorpusFile) -> str:
    return file.path.rpartition("/")[2]


def _link(source: Path, target: Path) -> None:
    """The same bytes under another name, without copying them where the disk can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
