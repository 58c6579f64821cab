"""Which columns of people's are which of our fields; all of it pure."""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, TypeVar

from ostensive.errors import SettingsError
from ostensive.images.annotations import IMAGE_FIELDS, Annotations
from ostensive.images.paths import shown_name
from ostensive.images.settings import ANNOTATION_FIELDS, LIST_FIELDS, AnnotationSettings

IMAGE_COLUMNS: Final = ("file_name", "image", "image_path", "img_path", "filename", "images")
"""The columns that may name the image of a row, besides `image_id`, which is looked at where there is none of them."""
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "question": ("question",),
    "answers": ("answers", "answer", "multiple_choice_answer"),
    "choices": ("choices", "options"),
    "label": ("label", "class", "category", "cls"),
    "instruction": ("instruction",),
    "turns": ("conversations", "messages"),
    "rationales": ("rationales", "rationale", "explanations", "explanation"),
    "split": ("split",),
    "source": ("source",),
    "license": ("license", "licence"),
}
"""The columns that are taken for a field of ours, unless `annotations.columns` names another."""
_NUMBERED: Final = re.compile(r"(.+)_([0-9]{1,4})")

FoundT = TypeVar("FoundT")


# ---- columns --------------------------------------------------------------------------------------------------------


class AnnotationColumns:
    """Which of the columns of people's are looked at, and for which of our fields.

    `fields` are those that the recipe can use: a name that is none of our fields is an extra, in the column of that
    name. Split, source and licence, and what `annotations.columns` names, are always looked at.
    """

    def __init__(self, settings: AnnotationSettings, fields: Collection[str] = ANNOTATION_FIELDS) -> None:
        self.settings = settings
        named = {name: (given,) if isinstance(given, str) else given for name, given in settings.columns.items()}
        self.image_column = named.pop("image", (None,))[0]
        self.named: Mapping[str, tuple[str, ...]] = named
        standard = dict.fromkeys((*fields, *IMAGE_FIELDS))
        self._standard = {name: COLUMNS.get(name, (name,)) for name in standard if name not in named}
        self._known = frozenset(column for columns in (*named.values(), *self._standard.values()) for column in columns)
        self._fields_of = functools.lru_cache(maxsize=1024)(self._find_fields)
        self._image_of = functools.lru_cache(maxsize=1024)(self._find_image)
        self._file_name_of = functools.lru_cache(maxsize=1024)(self._find_file_name)

    def holds_text(self, column: str) -> bool:
        """Whether a column of this name may be one of our fields."""
        return column in self._known or self._is_numbered(column)

    def wants(self, column: str) -> bool:
        """Whether a column of this name is looked at: for one of our fields, or because it names the image."""
        return self.holds_text(column) or column == self.image_column or _names_image(column)

    def fields_of(self, columns: Iterable[str], shown: str) -> Mapping[str, tuple[str, ...]]:
        """The columns, of those that a row or a file has, for each of our fields; no field where there is none.

        Raises `SettingsError`, which begins with `shown`, where two columns may be the same field.
        """
        return _placed(self._fields_of, columns, shown)

    def image_column_in(self, columns: Iterable[str], shown: str) -> str | None:
        """The column that names the image of a row in a file; None where there is none. Raises as `fields_of` does."""
        return _placed(self._image_of, columns, shown)

    def file_name_in(self, columns: Iterable[str], shown: str) -> str | None:
        """The column that names the image in a metadata file, as `datasets` has it. Raises as `fields_of` does."""
        return _placed(self._file_name_of, columns, shown)

    def _find_file_name(self, columns: tuple[str, ...]) -> str | None:
        if self.image_column in columns or "file_name" in columns:
            return self.image_column if self.image_column in columns else "file_name"
        return _only([column for column in columns if column.endswith("_file_name")])

    def _find_image(self, columns: tuple[str, ...]) -> str | None:
        if self.image_column is not None:
            return self.image_column if self.image_column in columns else None
        found = _only([column for column in columns if column in IMAGE_COLUMNS])
        return found or ("image_id" if "image_id" in columns else None)

    def _find_fields(self, columns: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        found = {name: tuple(c for c in given if c in columns) for name, given in self.named.items()}
        for name, usual in self._standard.items():
            chosen = [column for column in usual if column in columns]
            if len(chosen) > 1:
                raise SettingsError(
                    f"the columns {' and '.join(chosen)} may both be {name}; "
                    f"choose one with annotations.columns.{name}={chosen[0]}"
                )
            bases = chosen or list(usual)
            numbered = [column for column in columns if name in LIST_FIELDS and _base_of(column) in bases]
            found[name] = (*chosen, *sorted(numbered, key=_number_of))
        return {name: given for name, given in found.items() if given}

    def _is_numbered(self, column: str) -> bool:
        return any(_base_of(column) in self._standard.get(name, ()) for name in LIST_FIELDS)


def _placed(find: Callable[[tuple[str, ...]], FoundT], columns: Iterable[str], shown: str) -> FoundT:
    try:
        return find(tuple(columns))
    except SettingsError as error:
        raise SettingsError(f"{shown}: {error}") from error


def _only(columns: list[str]) -> str | None:
    if len(columns) > 1:
        names = shown_name(" and ".join(columns))
        raise SettingsError(
            f"the columns {names} may both name the image; choose one with annotations.columns.image=COLUMN"
        )
    return columns[0] if columns else None


def _names_image(column: str) -> bool:
    return column in IMAGE_COLUMNS or column == "image_id" or column.endswith("_file_name")


def _base_of(column: str) -> str | None:
    found = _NUMBERED.fullmatch(column)
    return found[1] if found else None


def _number_of(column: str) -> int:
    return int(column.rpartition("_")[2])


# ---- what a recipe requires -----------------------------------------------------------------------------------------


def check_required(annotations: Annotations, required: Iterable[str]) -> None:
    """Raises `SettingsError` where no column at all was found for a field, or an extra, that a recipe requires."""
    found = {name for source in annotations.sources for name in source.fields}
    missing = next((name for name in required if name not in found), None)
    if missing is None:
        return
    usual = " or ".join(COLUMNS.get(missing, (missing,)))
    if not annotations.sources:
        raise SettingsError(
            f"annotations: this recipe requires {missing} beside each image, and nothing lies beside them; give "
            f"--annotations FILE, or a metadata.csv in the folder with the columns file_name and {usual}"
        )
    places = "; ".join(f"{source.name} ({source.shown_columns})" for source in annotations.sources[:3])
    more = f" and {len(annotations.sources) - 3} more" if len(annotations.sources) > 3 else ""
    raise SettingsError(
        f"annotations: this recipe requires {missing}, and no column {usual} is in {places}{more}; say which column it "
        f"is with annotations.columns.{missing}=COLUMN, or give --annotations FILE"
    )
