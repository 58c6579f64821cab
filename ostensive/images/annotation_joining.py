"""What lies beside the images, and in a file of annotations, read and put to the images that were listed.

A row that cannot be used is counted with its reason and its place. What makes all the rows of a file doubtful refuses
it, whether it was given or lies beside the images: a split or a licence that is passed over is not noticed until the
corpus is published. `annotations.beside=false` leaves what lies beside them unread.
"""

import itertools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final  # Any: cells

from ostensive.errors import SettingsError
from ostensive.images.annotation_cells import ItemLostError, read_item, text_in
from ostensive.images.annotation_columns import AnnotationColumns
from ostensive.images.annotations import (
    EMPTY,
    NO_CONVERSATION,
    NO_IMAGE,
    NO_NAME,
    REPEATED,
    SEVERAL_IMAGES,
    UNREADABLE_ROW,
    AnnotationLoss,
    Annotations,
    AnnotationSource,
    RawAnnotation,
    settle,
)
from ostensive.images.formats import open_table
from ostensive.images.image_names import ImageNames
from ostensive.images.items import FoundFile, SidecarTable, SourceItem, SourceListing
from ostensive.images.paths import openable_path, shown_name, storable_path, unicode_name
from ostensive.images.rows import BadRow, Row, Table

_LOSSES_KEPT: Final = 1000  # of each reason, with their places; all are counted
_HASH: Final = re.compile("[0-9a-f]{64}")

_Items = defaultdict[str, dict[RawAnnotation, RawAnnotation]]
# Where the item of a row belongs: those by key or those by hash, and the key or hash. Raises `ItemLostError`.
_Find = Callable[[Row], tuple[_Items, str]]


def read_annotations(
    listing: SourceListing, columns: AnnotationColumns, file: str | os.PathLike[str] | None = None
) -> Annotations:
    """All that was given for the images of `listing`, beside them and in `file`, in the columns that it was made for.

    `listing` is the whole one, not what a limit leaves of it: a row of an image beyond the limit names an image that
    is there. Raises `SettingsError` for a file that cannot be read, for a column that may be two things or is named in
    `annotations.columns` and in no file, and for a `file` of which no row can be used.
    """
    found = _Found(columns)
    if listing.sidecars is not None:
        names = ImageNames(listing.items)
        for metadata in listing.sidecars.metadata_files:
            if file is None or Path(file).resolve() != Path(metadata.path).resolve():
                _read_metadata(metadata, names, found)
        _read_tables(listing.sidecars.tables, listing.items, found)
    if file is not None:
        _read_given(os.fspath(file), listing.items, found)
    _check_named(columns, found.sources)
    return found.result()


class _Found:
    """What was read so far."""

    def __init__(self, columns: AnnotationColumns) -> None:
        self.columns = columns
        self.items: _Items = defaultdict(dict)
        self.by_image_id: _Items = defaultdict(dict)
        self.rows = 0
        self.sources: list[AnnotationSource] = []
        self._merged = 0
        self.lost: Counter[str] = Counter()
        self.losses: defaultdict[str, list[AnnotationLoss]] = defaultdict(list)

    def lose(self, loss: AnnotationLoss) -> None:
        self.lost[loss.reason] += 1
        if len(self.losses[loss.reason]) < _LOSSES_KEPT:
            self.losses[loss.reason].append(loss)

    def take_rows(self, table: Table, name: str, find: _Find, *, all_count: bool = False) -> int:
        """Takes the rows of a table, in the file that is stored as `name`, and says how many of them gave an item.

        Rows without any column of ours are passed over unless `all_count`: what lies beside images may be about
        something else.
        """
        met, fields, taken, shown = dict.fromkeys(table.columns), dict[str, None](), 0, shown_name(name)
        for row in table.rows:
            place = f"{name}, {row.place}"
            if isinstance(row, BadRow):
                self.rows += 1
                self.lose(AnnotationLoss(UNREADABLE_ROW, place, row.detail))
                continue
            met.update(dict.fromkeys(row.values))
            own = self.columns.fields_of(row.values, shown)
            if own or all_count:
                fields.update(dict.fromkeys(own))
                taken += self._take(row, own, place, find)
        self.sources.append(AnnotationSource(shown, tuple(met), tuple(fields)))
        return taken

    def _take(self, row: Row, fields: Mapping[str, tuple[str, ...]], place: str, find: _Find) -> bool:
        self.rows += 1
        try:
            items, owner = find(row)
            item = read_item(row.values, fields, place)
            if item is None:
                raise ItemLostError(EMPTY)
        except ItemLostError as error:
            self.lose(AnnotationLoss(error.reason, place, error.detail))
            return False
        first = items[owner].setdefault(item, item)
        if first is not item:
            self.lose(AnnotationLoss(REPEATED, place, first.place))
        return True

    def result(self) -> Annotations:
        items, by_image_id = self._settle(self.items), self._settle(self.by_image_id)
        return Annotations(
            items=items,
            by_image_id=by_image_id,
            lost=dict(sorted(self.lost.items())),
            losses=tuple(loss for reason in sorted(self.losses) for loss in self.losses[reason]),
            merged=self._merged,
            rows=self.rows,
            sources=_gathered(self.sources),
        )

    def _settle(self, items: _Items) -> dict[str, tuple[RawAnnotation, ...]]:
        settled = {owner: settle(tuple(own)) for owner, own in items.items()}
        self._merged += sum(of_one.merged for of_one in settled.values())
        for loss in (loss for of_one in settled.values() for loss in of_one.losses):
            self.lose(loss)
        return {owner: of_one.items for owner, of_one in settled.items() if of_one.items}


def _gathered(sources: list[AnnotationSource]) -> tuple[AnnotationSource, ...]:
    """Sources with the same columns as one: a data set may have a thousand files."""
    alike: defaultdict[tuple[frozenset[str], tuple[str, ...]], list[AnnotationSource]] = defaultdict(list)
    for source in sources:
        alike[frozenset(source.columns), source.fields].append(source)
    return tuple(
        AnnotationSource(f"{first.name} and {len(others)} more" if others else first.name, first.columns, first.fields)
        for first, *others in alike.values()
    )


# ---- what lies beside the images ------------------------------------------------------------------------------------


def _read_metadata(file: FoundFile, names: ImageNames, found: _Found) -> None:
    """A metadata file in a folder: its rows name images by their path from the folder that it is in."""
    columns, shown = found.columns, shown_name(file.name)
    table = open_table(file.path, shown, columns.settings.encoding, columns.wants)
    source = AnnotationSource(shown, table.columns, ())
    if table.columns and not columns.fields_of(table.columns, shown):
        found.sources.append(source)
        return
    folder = str(PurePosixPath(openable_path(file.name)).parent)

    def find(row: Row) -> tuple[_Items, str]:
        column = columns.file_name_in(row.values, shown)
        given = None if column is None else row.values[column]
        if not isinstance(given, str) or not given:
            raise ItemLostError(NO_NAME)
        key = names.at(f"{folder}/{given}")
        if key is None:
            raise ItemLostError(NO_IMAGE, unicode_name(given))
        return found.items, key

    if table.columns and columns.file_name_in(table.columns, shown) is None:
        raise SettingsError(
            f"{shown}: no column file_name, its columns are {source.shown_columns}; say which "
            "holds them with annotations.columns.image=COLUMN, or leave this file unread with annotations.beside=false"
        )
    found.take_rows(table, file.name, find)


def _read_tables(tables: list[SidecarTable], items: list[SourceItem], found: _Found) -> None:
    """The texts in the files that hold the images: columns beside theirs, members of a tar beside them."""
    inside = (item for item in items if item.location.offset is not None)
    images = {path: list(own) for path, own in itertools.groupby(inside, lambda item: item.location.path)}

    def find(row: Row) -> tuple[_Items, str]:
        if len(row.images) != 1:
            raise ItemLostError(SEVERAL_IMAGES if row.images else NO_IMAGE, "; ".join(row.images)[:200])
        return found.items, row.images[0]

    for sidecar in tables:
        own, name = images.get(sidecar.file.path, []), sidecar.file.name
        keys: dict[int, str] = {}
        for item in own:
            if item.location.offset is not None:
                keys.setdefault(item.location.offset, item.key)  # links in a tar come after what they lead to
        table = sidecar.open(keys, found.columns.settings.encoding)
        if table.columns and not found.columns.fields_of(table.columns, shown_name(name)):
            found.sources.append(AnnotationSource(shown_name(name), table.columns, ()))
        else:
            found.take_rows(table, name, find)


# ---- what is given --------------------------------------------------------------------------------------------------


def _read_given(file: str, items: list[SourceItem], found: _Found) -> None:
    """A file of annotations: its rows name images as they are listed, by a part of that, or by their hash."""
    columns, name, names = found.columns, shown_name(file), ImageNames(items)
    table = open_table(str(Path(file).absolute()), name, columns.settings.encoding, columns.wants)
    if table.columns:
        _check_columns(AnnotationSource(name, table.columns, ()), found)

    def find(row: Row) -> tuple[_Items, str]:
        column = columns.image_column_in(row.values, name)
        text = row.key if column is None else _image_name(row.values[column], column)
        if not text:
            raise ItemLostError(NO_NAME)
        keys = names.find(text)
        if len(keys) > 1:
            raise ItemLostError(SEVERAL_IMAGES, f"{unicode_name(text):.80}: {'; '.join(keys[:2]):.160}")
        if not keys and not _HASH.fullmatch(text.lower()):
            raise ItemLostError(NO_IMAGE, f"{unicode_name(text):.160}")
        return (found.items, keys[0]) if keys else (found.by_image_id, text.lower())

    before, lost = found.rows, found.lost.copy()
    if found.take_rows(table, storable_path(file), find, all_count=True):
        return
    if found.rows == before:
        raise SettingsError(f"{name}: holds no row; one row for each item is expected")
    ((reason, _),) = (found.lost - lost).most_common(1)
    if reason in (NO_NAME, EMPTY):
        _check_columns(found.sources.pop(), found)
    detail = shown_name(found.losses[reason][-1].detail)
    what = f"{name}: none of its {found.rows - before} rows can be used ({reason}{': ' if detail else ''}{detail})"
    if reason == NO_CONVERSATION:
        raise SettingsError(f"{what}; conversations are read in LLaVA's form (from, value) and TRL's (role, content)")
    raise SettingsError(
        f"{what}; images are named by their path as it is listed ({items[0].source!r:.90}), by their file name, "
        "or by image_id"
    )


def _image_name(given: Any, column: str) -> str | None:
    """The name in a cell, which may be a list of one, as TRL's rows have it. Raises `ItemLostError`."""
    if isinstance(given, list):
        if len(given) > 1:
            raise ItemLostError(SEVERAL_IMAGES, f"{column} has {len(given)} images, one is expected")
        given = given[0] if given else None
    return given if isinstance(given, str) else text_in(given, column)


def _check_columns(source: AnnotationSource, found: _Found) -> None:
    """Raises `SettingsError` where a file lacks the columns without which no row of it can be used."""
    name, shown = source.name, f"its columns are {source.shown_columns}"
    _check_named(found.columns, [*found.sources, source])
    if not found.columns.fields_of(source.columns, name):
        raise SettingsError(
            f"{name}: no column of a known name, {shown}; name them with annotations.columns.FIELD=COLUMN"
        )
    if found.columns.image_column_in(source.columns, name) is None:
        raise SettingsError(
            f"{name}: no column that names the image, such as file_name, {shown}; "
            "name it with annotations.columns.image=COLUMN"
        )


def _check_named(columns: AnnotationColumns, sources: list[AnnotationSource]) -> None:
    """Raises `SettingsError` for a column that the recipe names and that is nowhere."""
    image = () if columns.image_column is None else (columns.image_column,)
    for field, named in {**columns.named, "image": image}.items():
        for column in named:
            if not any(column in source.columns for source in sources):
                places = "; ".join(f"{source.name} has {source.shown_columns}" for source in sources[:3])
                where = places or "nothing lies beside the images"
                raise SettingsError(f"annotations.columns.{field}: there is no column {column!r} ({where})")
