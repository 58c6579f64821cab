"""Why an image is not taken in: fixed phrases to count by, and the exception that carries one.

A refusal never stops a run: it becomes a row of `images/`. Phrases in `FAULTS` say that something is broken and become
`Failed`; the others say that a rule does not want the image and become `Dropped`. They
are plain text, for they are written to Parquet and counted.
"""

from collections.abc import Mapping
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
TIME_LIMIT: Final = "over the time limit"
TOO_SMALL: Final = "too small"
LEADS_OUT: Final = "leads out of the folder"
LISTED_TWICE: Final = "listed twice"
SEVERAL_IN_ROW: Final = "several images in the row"
UNSUPPORTED: Final = "format not supported"
DATA_SET_AMONG_IMAGES: Final = "data set among images"
NO_IMAGE_COLUMN: Final = "no image column"
NO_IMAGES: Final = "data set without images"
PACKED: Final = "packed archive"
OWN_FOLDER: Final = "made by ostensive"
DUPLICATE: Final = "exact duplicate"
OTHER_WORLD: Final = "not of the microworld"


_REMEDIES: Final = {
    EMPTY: "copy or download the files again",
    NOT_AN_IMAGE: "look into one of them: pointers of Git LFS (`git lfs pull`) and error pages of servers are none",
    TRUNCATED: "copy or download the files again",
    UNREADABLE: "see what is wrong with one of them",
    MISSING: "put the files where the list, the links or the rows say",
    NOT_A_FILE: "give regular files",
    EMPTY_ROW: "choose another column with intake.column",
    PIXEL_LIMIT: "raise intake.max_pixels, or make the images smaller",
    SIDE_LIMIT: "make the images smaller",
    BYTE_LIMIT: "raise intake.max_pixels or intake.max_decoded_bytes, or make the files smaller",
    TIME_LIMIT: "raise intake.max_seconds, or convert the images to JPEG",
    TOO_SMALL: "lower intake.min_side",
    LEADS_OUT: (
        "neither a link nor a path in a row is followed out of the folder: copy the files with `cp -RL`, download "
        "them with `hf download --local-dir`, or give a list of the files"
    ),
    SEVERAL_IN_ROW: "give each image a row of its own",
    UNSUPPORTED: "convert the images to JPEG",
    DATA_SET_AMONG_IMAGES: "give the data set by itself",
    NO_IMAGES: "give the files that hold the images",
    NO_IMAGE_COLUMN: "give the tar, or a list of the tars",
    PACKED: "unpack the archives",
    OWN_FOLDER: "give the images that it was made from, or a corpus by its own folder",
    OTHER_WORLD: "take any images with --set intake.world=any",
}


def why_none(refused: Mapping[str, int]) -> str:
    """Why no image came in, from how many were refused for each reason, and what to do about the most frequent one."""
    counts = sorted(refused.items(), key=lambda item: (-item[1], item[0]))
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts)
    remedy = next((f"; {_REMEDIES[reason]}" for reason, _ in counts if reason in _REMEDIES), "")
    total = sum(refused.values())
    if not total:
        return "images: there is none to take in"
    return f"images: {'the only one was' if total == 1 else f'all {total} were'} refused ({reasons}){remedy}"


class ImageRefusedError(OstensiveError):
    """An image is not taken in. `reason` is one of the phrases above; `detail` says what was met."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class DataSetUnusableError(SettingsError):
    """No image can be taken from a tar, Parquet or Arrow file: an error when it was given alone, a refused item beside
    others. `reason` is one of the phrases above; `detail` says what was met, in `shown`."""

    reason = UNREADABLE

    def __init__(self, shown: str, detail: str) -> None:
        super().__init__(f"{shown}: {detail}")
        self.detail = detail


class NoImageColumnError(DataSetUnusableError):
    """A Parquet or Arrow file holds no images, such as the metadata beside the tars of img2dataset."""

    reason = NO_IMAGE_COLUMN


class PackedError(DataSetUnusableError):
    """An archive whose images cannot be read without unpacking it."""

    reason = PACKED


class ImageChangedError(OstensiveError):
    """The bytes at an image's location are gone or are not those that were taken in."""
