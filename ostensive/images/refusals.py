"""Why an image is not taken in: fixed phrases to count by, and the exception that carries one.

A refusal never stops a run: it becomes a row of `images/`. Phrases in `FAULTS` say that something is broken and become
`Failed`; the others say that a rule does not want the image and become `Dropped`. They
are plain text, for they are written to Parquet and counted.
"""

from typing import Final

from ostensive.errors import OstensiveError, SettingsError

# Broken: the file should have been an image and cannot be used as one.
EMPTY: Final = "empty file"
NOT_AN_IMAGE: Final = "not an image"
TRUNCATED: Final = "truncated"
UNREADABLE: Final = "unreadable"
MISSING: Final = "missing file"
NOT_A_FILE: Final = "not a regular file"
EMPTY_ROW: Final = "no image in the row"
UNPUBLISHABLE: Final = "cannot be published"
FAULTS: Final = frozenset({EMPTY, NOT_AN_IMAGE, TRUNCATED, UNREADABLE, MISSING, NOT_A_FILE, EMPTY_ROW, UNPUBLISHABLE})

# Unwanted: nothing need be wrong with the file.
PIXEL_LIMIT: Final = "over the pixel limit"
SIDE_LIMIT: Final = "over the side limit"
BYTE_LIMIT: Final = "over the byte limit"
TOO_SMALL: Final = "too small"
LEADS_OUT: Final = "leads out of the folder"
LISTED_TWICE: Final = "listed twice"
UNSUPPORTED: Final = "format not supported"
DATA_SET_AMONG_IMAGES: Final = "data set among images"
DUPLICATE: Final = "exact duplicate"
OTHER_WORLD: Final = "not of the microworld"


class ImageRefusedError(OstensiveError):
    """An image is not taken in. `reason` is one of the phrases above; `detail` says what was met."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class DataSetUnreadableError(SettingsError):
    """A tar, Parquet or Arrow file cannot be read at all: an error when it was given, a refused item in a folder."""


class ImageChangedError(OstensiveError):
    """The bytes at an image's location are gone or are not those that were taken in."""
