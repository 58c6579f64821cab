"""How two corpora differ: settings, images, splits, rows and figures.

A row's id comes from its image, the request that wrote it and its place in the reply, so that it names the same row in
every run that asked the same. A changed prompt changes all ids; rows are then matched by what they say about which
image. Rows are compared as numbers of their values (`cards.column_hashes`), a batch of them at a time.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from typing import Any, Final  # Any: values of settings and rows; pyarrow has no types

import numpy as np
import pyarrow as pa

from cards.column_hashes import Hashes
from cards.compared import ColumnHashes, ComparedCorpus, column_hashes
from cards.compared_figures import Figure, figures_side_by_side
from cards.difference_examples import PASSED_OVER, Example, Fate, Place, Side, fields_of, read_examples
from cards.row_matching import Matching, Places, match, match_rest
from ostensive import arrow
from ostensive.recipe_kind import RecipeKind

_NOT_OF_IMAGE: Final = frozenset({"image", "rows", "split"})
WITHOUT_TEXTS: Final = "which fields of a row are its texts is not known here: rows were matched by id alone"


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A setting that two recipes do not have alike; a side without it is not among the values."""

    path: str
    values: Mapping[Side, Any]


@dataclass(frozen=True, slots=True)
class ImageDifferences:
    """Images by what became of them; `changed_fields` are those of the same images, by what is said of them."""

    same: int
    changed: int
    changed_fields: Mapping[str, int]
    added: int
    removed: int
    moved: Mapping[tuple[str, str], int]  # images in another split, by the split of the first and of the second


@dataclass(frozen=True, slots=True)
class RowDifferences:
    """Rows by what became of them.

    Those of the first are `same`, `changed`, `renamed` and `removed`, those of the second `same`, `changed`, `renamed`
    and `added`.
    """

    same: int
    changed: int  # the same id, but other content
    changed_fields: Mapping[str, int]
    renamed: int | None  # the same texts about the same image under another id; None where texts are not known
    renamed_fields: Mapping[str, int]
    added: int
    removed: int
    added_to_shared_images: int  # about images that both have
    removed_from_shared_images: int


@dataclass(frozen=True, slots=True)
class CorpusDifferences:
    """Two corpora side by side. `note` says why rows and images were not compared, or what of them was not."""

    first: ComparedCorpus
    second: ComparedCorpus
    settings: tuple[SettingDifference, ...] | None  # None where a card does not say
    images: ImageDifferences | None
    rows: RowDifferences | None
    figures: tuple[Figure, ...]
    examples: tuple[Example, ...] = ()
    note: str = ""


def compare(
    first: ComparedCorpus, second: ComparedCorpus, kind: RecipeKind | None, *, examples: int = 0
) -> CorpusDifferences:
    """How `second` differs from `first`; `kind` is that of their recipe, None where it is not known here.

    Corpora of two recipes have figures alone. `examples` is how many there are at most of each fate. Raises
    `OstensiveError` for a file that is not there or cannot be read.
    """
    settings, figures = setting_differences(first, second), figures_side_by_side(first, second)
    if first.recipe and second.recipe and first.recipe != second.recipe:
        note = f"rows of {first.recipe} and of {second.recipe} are not of one kind: figures only"
        return CorpusDifferences(first, second, settings, None, None, figures, note=note)
    images, rows = _matched_images(first, second), _matched_rows(first, second, kind)
    shown = (islice(found, examples) for found in (*_row_examples(rows), *_image_examples(images)))
    return CorpusDifferences(
        first,
        second,
        settings,
        _image_differences(images),
        _row_differences(rows, images),
        figures,
        read_examples(first, second, list(chain.from_iterable(shown)), kind),
        WITHOUT_TEXTS if rows.renamed is None else "",
    )


def setting_differences(first: ComparedCorpus, second: ComparedCorpus) -> tuple[SettingDifference, ...] | None:
    """The settings that differ, in the order of the first; None where one of the cards does not say them."""
    if first.settings is None or second.settings is None:
        return None
    sides: tuple[tuple[Side, Mapping[str, Any]], ...] = (("a", first.settings), ("b", second.settings))
    paths = tuple(dict.fromkeys((*first.settings, *second.settings)))
    sections = {section for path in paths for section in accumulate(path.split(".")[:-1], "{}.{}".format)}
    found = []
    for path in paths:
        values = {side: settings[path] for side, settings in sides if path in settings}
        if path not in sections and (len(values) < len(sides) or values["a"] != values["b"]):
            found.append(SettingDifference(path, values))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Matched:
    """The rows, or the images, of both corpora, and which of them are the same."""

    first: ColumnHashes
    second: ColumnHashes
    match: Matching
    renamed: Matching | None = None  # of what `match` leaves over; None where it was not looked for

    @property
    def rest(self) -> Matching:
        """What is left over in the end."""
        return self.match if self.renamed is None else self.renamed

    def changed(self, pairs: Matching) -> dict[str, Places]:
        """The pairs that are not alike in a field, by the field, as places in `pairs`; fields that both have."""
        found = {}
        for name, values in self.first.values.items():
            if name not in PASSED_OVER and name in self.second.values:
                places = np.flatnonzero(values[pairs.first] != self.second.values[name][pairs.second])
                if len(places):
                    found[name] = places
        return found

    def moved(self) -> Places:
        """The pairs in two splits, as places in `match`."""
        names = [np.array((*one.split_names, ""))[one.splits] for one in (self.first, self.second)]
        return np.flatnonzero(names[0][self.match.first] != names[1][self.match.second])


def _matched_images(first: ComparedCorpus, second: ComparedCorpus) -> _Matched:
    here, there = (column_hashes(one, "samples", _columns(one, "samples", _NOT_OF_IMAGE)) for one in (first, second))
    return _Matched(here, there, match(_ids(here, "image_id"), _ids(there, "image_id")))


def _matched_rows(first: ComparedCorpus, second: ComparedCorpus, kind: RecipeKind | None) -> _Matched:
    here, there = (column_hashes(one, "rows", _columns(one, "rows", frozenset())) for one in (first, second))
    found = match(_ids(here, "row_id"), _ids(there, "row_id"))
    if kind is None or not all(_holds_candidates(one, kind) for one in (first, second)):
        return _Matched(here, there, found)
    texts = _text_hashes(first, kind, found.only_first), _text_hashes(second, kind, found.only_second)
    return _Matched(here, there, found, match_rest(found, *texts))


def _columns(corpus: ComparedCorpus, kind: str, passed_over: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in corpus.names(kind) if name not in passed_over)


def _ids(hashes: ColumnHashes, name: str) -> Hashes:
    return hashes.values.get(name, np.zeros(0, np.uint64))


def _holds_candidates(corpus: ComparedCorpus, kind: RecipeKind) -> bool:
    """Whether rows have all fields of the recipe's candidates; those of another version may not."""
    names = corpus.names("rows")
    return not names or fields_of(kind) <= set(names)


def _text_hashes(corpus: ComparedCorpus, kind: RecipeKind, places: Places) -> Hashes:
    """A number for what each of the rows at these places, in ascending order, says about which image."""
    record: Any = kind.candidate
    found, first = np.zeros(len(places), np.uint64), 0
    for _, batch in corpus.batches("rows", sorted(fields_of(kind))) if len(places) else ():
        start, end = np.searchsorted(places, (first, first + batch.num_rows))
        table = pa.Table.from_batches([batch]).take(places[start:end] - first)
        for place, candidate in enumerate(arrow.from_table(table, record), start):
            said = [candidate.image_id, *((text.name, text.text) for text in kind.shown(candidate))]
            digest = hashlib.blake2b(json.dumps(said).encode("utf-8"), digest_size=8).digest()
            found[place] = int.from_bytes(digest, "little")
        first += batch.num_rows
    return found


def _image_differences(images: _Matched) -> ImageDifferences:
    fields, moved = images.changed(images.match), Counter[tuple[str, str]]()
    for place in images.moved():
        before, after = images.first.splits[images.match.first[place]], images.second.splits[images.match.second[place]]
        moved[images.first.split_names[before], images.second.split_names[after]] += 1
    changed = len(_union(fields))
    return ImageDifferences(
        same=len(images.match.first) - changed,
        changed=changed,
        changed_fields={name: len(places) for name, places in fields.items()},
        added=len(images.match.only_second),
        removed=len(images.match.only_first),
        moved=dict(sorted(moved.items())),
    )


def _row_differences(rows: _Matched, images: _Matched) -> RowDifferences:
    fields = rows.changed(rows.match)
    renamed = {} if rows.renamed is None else rows.changed(rows.renamed)
    changed = len(_union(fields))
    added = _ids(rows.second, "image_id")[rows.rest.only_second]
    removed = _ids(rows.first, "image_id")[rows.rest.only_first]
    return RowDifferences(
        same=len(rows.match.first) - changed,
        changed=changed,
        changed_fields={name: len(places) for name, places in fields.items()},
        renamed=None if rows.renamed is None else len(rows.renamed.first),
        renamed_fields={name: len(places) for name, places in renamed.items()},
        added=len(added),
        removed=len(removed),
        added_to_shared_images=int(np.isin(added, _ids(images.first, "image_id")).sum()),
        removed_from_shared_images=int(np.isin(removed, _ids(images.second, "image_id")).sum()),
    )


def _union(changed: Mapping[str, Places]) -> Places:
    return np.unique(np.concatenate(list(changed.values()))) if changed else np.zeros(0, np.int64)


def _row_examples(rows: _Matched) -> Iterator[Iterator[Place]]:
    yield _alone("removed", rows.rest.only_first, "a")
    yield _alone("added", rows.rest.only_second, "b")
    yield _pairs("changed", rows.match, _union(rows.changed(rows.match)))
    if rows.renamed is not None:
        yield _pairs("renamed", rows.renamed, np.arange(len(rows.renamed.first)))


def _image_examples(images: _Matched) -> Iterator[Iterator[Place]]:
    yield _alone("image removed", images.match.only_first, "a")
    yield _alone("image added", images.match.only_second, "b")
    yield _pairs("image moved", images.match, images.moved())


def _alone(fate: Fate, places: Places, side: Side) -> Iterator[Place]:
    for place in map(int, places):
        yield Place(fate, place, None) if side == "a" else Place(fate, None, place)


def _pairs(fate: Fate, pairs: Matching, places: Places) -> Iterator[Place]:
    for place in places:
        yield Place(fate, int(pairs.first[place]), int(pairs.second[place]))
