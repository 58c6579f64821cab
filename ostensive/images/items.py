"""What a listing of images holds: one small record for each image there may be, before any of them is read."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ostensive.records import Location


@dataclass(frozen=True, slots=True)
class SourceItem:
    """An image that was found, or something that looks like one and is refused already (`problem`).

    `location.path` and `key` are as `paths.storable_path` makes them. The size is that of the file or tar member in
    bytes, and of the whole file for a row of Parquet or Arrow; the time is that of the file, in nanoseconds.
    """

    key: str  # stable and unique in the listing: path relative to what was given, `tar!member`, `file#row`
    source: str  # shown to people, valid Unicode on one line; mostly the same as `key`
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
    """A file and what it is called: its path relative to what was given."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member of a WebDataset tar: an image, or a text beside one. Members of one sample belong together."""

    tar: FoundFile
    sample: str  # the member's name up to the first dot of its last part
    column: str  # the rest of it, in lower case: `json`, `cls`, `question` for `question.txt`; empty for an image
    offset: int
    length: int


@dataclass(slots=True)
class Beside:
    """What lies beside images, gathered while they are listed. `wants` says whether a column may be looked at."""

    wants: Callable[[str], bool]
    metadata_files: list[FoundFile] = field(default_factory=list)
    members: list[TarMember] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SourceListing:
    """Every image in what was given, and what lies beside them: nothing, where it was not asked for."""

    items: list[SourceItem]
    beside: Beside | None
