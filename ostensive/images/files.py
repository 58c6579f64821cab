"""Files and folders of images to source items, without opening any of them; and the bytes of a file.

What is an image is told by the suffix here and by the content later: opening a million files to list them would cost
minutes each time a run continues. Suffixes of formats that are not decoded are listed too, as refused, so that a folder
of HEIC photographs does not look empty.
"""

import errno
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ostensive.images import refusals
from ostensive.images.items import SourceItem
from ostensive.images.paths import is_inside, storable_path
from ostensive.images.refusals import ImageRefusedError
from ostensive.own_folders import MARKS, own_kind
from ostensive.records import Location

IMAGE_SUFFIXES: Final = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".qoi"),
        *(".tif", ".tiff", ".avif", ".avifs", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    )
)
UNSUPPORTED_SUFFIXES: Final = frozenset(
    (
        *(".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl", ".jxr", ".svg", ".svgz", ".psd", ".xcf", ".eps"),
        *(".tga", ".ico", ".icns", ".exr", ".hdr", ".pcx", ".dds", ".dcm", ".dicom", ".svs", ".ndpi"),
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".orf", ".raf", ".rw2", ".pef", ".srw"),  # camera raw
    )
)
LISTED_SUFFIXES: Final = IMAGE_SUFFIXES | UNSUPPORTED_SUFFIXES
METADATA_NAMES: Final = frozenset({"metadata.csv", "metadata.jsonl", "metadata.parquet"})  # as `datasets` has them
COMPRESSED_TAR: Final = "a compressed tar cannot be read image by image; unpack it to a plain .tar or a folder"
_COMPRESSED: Final = frozenset({".gz", ".bz2", ".xz", ".zst", ".zstd", ".lz4", ".lz", ".lzma", ".br", ".z"})
_COMPRESSED_TARS: Final = frozenset({".tgz", ".taz", ".tbz", ".tbz2", ".txz", ".tlz", ".tzst"})
_ARCHIVES: Final = frozenset({".zip", ".zipx", ".7z", ".rar", ".cab", ".iso"})
_DATA_SETS: Final = frozenset({".tar", ".parquet", ".arrow"})
_PART: Final = re.compile(
    r"\.(?:\d{2,3}|[zr]\d\d|part[-_.]?\w{1,4}|[a-z]{2})", re.IGNORECASE
)  # of an archive that was cut
# What systems and disks leave: of macOS, Synology (thumbnails), QNAP and Windows. The bins hold what was thrown away.
_SET_ASIDE: Final = frozenset({"__MACOSX", "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found"})


def suffix_of(name: str) -> str:
    """The last suffix of a file name, in lower case, with its dot."""
    dot = name.rfind(".")  # Path(name).suffix takes ten times as long, and there may be a million names
    return name[dot:].lower() if dot > name.rfind("/") + 1 else ""


def is_set_aside(name: str) -> bool:
    """Whether a name is hidden (`._photo.jpg` of macOS too), or that of a folder that a system keeps for itself."""
    return name.startswith(".") or name in _SET_ASIDE


def is_packed(name: str) -> bool:
    """Whether a name is that of an archive, or of a compressed file of images, or of a part of one."""
    suffix = suffix_of(name)
    if suffix in _ARCHIVES or suffix in _COMPRESSED_TARS:
        return True
    whole = name.removesuffix(name[-len(suffix) :]) if suffix else name
    before = suffix_of(whole)
    if suffix in _COMPRESSED:
        return before in _DATA_SETS or before in LISTED_SUFFIXES
    return before != "" and _PART.fullmatch(suffix) is not None and (before == ".tar" or is_packed(whole))


def how_to_unpack(name: str) -> str:
    """Why nothing is taken from an archive of that name, and what to do."""
    if suffix_of(name) in _COMPRESSED_TARS or ".tar." in name.lower():
        return COMPRESSED_TAR
    return "an archive cannot be read image by image; unpack it to a folder"


@dataclass(frozen=True, slots=True)
class FolderListing:
    """What a folder holds, in the order of the keys: images, and the paths of what else may matter."""

    images: list[SourceItem]
    data_sets: list[str]
    archives: list[str]
    metadata_files: list[str]


def list_folder(root: str, data_set_suffixes: Collection[str]) -> FolderListing:
    """All images below the folder `root` (absolute, without links), and files with one of these suffixes.

    Links to files inside the folder are listed like files; links to folders inside are passed over, since what they
    lead to is listed at its own place, so that a cycle of links ends at once. Links that lead out are refused items.
    Raises `OSError` when `root` itself cannot be read; a folder below it is then a refused item, as is one that this
    project made: a run, or a corpus, that lies among photographs.
    """
    listing = FolderListing([], [], [], [])
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                everything = list(entries)
        except OSError as error:
            if folder == root:
                raise
            listing.images.append(refused_item(folder, root, refusals.UNREADABLE, f"folder: {error.strerror}"))
            continue
        marks = [entry.name for entry in everything if entry.name in MARKS]
        if folder != root and marks and (kind := own_kind(folder, marks)) is not None:
            listing.images.append(refused_item(folder, root, refusals.OWN_FOLDER, kind))
            continue
        for entry in everything:
            if is_set_aside(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif entry.name in METADATA_NAMES:
                listing.metadata_files.append(entry.path)
            elif suffix_of(entry.name) in data_set_suffixes:
                listing.data_sets.append(entry.path)
            elif is_packed(entry.name):
                listing.archives.append(entry.path)
            else:
                listing.images.extend(_entry_items(entry, root))
    listing.images.sort(key=lambda item: item.key)
    listing.data_sets.sort()
    listing.archives.sort()
    listing.metadata_files.sort()
    return listing


def _entry_items(entry: os.DirEntry[str], root: str) -> Iterator[SourceItem]:
    wanted = suffix_of(entry.name) in LISTED_SUFFIXES
    if entry.is_symlink():
        if is_inside(entry.path, root):
            if wanted and not Path(entry.path).is_dir():
                yield file_item(entry.path, _below(entry.path, root))
        elif wanted or Path(entry.path).is_dir():
            yield refused_item(entry.path, root, refusals.LEADS_OUT, "link")
    elif wanted:
        yield file_item(entry.path, _below(entry.path, root))


def file_item(path: str, name: str) -> SourceItem:
    """The item of one file at the absolute `path`, called `name`; a problem is named where it can be seen unopened."""
    try:
        status = os.stat(path)  # noqa: PTH116 - as in suffix_of
    except OSError as error:
        # No file has a name that is too long for one, as a line of a binary file may be that is taken for a list.
        is_missing = error.errno in (errno.ENOENT, errno.ENAMETOOLONG)
        reason = refusals.MISSING if is_missing else refusals.UNREADABLE
        return _item(path, name, problem=reason, detail=error.strerror or "")
    if not stat.S_ISREG(status.st_mode):
        return _item(path, name, problem=refusals.NOT_A_FILE, detail=_kind(status.st_mode))
    if suffix_of(path) in UNSUPPORTED_SUFFIXES:
        detail = f"{suffix_of(path)}; convert it to JPEG"
        return _item(path, name, status, problem=refusals.UNSUPPORTED, detail=detail)
    return _item(path, name, status)


def refused_item(path: str, root: str, reason: str, detail: str) -> SourceItem:
    """The item of something below the folder `root` that is refused unread; `reason` is a phrase of `refusals`."""
    return _item(path, _below(path, root), problem=reason, detail=detail)


def _item(
    path: str, name: str, status: os.stat_result | None = None, *, problem: str | None = None, detail: str = ""
) -> SourceItem:
    key = storable_path(name)
    return SourceItem(
        key=key,
        source=key,
        location=Location(storable_path(path)),
        size_bytes=0 if status is None else status.st_size,
        modified_ns=0 if status is None else status.st_mtime_ns,
        problem=problem,
        detail=detail,
    )


def _below(path: str, root: str) -> str:
    return path.removeprefix(root).lstrip("/") or "."


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    return next((name for test, name in kinds if test(mode)), "device")


def read_file(path: str, max_bytes: int, *, offset: int = 0, length: int | None = None) -> bytes:
    """The bytes of the regular file at `path`, or `length` of them from `offset`; never waits for a pipe.

    Raises `ImageRefusedError` for what is no regular file, holds more than `max_bytes`, or ends too early, and
    `OSError`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageRefusedError(refusals.NOT_A_FILE)
        wanted = status.st_size if length is None else length
        if wanted > max_bytes:
            raise ImageRefusedError(refusals.BYTE_LIMIT, f"{wanted} bytes, limit {max_bytes}")
        parts = []
        missing = wanted
        while missing and (part := os.pread(descriptor, missing, offset + wanted - missing)):
            parts.append(part)
            missing -= len(part)
    finally:
        os.close(descriptor)
    if missing:
        raise ImageRefusedError(refusals.TRUNCATED, f"{missing} of {wanted} bytes are missing")
    return parts[0] if len(parts) == 1 else b"".join(parts)
