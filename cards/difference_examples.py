"""Rows and images that differ, as people look at them: what a row says, and what of it is not alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal  # Any: values of rows, candidates of any recipe

from cards.compared import ComparedCorpus
from ostensive import arrow
from ostensive.recipe_kind import RecipeKind

Side = Literal["a", "b"]
Fate = Literal["removed", "added", "changed", "renamed", "image removed", "image added", "image moved"]
PASSED_OVER: Final = frozenset({"row_id", "recipe_hash", "shard", "split"})
"""Fields of a row that say where it lies and in which corpus, and not what it is."""
_OF_IMAGE: Final = ("image_id", "source")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row or an image that differs is, by its place in the files of either corpus."""

    fate: Fate
    first: int | None
    second: int | None


@dataclass(frozen=True, slots=True)
class Example:
    """An example with what it says. `values` are texts by name of one side, or of each side where the two differ."""

    fate: Fate
    ids: Mapping[Side, str]  # of the row, or of the image
    source: str  # where the image was found
    values: Mapping[str, Mapping[Side, Any]]


def read_examples(
    first: ComparedCorpus, second: ComparedCorpus, places: Sequence[Place], kind: RecipeKind | None
) -> tuple[Example, ...]:
    """What is said at these places; `kind` None is of a recipe that is not known here."""
    found = []
    for fate in dict.fromkeys(place.fate for place in places):
        here = [place for place in places if place.fate == fate]
        rows = (
            _read(first, fate, [place.first for place in here]),
            _read(second, fate, [place.second for place in here]),
        )
        for before, after in zip(*rows, strict=True):
            sides: dict[Side, dict[str, Any]] = {}
            sides |= {} if before is None else {"a": before}
            sides |= {} if after is None else {"b": after}
            found.append(_example(fate, sides, kind))
    return tuple(found)


def _read(corpus: ComparedCorpus, fate: Fate, places: Sequence[int | None]) -> list[dict[str, Any] | None]:
    is_image = fate.startswith("image")
    there = [place for place in places if place is not None]
    read = corpus.rows_at("samples" if is_image else "rows", there, _OF_IMAGE if is_image else None)
    by_place = dict(zip(there, read, strict=True))
    return [None if place is None else by_place[place] for place in places]


def _example(fate: Fate, rows: Mapping[Side, dict[str, Any]], kind: RecipeKind | None) -> Example:
    is_image = fate.startswith("image")
    ids = {side: str(row["image_id" if is_image else "row_id"]) for side, row in rows.items()}
    source = str(next(iter(rows.values())).get("source", ""))
    values: dict[str, dict[Side, Any]] = {}
    if fate in ("removed", "added", "renamed"):
        values |= _said(rows, kind)
    if fate in ("changed", "renamed"):
        values |= _unlike(rows["a"], rows["b"])
    return Example(fate, ids, source, values)


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[Side, Any]]:
    return {
        name: {"a": first[name], "b": second[name]}
        for name in first
        if name in second and name not in PASSED_OVER and first[name] != second[name]
    }


def _said(rows: Mapping[Side, dict[str, Any]], kind: RecipeKind | None) -> dict[str, dict[Side, Any]]:
    """The texts of a row; every text in it where it is not known which they are."""
    side, row = next(iter(rows.items()))
    if kind is None or not fields_of(kind) <= row.keys():
        return {
            name: {side: value} for name, value in row.items() if isinstance(value, str) and name not in PASSED_OVER
        }
    record: Any = kind.candidate
    candidate = arrow.from_plain([row], record)[0]
    return {text.name: {side: text.text} for text in kind.shown(candidate)}


def fields_of(kind: RecipeKind) -> frozenset[str]:
    """The fields of the candidates of a recipe."""
    record: Any = kind.candidate
    return frozenset(arrow.schema_of(record).names)
