"""What a publication changes on the Hub, worked out from what is here and what is there: pure functions."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Change = Literal["new", "changed", "same", "deleted"]
_VERSION_TAG: Final = re.compile(r"v([1-9][0-9]{0,8})")
BATCH_BYTES: Final = 1_000_000_000
"""Sent at a time: what an interruption waits for."""
BATCH_FILES: Final = 50


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to publish. `blob_id` is git's name of its bytes, known where the Hub keeps the file in git itself."""

    path: str
    byte_count: int
    sha256: str
    blob_id: str | None = None


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file on the Hub: a large one has its SHA-256, any other git's name of its bytes alone."""

    path: str
    byte_count: int
    blob_id: str
    sha256: str | None

    def is_same(self, file: LocalFile) -> bool:
        """Whether `file` has these bytes."""
        return self.sha256 == file.sha256 if self.sha256 is not None else self.blob_id == file.blob_id


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What becomes of a file. `sent_bytes` is 0 for what the Hub holds already, under whatever name."""

    path: str
    change: Change
    byte_count: int
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """All that a publication does, for a person to say yes to."""

    name: str
    is_new: bool
    is_private: bool
    images: int
    rows: int
    license: str
    files: tuple[PlannedFile, ...]
    image_licenses: Mapping[str, int] = field(default_factory=dict)  # images by what came in beside them
    withheld: Mapping[str, int] = field(default_factory=dict)  # images without picture, by the licence that forbids it
    withheld_rows: int = 0  # which are sent with the hash and the source of the image
    kept: tuple[str, ...] = ()  # files of other people on the Hub, which stay
    left_out: tuple[str, ...] = ()  # files in the corpus folder that nothing describes, which are not sent
    notes: tuple[str, ...] = ()
    tag: str | None = None
    removed_tags: tuple[str, ...] = ()  # with the history that `squash` folds away
    squash: bool = False

    def of(self, *changes: Change) -> tuple[PlannedFile, ...]:
        """The files of these changes, in order."""
        return tuple(file for file in self.files if file.change in changes)

    @property
    def changes_files(self) -> bool:
        """Whether a commit is made."""
        return bool(self.of("new", "changed", "deleted"))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do at all."""
        return not (self.changes_files or self.tag or self.squash)

    @property
    def sent_bytes(self) -> int:
        """What goes over the network, less what the Hub turns out to hold already."""
        return sum(file.sent_bytes for file in self.files)


def plan_files(
    local: Sequence[LocalFile], hub: Mapping[str, HubFile], owned: Collection[str]
) -> tuple[PlannedFile, ...]:
    """What becomes of each file of `local` and of those on the Hub that are `owned` and no longer here."""
    held = {file.sha256 for file in hub.values() if file.sha256 is not None}
    planned = []
    for file in local:
        there = hub.get(file.path)
        if there is not None and there.is_same(file):
            planned.append(PlannedFile(file.path, "same", file.byte_count))
            continue
        sent = 0 if file.sha256 in held else file.byte_count
        planned.append(PlannedFile(file.path, "new" if there is None else "changed", file.byte_count, sent))
    here = {file.path for file in local}
    gone = sorted(path for path in owned if path in hub and path not in here)
    return (*planned, *(PlannedFile(path, "deleted", hub[path].byte_count) for path in gone))


def next_version(tags: Collection[str]) -> str:
    """`v1`, or the number after the largest `v<n>` that is there."""
    return f"v{max((version_number(tag) for tag in tags), default=0) + 1}"


def version_number(tag: str) -> int:
    """The number of a tag `v<n>`; 0 of any other."""
    found = _VERSION_TAG.fullmatch(tag)
    return int(found[1]) if found else 0


def batches(files: Sequence[PlannedFile]) -> Iterator[tuple[PlannedFile, ...]]:
    """The files in order, in parts of at most `BATCH_BYTES` and `BATCH_FILES`; a larger one is alone."""
    batch: list[PlannedFile] = []
    for file in files:
        if batch and (
            len(batch) >= BATCH_FILES or sum(one.byte_count for one in batch) + file.byte_count > BATCH_BYTES
        ):
            yield tuple(batch)
            batch = []
        batch.append(file)
    if batch:
        yield tuple(batch)


def foreign_among_data(kept: Collection[str], owned: Collection[str]) -> list[str]:
    """Files of other people in the folders of the corpus, where readers take them for a part of it."""
    folders = {path.split("/")[0] for path in owned if "/" in path}
    return sorted(path for path in kept if "/" in path and path.split("/")[0] in folders)
