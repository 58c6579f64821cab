"""Which columns of people's are which of our fields, and what their cells say; all of it pure."""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from ostensive.errors import OstensiveError, SettingsError
from ostensive.images.annotations import BROKEN_TEXT, IMAGE_FIELDS, NOT_TEXT, TOO_LONG, Annotations, RawAnnotation
from ostensive.images.json_rows import parse_json
from ostensive.images.paths import shown_name
from ostensive.images.settings import ANNOTATION_FIELDS, LIST_FIELDS, AnnotationSettings
from ostensive.records import NamedText

IMAGE_COLUMNS: Final = ("file_name", "image", "image_path", "img_path", "filename")
"""The columns that may name the image of a row, besides `image_id`, which is looked at where there is none of them."""
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "question": ("question",),
    "answers": ("answers", "answer", "multiple_choice_answer"),
    "choices": ("choices", "options"),
    "label": ("label", "class", "category", "cls"),
    "instruction": ("instruction",),
    "rationales": ("rationales", "rationale", "explanations", "explanation"),
    "split": ("split",),
    "source": ("source",),
    "license": ("license", "licence"),
}
"""The columns that are taken for a field of ours, unless `annotations.columns` names another."""
MAX_TEXT: Final = 131_072
"""The longest text, in characters; what the CSV reader of Python takes."""

_NUMBERED: Final = re.compile(r"(.+)_([0-9]{1,4})")
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


FoundT = TypeVar("FoundT")


class ItemLostError(OstensiveError):
    """A row, or a cell of it, cannot be used; `reason` is one of `REASONS`. It is caught where it is counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


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


# ---- cells ----------------------------------------------------------------------------------------------------------


def read_item(values: Mapping[str, Any], fields: Mapping[str, tuple[str, ...]], place: str) -> RawAnnotation | None:
    """The item in a row, by the columns of its `fields`; None for an empty one. Raises `ItemLostError`."""
    read: dict[str, Any] = {}
    extras = []
    for name, columns in fields.items():
        if name in LIST_FIELDS:
            read[name] = tuple(text for column in columns for text in _texts_in(values.get(column), column))
        else:
            text = text_in(values.get(columns[0]), columns[0])
            if name in ANNOTATION_FIELDS:
                read[name] = text
            elif text is not None:
                extras.append(NamedText(name, text))
    if not extras and not any(read.values()):
        return None
    return RawAnnotation(**read, extras=tuple(sorted(extras, key=lambda extra: extra.name)), place=place)


def text_in(value: Any, column: str) -> str | None:
    """The text in a cell: without white space around it, lines ended by line feeds; None for an empty one.

    Numbers and truth values are texts too. Raises `ItemLostError` for a list, an object, an infinite number, for what
    no text holds (control characters, halves of surrogate pairs), and for more than `MAX_TEXT` characters.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal) or (isinstance(value, float) and value not in (float("inf"), float("-inf"))):
        value = "" if value != value else str(value)  # noqa: PLR0124 - NaN alone differs from itself
    if value is None:
        return None
    if not isinstance(value, str):
        raise ItemLostError(NOT_TEXT, f"{column} is {shown_name(f'{value!r:.60}')}, one text is expected")
    text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(text) > MAX_TEXT:
        raise ItemLostError(TOO_LONG, f"{column} has {len(text)} characters, at most {MAX_TEXT} are taken")
    if broken := _UNPRINTABLE.search(text):
        raise ItemLostError(BROKEN_TEXT, f"{column} holds U+{ord(broken[0]):04X} at {broken.start()}")
    return text or None


def _texts_in(value: Any, column: str) -> list[str]:
    """The texts in a cell that may hold several: a list, a list written as JSON as CSV has them, or one text."""
    if isinstance(value, str) and re.match(r"\s*\[\s*[\"']", value):
        value = _listed(value, column)
    values = value if isinstance(value, list) else [value]
    return [text for text in (text_in(part, column) for part in values) if text is not None]


def _listed(text: str, column: str) -> list[Any]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise ItemLostError(
            NOT_TEXT, f"{column} begins like a list and is none in JSON ({error}): {text:.40}"
        ) from error
    assert isinstance(value, list), "what begins with a bracket is a list"
    return value


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
