"""What a listing of images holds: one small record for each image there may be, before any of them is read."""

from dataclasses import dataclass

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
