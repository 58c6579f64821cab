"""The files of a split without some of its images, or without their pictures alone.

Files that hold one of them are written anew, all others keep their bytes, and numbers close up where one is emptied.
"""

import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final  # Any: JSON values, a column's values

import pyarrow.parquet as pq

from cards.files import WrittenFile
from cards.parquet import features_of, rewrite
from cards.reading import CorpusFile, CorpusManifest, CorpusSplit
from cards.samples import PublicForm, sample_key
from cards.shards import without_samples, write_shard_index

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


def splits_of(manifest: CorpusManifest) -> list[SplitFiles]:
    """The splits of a corpus with their files; what is of all splits is in none."""
    return [
        SplitFiles(split, tuple(file for file in manifest.files if file.split == split.name))
        for split in manifest.splits
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """A file of the new split before it has its number: as it was called, and where its bytes are now."""

    file: CorpusFile
    place: Path


@dataclass(frozen=True, slots=True)
class ImageRemoval:
    """Writes into `staged` what is other without images in the corpus in `folder`, which is called `name`.

    With `pictures_alone` their rows stay: the column `image` has null for them, `shard` too, and no shard holds them.
    """

    folder: Path
    staged: Path
    name: str
    form: PublicForm
    image_ids: frozenset[str]
    pictures_alone: bool = False

    def without_images(self, split: SplitFiles) -> SplitFiles:
        """The split without the images; as it is where it holds none of them."""
        shown = [
            (image_id, shard)
            for file in split.of_kind("rows")
            for image_id, shard in zip(*self._columns(file, "image_id", "shard"), strict=True)
            if image_id in self.image_ids
        ]
        if not shown:
            return split
        counts, name = split.counts, split.counts.name
        holders = {shard for _, shard in shown}
        parts = [part for file in split.of_kind("shard") if (part := self._shard(file, holders)) is not None]
        shards = self._numbered(parts, lambda place, _count: f"shards/{self.name}-{name}-{place:06d}.tar")
        renamed = {
            _name(part.file): _name(shard)
            for part, shard in zip(parts, shards, strict=True)
            if part.file.path != shard.path
        }
        samples, sample_bytes = self._parquet(split.of_kind("samples"), {}, name)
        rows, row_bytes = self._parquet(split.of_kind("rows"), renamed, name)
        images, row_count = (0, 0) if self.pictures_alone else (len({image_id for image_id, _ in shown}), len(shown))
        left = CorpusSplit(
            name,
            counts.images - images,
            counts.rows - row_count,
            counts.arrow_bytes - sample_bytes,
            counts.rows_arrow_bytes - row_bytes,
        )
        index = [self._index(name, shards)] if shards else []
        others = [file for file in split.files if file.kind not in _KINDS]
        return SplitFiles(left, (*shards, *index, *samples, *rows, *others))

    def row_count(self, manifest: CorpusManifest) -> int:
        """The rows of the images in the corpus with this manifest."""
        columns = (self._columns(file, "image_id")[0] for file in manifest.files_of("rows"))
        return sum(image_id in self.image_ids for column in columns for image_id in column)

    def _shard(self, file: CorpusFile, holders: Collection[str]) -> _Part | None:
        """A shard; one of the names `holders` without the images, None where it is empty then."""
        if _name(file) not in holders:
            return _Part(file, self.folder / file.path)
        target = self._unnumbered(file)
        keys = frozenset(map(sample_key, self.image_ids))
        return _part(file, target, without_samples(self.folder / file.path, target, keys))

    def _parquet(
        self, files: Sequence[CorpusFile], renamed: Mapping[str, str], split: str
    ) -> tuple[list[CorpusFile], int]:
        """Parquet files without the images and with the new names of shards, and the bytes of memory that went."""
        parts, gone_bytes = [], 0
        for file in files:
            ids = set(self._columns(file, "image_id")[0])
            shards = set(self._columns(file, "shard")[0]) if renamed else set()
            if not ids & self.image_ids and not shards & renamed.keys():
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
            return [new for row in rows if (new := self._changed(row, renamed)) is not None]

        return change

    def _changed(self, row: dict[str, Any], renamed: Mapping[str, str]) -> dict[str, Any] | None:
        if row["image_id"] in self.image_ids:
            return {**row, "image" if "image" in row else "shard": None} if self.pictures_alone else None
        return {**row, "shard": renamed.get(row["shard"], row["shard"])} if renamed else row

    def _numbered(self, parts: Sequence[_Part], name_of: Callable[[int, int], str]) -> list[CorpusFile]:
        """The files under their new names; those whose name or bytes are new lie in `staged`."""
        named = []
        for place, part in enumerate(parts):
            path = name_of(place, len(parts))
            target = self.staged / path
            if part.place.name.startswith(_UNNUMBERED):
                part.place.rename(target)
            elif path != part.file.path:
                link(part.place, target)
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


def link(source: Path, target: Path) -> None:
    """The same bytes under another name, without copying them where the disk can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
