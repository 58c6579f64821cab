"""What the user gave as images, to a list of source items: nothing is decoded, and the order is always the same.

A source is a folder, a list file, an image, a WebDataset tar, a Parquet or Arrow file, or a folder that
`datasets` wrote. A folder is taken for a data set only when it holds no image file: in a folder with both, the images
are taken and each tar, Parquet or Arrow file is a refused item, so that thumbnails beside shards, or shards beside
photographs, are never silently mixed into one corpus.

Of several data sets one that gives no image is a refused item: tools leave tables of metadata beside their tars. It is
an error where nothing else is left.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from ostensive.errors import SettingsError
from ostensive.images import refusals
from ostensive.images.annotation_columns import AnnotationColumns
from ostensive.images.files import (
    LISTED_SUFFIXES,
    file_item,
    how_to_unpack,
    is_packed,
    list_folder,
    refused_item,
    suffix_of,
)
from ostensive.images.formats import IMAGE_FILES
from ostensive.images.items import FoundFile, Sidecars, SourceItem, SourceListing
from ostensive.images.paths import is_inside, shown_name, storable_path
from ostensive.images.refusals import DataSetUnusableError, NoImageColumnError, PackedError
from ostensive.images.settings import IntakeSettings
from ostensive.images.text_files import as_utf8
from ostensive.json_text import parse_json
from ostensive.own_folders import LOOP, RUN, own_kind

_MAX_LIST_BYTES: Final = 1 << 30


def list_items(path: str | os.PathLike[str], settings: IntakeSettings) -> list[SourceItem]:
    """Every image in `path`, as `list_source` gives them, where nothing beside them is of interest."""
    return list_source(path, settings, None).items


def list_source(
    path: str | os.PathLike[str], settings: IntakeSettings, columns: AnnotationColumns | None
) -> SourceListing:
    """Every image in `path`, refused ones included, and where texts lie beside them, if any of their columns count.

    Folders in the order of their names, tars and Parquet in the order of what they hold, a list in its own order. Keys
    are unique. Raises `SettingsError` when there is nothing to take.
    """
    sidecars = None if columns is None or not columns.settings.beside else Sidecars(columns.holds_text)
    given = str(Path(path).absolute())
    shown = shown_name(os.fspath(path))
    try:
        if not Path(given).exists():
            raise SettingsError(
                f"{shown}: no such file or folder; images are taken from a folder, list, tar or Parquet"
            )
        if own_kind(given) in {RUN, LOOP}:
            raise SettingsError(
                f"{shown}: is the folder of a {own_kind(given)}, not of images; give the images that it was made from"
            )
        find = _folder_items if Path(given).is_dir() else _file_items
        items = find(given, shown, settings, sidecars)
    except OSError as error:
        raise SettingsError(f"{shown}: cannot be read: {error.strerror or error}") from error
    if not items:
        raise SettingsError(f"{shown}: no image in it; files with a suffix such as .jpg, .png or .webp are expected")
    return SourceListing(_with_unique_keys(items), sidecars)


def _folder_items(folder: str, shown: str, settings: IntakeSettings, sidecars: Sidecars | None) -> list[SourceItem]:
    root = os.path.realpath(folder)
    listing = list_folder(root, IMAGE_FILES.keys())
    packed = [refused_item(path, root, refusals.PACKED, how_to_unpack(path)) for path in listing.archives]
    if any(item.problem is None for item in listing.images):
        reason = refusals.DATA_SET_AMONG_IMAGES
        refused = [refused_item(path, root, reason, "give it by itself") for path in listing.data_sets]
        if sidecars is not None:
            sidecars.metadata_files += [_metadata_file(path, root) for path in listing.metadata_files]
        return sorted([*listing.images, *refused, *packed], key=lambda item: item.key)
    # Without an image file beside it, a Parquet file of whatever name is a data set.
    data_sets = sorted([*listing.data_sets, *(p for p in listing.metadata_files if suffix_of(p) in IMAGE_FILES)])
    if not data_sets and not listing.images:
        for path in listing.archives:
            raise PackedError(shown_name(path), how_to_unpack(path))
        raise SettingsError(f"{shown}: no image in this folder; files such as .jpg, .png or .webp are expected")
    found = _DataSets(settings, sidecars)
    for path in _without_caches(data_sets):
        if not is_inside(path, root):
            found.items.append(refused_item(path, root, refusals.LEADS_OUT, "link"))
        elif not Path(path).is_file():
            detail = "a tar, Parquet or Arrow file is expected"
            found.items.append(refused_item(path, root, refusals.NOT_A_FILE, detail))
        else:
            found.take(path, os.path.relpath(path, root))
    if not listing.images:
        found.check()
    return [*listing.images, *found.items, *packed]


class _DataSets:
    """The items of several data sets, one after another."""

    def __init__(self, settings: IntakeSettings, sidecars: Sidecars | None) -> None:
        self.items: list[SourceItem] = []
        self._settings = settings
        self._sidecars = sidecars
        self._without_images: list[NoImageColumnError] = []

    def take(self, path: str, name: str) -> None:
        """Adds the items of a data set, or one that says why it gives none."""
        before = len(self.items)
        try:
            self.items.extend(IMAGE_FILES[suffix_of(path)].items(path, name, self._settings, self._sidecars))
        except DataSetUnusableError as error:
            self.items.append(dataclasses.replace(file_item(path, name), problem=error.reason, detail=error.detail))
            if isinstance(error, NoImageColumnError):
                self._without_images.append(error)
        if len(self.items) == before:
            self.items.append(dataclasses.replace(file_item(path, name), problem=refusals.NO_IMAGES))

    def check(self) -> None:
        """Raises `SettingsError` where nothing is left and tables without images are among what was given.

        Leaves no item where all that was given is without images.
        """
        if all(item.problem == refusals.NO_IMAGES for item in self.items):
            self.items.clear()
        if self._without_images and all(item.problem is not None for item in self.items):
            others = len(self.items) - 1
            more = f" (and {others} more from which nothing can be taken)" if others else ""
            raise SettingsError(f"{self._without_images[0]}{more}{_remedy(self._settings)}")


def _remedy(settings: IntakeSettings) -> str:
    """What to do about a table without images, where it is not another `intake.column`."""
    if settings.column is not None:
        return ""
    return "; if the images are in tars beside it, give the tar, or a list of the tars"


def _metadata_file(path: str, root: str) -> FoundFile:
    name = os.path.relpath(path, root)
    if not is_inside(path, root):
        raise SettingsError(f"{shown_name(name)}: a link that leads out of the folder; put the file itself there")
    return FoundFile(path, storable_path(name))


def _without_caches(paths: Sequence[str]) -> Iterator[str]:
    """`paths` less the Arrow files that `datasets` left beside a saved data set without naming them in its state."""
    named: dict[Path, frozenset[str] | None] = {}
    for path in paths:
        file = Path(path)
        if file.suffix.lower() == ".arrow":
            if file.parent not in named:
                named[file.parent] = _saved_files(file.parent / "state.json")
            files = named[file.parent]
            if files is not None and file.name not in files:
                continue
        yield path


def _saved_files(state: Path) -> frozenset[str] | None:
    """The data files that the state of a saved data set names; None where there is no such state."""
    if not state.is_file():
        return None
    try:
        return frozenset(str(file["filename"]) for file in parse_json(state.read_bytes(), strict=False)["_data_files"])
    except (ValueError, KeyError, TypeError) as error:
        message = f"{shown_name(str(state))}: not the state of a data set saved by `datasets`"
        raise SettingsError(f"{message}: {error!r:.80}; save it again with save_to_disk") from error


def _file_items(path: str, shown: str, settings: IntakeSettings, sidecars: Sidecars | None) -> list[SourceItem]:
    name = Path(path).name
    if not Path(path).is_file():
        raise SettingsError(f"{shown}: not a regular file; a folder, list, tar or Parquet is expected")
    if suffix_of(name) in LISTED_SUFFIXES:
        return [file_item(path, name)]
    if is_packed(name):
        raise PackedError(shown_name(path), how_to_unpack(path))
    if suffix_of(name) in IMAGE_FILES:
        try:
            return list(IMAGE_FILES[suffix_of(name)].items(path, name, settings, sidecars))
        except NoImageColumnError as error:
            raise SettingsError(f"{error}{_remedy(settings)}") from error
    return _listed_items(path, shown, settings, sidecars)


def _listed_items(path: str, shown: str, settings: IntakeSettings, sidecars: Sidecars | None) -> list[SourceItem]:
    """The files that a list file names; a line may name an image, a tar, a Parquet or an Arrow file."""
    if Path(path).stat().st_size > _MAX_LIST_BYTES:
        raise SettingsError(f"{shown}: too large for a list of paths (1 GiB); a tar or Parquet needs its suffix")
    folder = str(Path(path).parent)
    names = list(_lines(Path(path).read_bytes(), shown))
    found = _DataSets(settings, sidecars)
    items = found.items
    seen: set[str] = set()
    for name in names:
        target = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - Path cannot end in a space or newline
        item = file_item(target, name)
        if target in seen:
            items.append(dataclasses.replace(item, problem=refusals.LISTED_TWICE, detail=""))
        elif item.problem is None and is_packed(name):
            items.append(dataclasses.replace(item, problem=refusals.PACKED, detail=how_to_unpack(name)))
        elif item.problem is None and suffix_of(name) in IMAGE_FILES:
            found.take(target, name)
        else:
            items.append(item)
        seen.add(target)
    if items and all(item.problem == refusals.MISSING for item in items):
        raise SettingsError(
            f"{shown}: none of its {len(items)} lines names a file (the first is {items[0].source!r:.80}); "
            "one path a line is expected, relative to the list"
        )
    found.check()
    return items


def _lines(content: bytes, shown: str) -> Iterator[str]:
    """The paths in a list: separated by NUL if there is one (for names with line ends), otherwise one a line."""
    text = as_utf8(content)  # editors and shells of Windows write UTF-16, or a mark before UTF-8
    parts = text.split(b"\0") if b"\0" in text else [line.removesuffix(b"\r") for line in text.split(b"\n")]
    while parts and not parts[-1]:
        parts.pop()
    if not parts:
        raise SettingsError(f"{shown}: an empty list; one path a line is expected, relative to the list")
    for number, part in enumerate(parts, 1):
        if not part.strip():
            raise SettingsError(f"{shown}: line {number} names nothing; one path a line is expected")
        yield os.fsdecode(part)


def _with_unique_keys(items: Iterable[SourceItem]) -> list[SourceItem]:
    """`items`, a key that was there already with `#2`, `#3` after it: tars may hold a name twice, lists repeat one."""
    result: list[SourceItem] = []
    counts: dict[str, int] = {}
    taken: set[str] = set()
    for item in items:
        key = item.key
        while key in taken:
            counts[item.key] = counts.get(item.key, 1) + 1
            key = f"{item.key}#{counts[item.key]}"
        taken.add(key)
        result.append(item if key == item.key else dataclasses.replace(item, key=key))
    return result
