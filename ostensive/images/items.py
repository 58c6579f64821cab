"""What a listing of images holds: one small record for each image there may be, before any of them is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ostensive.images.rows import Table, Wanted
from ostensive.records import Location


@dataclass(frozen=True, slots=True)
class SourceItem:
    """An image that was found, or something that looks like one and is refused already (`problem`).

    `location.path`, `key` and `source` are as `paths.storable_path` makes them. The size is that of the file or tar
    member in bytes, and of the whole file for a row of Parquet or Arrow; the time is that of the file, in nanoseconds.
    """

    key: str  # stable and unique in the listing: path relative to what was given, `tar!member`, `file#row`
    source: str  # what is published of it: the key without the number that tells it from another of the same name
    location: Location
    size_bytes: int
    modified_ns: int
    problem: str | None = None  # a phrase of `refusals`
    detail: str = ""

    @property
    def record_id(self) -> str:
        return self.key

    @property
    def image_id(self) -> str:
        return ""  # not known before its bytes are read

    @property
    def stamp(self) -> object:
        """What the item is, for the fingerprint of what is made of it."""
        return [self.key, self.size_bytes, self.modified_ns, self.location.path]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file and what it is called: its path relative to what was given, as `paths.storable_path` makes it."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class SidecarTable:
    """Texts that lie in a file of images, beside them."""

    file: FoundFile  # the path as it stands in the locations of its images
    open: Callable[[Mapping[int, str], str | None], Table]
    """The rows, from the keys of the file's images by the offset of their location, and the encoding of texts."""


@dataclass(slots=True)
class Sidecars:
    """What lies beside images, gathered while they are listed. `wants` says whether a column may be looked at."""

    wants: Wanted
    metadata_files: list[FoundFile] = field(default_factory=list)
    tables: list[SidecarTable] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SourceListing:
    """Every image in what was given, and what lies beside them: nothing, where it was not asked for."""

    items: list[SourceItem]
    sidecars: Sidecars | None


class ImageReader(Protocol):
    """Reads images again that lie in files of one format; any number of threads may use one reader."""

    def read(self, path: str, location: Location) -> bytes:
        """The bytes at `location` of the file at `path`; raises `ImageRefusedError`, or `OSError`."""
        ...
