"""What the cells of people's columns say: texts, lists of them, conversations; all of it pure.

Conversations come in two forms, LLaVA's (`from`, `value`) and TRL's (`role`, `content`, a text or parts). Both are read
as turns, in which an image stands as `<image>`. Whether they make a good conversation is for the recipe to say.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final  # Any: cells

from ostensive.errors import OstensiveError
from ostensive.images.annotations import BROKEN_TEXT, NO_CONVERSATION, NOT_TEXT, TOO_LONG, RawAnnotation
from ostensive.images.json_rows import parse_json
from ostensive.images.paths import shown_name
from ostensive.images.settings import ANNOTATION_FIELDS, LIST_FIELDS
from ostensive.records import IMAGE_SLOT, NamedText, Turn

MAX_TEXT: Final = 131_072
"""The longest text, in characters; what the CSV reader of Python takes."""

_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ROLES: Final[Mapping[str, str]] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}


class ItemLostError(OstensiveError):
    """A row, or a cell of it, cannot be used; `reason` is one of `REASONS`. It is caught where it is counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_item(values: Mapping[str, Any], fields: Mapping[str, tuple[str, ...]], place: str) -> RawAnnotation | None:
    """The item in a row, by the columns of its `fields`; None for an empty one. Raises `ItemLostError`."""
    read: dict[str, Any] = {}
    extras = []
    for name, columns in fields.items():
        if name in LIST_FIELDS:
            read[name] = tuple(text for column in columns for text in _texts_in(values.get(column), column))
        elif name == "turns":
            read[name] = turns_in(values.get(columns[0]), columns[0])
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


# ---- conversations --------------------------------------------------------------------------------------------------


def turns_in(value: Any, column: str) -> tuple[Turn, ...]:
    """The turns of a conversation in order: a list of objects, or one written as JSON. None and no turn at all are ().

    The text of a turn may be empty. Raises `ItemLostError` for what is neither of the two forms, for parts that are
    neither text nor image, and as `text_in` does.
    """
    if isinstance(value, str):
        value = _conversation_in(value, column)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ItemLostError(NO_CONVERSATION, f"{column} is {_shown(value)}, a list of turns is expected")
    return tuple(_turn(one, f"{column}, turn {number}") for number, one in enumerate(value, 1))


def _conversation_in(text: str, column: str) -> Any:
    try:
        return parse_json(text) if text.strip() else None
    except ValueError as error:
        detail = f"{column} is {_shown(text)}, a list of turns in JSON is expected"
        raise ItemLostError(NO_CONVERSATION, detail) from error


def _turn(turn: Any, where: str) -> Turn:
    if not isinstance(turn, Mapping):
        expected = "an object with from and value, or with role and content, is expected"
        raise ItemLostError(NO_CONVERSATION, f"{where} is {_shown(turn)}, {expected}")
    by, said = ("from", "value") if turn.get("from") is not None else ("role", "content")
    name = turn.get(by)
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise ItemLostError(NO_CONVERSATION, f"{where} is by {_shown(name)}, one of {', '.join(_ROLES)} is expected")
    content = turn.get(said)
    parts = content if isinstance(content, list) else [content]
    return Turn(role, "\n".join(text for part in parts if (text := _part(part, where)) is not None))


def _part(part: Any, where: str) -> str | None:
    if not isinstance(part, Mapping):
        return text_in(part, where)
    match part.get("type"):
        case "text":
            return text_in(part.get("text"), where)
        case "image" | "image_url":
            return IMAGE_SLOT
        case other:
            detail = f"{where} has a part of type {_shown(other)}, text or image is expected"
            raise ItemLostError(NO_CONVERSATION, detail)


def _shown(value: Any) -> str:
    return shown_name(f"{value!r:.60}")
