"""A WebDataset tar to source items: every image member by its offset, so that it can be read without the tar's help.

Any number of images a sample are taken. The standard library's reader finds the members; that it stops silently in
the middle of a cut tar is made up for here. Compressed tars are refused: their members have no offset, and unpacking
one from the start for each image would take hours.
"""

import os
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from ostensive.errors import SettingsError
from ostensive.images import refusals
from ostensive.images.files import LISTED_SUFFIXES, UNSUPPORTED_SUFFIXES, is_set_aside, suffix_of
from ostensive.images.items import Beside, FoundFile, SourceItem, TarMember
from ostensive.images.paths import shown_name, storable_path
from ostensive.images.refusals import DataSetUnreadableError
from ostensive.records import Location

COMPRESSED_SUFFIXES: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.lz4")
_SAMPLE: Final = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)  # as `webdataset.tariterators` has it
_COMPRESSED_STARTS: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


def refuse_compressed(path: str) -> None:
    """Raises `SettingsError` if the file at `path` is a compressed tar, by its name or by how it starts."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise DataSetUnreadableError(f"{shown_name(path)}: cannot be read: {error.strerror}") from error
    if path.lower().endswith(COMPRESSED_SUFFIXES) or start.startswith(_COMPRESSED_STARTS):
        raise SettingsError(
            f"{shown_name(path)}: a compressed tar cannot be read image by image; unpack it to a plain .tar or a folder"
        )


def list_tar(path: str, name: str, beside: Beside | None = None) -> Iterator[SourceItem]:
    """The image members of the tar at the absolute `path`, called `name`, in their order; texts go to `beside`.

    A tar that is cut gives the members that are whole and one refused item for the rest. Raises
    `DataSetUnreadableError` when it gives none at all, `SettingsError` when it is compressed.
    """
    refuse_compressed(path)
    status = Path(path).stat()
    tar_file = FoundFile(storable_path(path), shown_name(name))
    end = 0
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # not in the stubs; else all members are held
                end = tar.offset
                item = _member_item(path, name, member, status)
                if beside is not None and (found := _beside(tar_file, member, beside, is_image=item is not None)):
                    beside.members.append(found)
                if item is not None:
                    yield item
                if end > status.st_size:
                    if item is None or item.problem is None:
                        yield _rest(path, name, "cut within a member")
                    return
    except (tarfile.TarError, OSError, ValueError) as error:  # ValueError: a header field that is no number
        if not end:
            raise DataSetUnreadableError(f"{shown_name(path)}: not a readable tar: {error}") from error
        yield _rest(path, name, str(error))
        return
    if not _ends_with_zeros(path, end):
        yield _rest(path, name, "no end mark where one is expected")


def _member_item(path: str, name: str, member: tarfile.TarInfo, status: os.stat_result) -> SourceItem | None:
    parts = PurePosixPath(member.name).parts
    wanted = suffix_of(member.name) in LISTED_SUFFIXES
    if not wanted or not member.isreg() or any(is_set_aside(part) for part in parts if part not in (".", "..")):
        return None
    problem, detail = None, ""
    if member.offset_data + member.size > status.st_size:
        problem, detail = refusals.TRUNCATED, "the tar ends within it"
    elif member.issparse():
        problem, detail = refusals.UNREADABLE, "a sparse member"
    elif suffix_of(member.name) in UNSUPPORTED_SUFFIXES:
        problem, detail = refusals.UNSUPPORTED, f"{suffix_of(member.name)}; convert it to JPEG"
    return SourceItem(
        key=storable_path(f"{name}!{member.name}"),
        source=shown_name(f"{name}!{member.name}"),
        location=Location(storable_path(path), member.offset_data, member.size),
        size_bytes=member.size,
        modified_ns=status.st_mtime_ns,
        problem=problem,
        detail=detail,
    )


def _beside(tar: FoundFile, member: tarfile.TarInfo, beside: Beside, *, is_image: bool) -> TarMember | None:
    """The member as part of its sample; None for what is neither an image nor a text that is wanted."""
    parts = _SAMPLE.fullmatch(member.name)
    if parts is None or not member.isreg() or any(is_set_aside(part) for part in PurePosixPath(parts[1]).parts):
        return None
    column = parts[2].lower()
    column = "" if is_image else column.removesuffix(".txt")
    if not (is_image or column == "json" or beside.wants(column)):
        return None
    return TarMember(tar, parts[1], sys.intern(column), member.offset_data, member.size)


def _rest(path: str, name: str, detail: str) -> SourceItem:
    """What stands for the members of a damaged tar that cannot be listed."""
    return SourceItem(
        key=storable_path(f"{name}!"),
        source=shown_name(f"{name}!"),
        location=Location(storable_path(path)),
        size_bytes=0,
        modified_ns=0,
        problem=refusals.TRUNCATED,
        detail=f"the rest of the tar: {detail}",
    )


def _ends_with_zeros(path: str, offset: int) -> bool:
    with Path(path).open("rb") as file:
        file.seek(offset)
        return file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
