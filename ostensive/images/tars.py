"""WebDataset tars: every image member by its offset, so that it can be read without the tar's help, and their texts.

Any number of images a sample are taken. The standard library's reader finds the members; that it stops silently in
the middle of a cut tar is made up for here. Compressed tars are refused: their members have no offset, and unpacking
one from the start for each image would take hours.
"""

import contextlib
import copy
import dataclasses
import io
import os
import posixpath
import re
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, Final  # Any: JSON values

from ostensive.images import refusals
from ostensive.images.files import (
    COMPRESSED_TAR,
    LISTED_SUFFIXES,
    UNSUPPORTED_SUFFIXES,
    is_set_aside,
    read_file,
    suffix_of,
)
from ostensive.images.items import FoundFile, Sidecars, SidecarTable, SourceItem
from ostensive.images.json_rows import parse_json
from ostensive.images.paths import shown_name, storable_path, unicode_name
from ostensive.images.refusals import DataSetUnusableError, ImageRefusedError, PackedError
from ostensive.images.rows import BadRow, Row, Table, Wanted
from ostensive.images.settings import IntakeSettings
from ostensive.images.text_files import decode
from ostensive.records import Location

_MAX_MEMBER_BYTES: Final = 16 << 20  # of a text
_MAX_HEADER_BYTES: Final = 1 << 20  # of a long name, or of the fields of a pax header
# What the library raises: ValueError for a field that is no number, RecursionError for headers of headers.
_DAMAGED: Final = (tarfile.TarError, OSError, ValueError, RecursionError)
_SAMPLE: Final = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)  # as `webdataset.tariterators` has it
_COMPRESSED_STARTS: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a WebDataset tar: an image, or a text beside one."""

    column: str  # what follows the sample in its name, in lower case: `json`, `cls`, `question`; empty for an image
    offset: int
    length: int


_Samples = dict[str, list[_Member]]  # by the members' name up to the first dot of its last part


def _refuse_compressed(path: str) -> None:
    """Raises `PackedError` if the file at `path` is compressed, whatever it is called."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise DataSetUnusableError(shown_name(path), f"cannot be read: {error.strerror}") from error
    if start.startswith(_COMPRESSED_STARTS):
        raise PackedError(shown_name(path), COMPRESSED_TAR)


def list_tar(path: str, name: str, _settings: IntakeSettings, sidecars: Sidecars | None) -> Iterator[SourceItem]:
    """The image members of the tar at the absolute `path`, called `name`, in their order; texts go to `sidecars`.

    After them come links that are called like images: a link may stand before what it leads to. A tar that is cut
    gives the members that are whole and one refused item for the rest. Raises `DataSetUnusableError` when it gives
    none at all, `PackedError` when it is compressed.
    """
    _refuse_compressed(path)
    samples: _Samples = {}
    if sidecars is not None:
        sidecars.tables.append(_texts_beside(path, FoundFile(storable_path(path), storable_path(name)), samples))
    links: list[tarfile.TarInfo] = []
    for member, item in chain(_listed(path, name, links), _linked(path, name, links)):
        if sidecars is not None and member is not None:
            _put_to_sample(samples, member, sidecars.wants, is_image=item is not None)
        if item is not None:
            yield item


_Listed = tuple[tarfile.TarInfo | None, SourceItem | None]


def _listed(path: str, name: str, links: list[tarfile.TarInfo]) -> Iterator[_Listed]:
    """The members of a tar, with their items if they are images, and what stands for its rest; adds to `links`."""
    status = Path(path).stat()
    end = 0
    try:
        with _opened(path) as tar:
            for member in _members(tar):
                end = tar.offset
                item = _member_item(path, name, member, status)
                if item is not None and (member.islnk() or member.issym()):
                    links.append(member)
                    continue
                yield member, item
                if end > status.st_size:
                    if item is None or item.problem is None:
                        yield None, _rest(path, name, "cut within a member")
                    return
    except _DAMAGED as error:
        if not end:
            raise DataSetUnusableError(shown_name(path), f"not a readable tar: {error}") from error
        yield None, _rest(path, name, str(error))
        return
    if not _ends_with_zeros(path, end):
        yield None, _rest(path, name, "no end mark where one is expected")


def _linked(path: str, name: str, links: list[tarfile.TarInfo]) -> Iterator[_Listed]:
    """Links to files of the same tar as those files under another name; all others are refused items."""
    if not links:
        return
    status = Path(path).stat()
    targets = dict.fromkeys(map(_target, links), None)
    found: dict[str, tarfile.TarInfo] = {}
    with contextlib.suppress(*_DAMAGED), _opened(path) as tar:  # told of already
        for member in _members(tar):
            if member.isreg() and posixpath.normpath(member.name) in targets:
                found[posixpath.normpath(member.name)] = member
    for link in links:
        target = found.get(_target(link))
        member = copy.copy(target or link)
        member.name = link.name
        item = _member_item(path, name, member, status)
        if target is None and item is not None:
            detail = f"a link to {unicode_name(link.linkname):.80}, which is no file in the tar"
            item = dataclasses.replace(item, problem=refusals.LEADS_OUT, detail=detail)
        yield member, item


def _target(link: tarfile.TarInfo) -> str:
    """The name of the member that a link leads to: from the top of the tar for a hard one, else from its folder."""
    folder = "" if link.islnk() else posixpath.dirname(link.name)
    return posixpath.normpath(posixpath.join(folder, link.linkname))


class _Headers(io.FileIO):
    """A tar of which only headers are read: those of one member are small, whatever they say."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size) or b""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tarfile.TarFile]:
    with _Headers(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        yield tar


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """All members; raises `tarfile.ReadError` where a header says that the next one is one before it."""
    end = -1
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # not in the stubs; else all members are held
        if tar.offset <= end or member.size < 0:
            raise tarfile.ReadError(f"a member of {member.size} bytes")
        end = tar.offset
        yield member


def _member_item(path: str, name: str, member: tarfile.TarInfo, status: os.stat_result) -> SourceItem | None:
    """The item of a member that is called like an image and is no folder; None for all others."""
    parts = PurePosixPath(member.name).parts
    wanted = suffix_of(member.name) in LISTED_SUFFIXES
    if not wanted or member.isdir() or any(is_set_aside(part) for part in parts if part not in (".", "..")):
        return None
    problem, detail = None, ""
    if not member.isreg():
        problem, detail = refusals.NOT_A_FILE, "a link" if member.islnk() or member.issym() else "a pipe or device"
    elif member.offset_data + member.size > status.st_size:
        problem, detail = refusals.TRUNCATED, "the tar ends within it"
    elif member.issparse():
        problem, detail = refusals.UNREADABLE, "a sparse member"
    elif suffix_of(member.name) in UNSUPPORTED_SUFFIXES:
        problem, detail = refusals.UNSUPPORTED, f"{suffix_of(member.name)}; convert it to JPEG"
    key = storable_path(f"{name}!{member.name}")
    return SourceItem(
        key=key,
        source=key,
        location=Location(storable_path(path), member.offset_data, member.size),
        size_bytes=member.size,
        modified_ns=status.st_mtime_ns,
        problem=problem,
        detail=detail,
    )


def _put_to_sample(samples: _Samples, member: tarfile.TarInfo, wants: Wanted, *, is_image: bool) -> None:
    """Adds a member that is an image, or a text that is wanted, to its sample."""
    name = _SAMPLE.fullmatch(member.name)
    if name is None or not member.isreg() or any(is_set_aside(part) for part in PurePosixPath(name[1]).parts):
        return
    column = "" if is_image else name[2].lower().removesuffix(".txt")
    if is_image or column == "json" or wants(column):
        found = _Member(sys.intern(column), member.offset_data, member.size)
        samples.setdefault(name[1], []).append(found)


def _rest(path: str, name: str, detail: str) -> SourceItem:
    """What stands for the members of a damaged tar that cannot be listed."""
    key = storable_path(f"{name}!")
    return SourceItem(
        key=key,
        source=key,
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


class MemberReader:
    """Reads images that are members, by their place in the tar."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def read(self, path: str, location: Location) -> bytes:
        """The bytes of the member at `location` of the tar at `path`; raises `ImageRefusedError` and `OSError`."""
        assert location.offset is not None, "a member has a place"
        assert location.length is not None, "a member has a length"
        return read_file(path, self._max_bytes, offset=location.offset, length=location.length)


# ---- texts beside images --------------------------------------------------------------------------------------------


def _texts_beside(path: str, file: FoundFile, samples: _Samples) -> SidecarTable:
    """The texts in a tar; those of a sample belong to its images."""
    return SidecarTable(file, lambda keys, encoding: Table((), _sample_rows(path, samples, keys, encoding)))


def _sample_rows(path: str, samples: _Samples, keys: Mapping[int, str], encoding: str | None) -> Iterator[Row | BadRow]:
    for sample, parts in samples.items():
        texts = [part for part in parts if part.column]
        place = f"sample {unicode_name(sample)}"
        try:
            rows = _rows_of_sample(path, texts, encoding) if texts else []
        except (OSError, ValueError, ImageRefusedError) as error:
            yield BadRow(place, f"{error}"[:200])
            continue
        images = tuple(keys[part.offset] for part in parts if not part.column)
        for values in rows:
            yield Row(place, values, images=images)


def _rows_of_sample(path: str, texts: list[_Member], encoding: str | None) -> list[dict[str, Any]]:
    """What the texts of a sample say: one row, or as many as its JSON is a list of. Raises `ValueError`."""
    cells: dict[str, Any] = {}
    for part in texts:
        data = read_file(path, _MAX_MEMBER_BYTES, offset=part.offset, length=part.length)
        if part.column in cells:
            raise ValueError(f"{part.column} stands in the sample twice")
        cells[part.column] = decode(data, encoding)
    if "json" not in cells:
        return [cells]
    value = parse_json(cells.pop("json"))
    objects = value if isinstance(value, list) else [value]
    for row in objects:
        if not isinstance(row, dict):
            raise ValueError("the JSON is neither an object nor a list of objects")
        if repeated := row.keys() & cells.keys():
            raise ValueError(f"{min(repeated)} stands in the JSON and beside it")
    return [{**cells, **row} for row in objects]
