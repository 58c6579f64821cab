"""JSON that others wrote: whatever stands in it, it is a value or one `ValueError` whose message is one line.

`json` itself ends in `RecursionError` at a depth that depends on the version of Python and on how deep the caller
stands, takes `NaN` and `Infinity`, turns `1e999` into infinity, keeps half a surrogate pair, which no file can be
written with, takes the last of two equal keys, and numbers that no table holds.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn  # Any: JSON values of any depth

MAX_DEPTH: Final = 100
"""Objects and lists within each other that are read. A chat completion has some ten, an export of Label Studio six."""
_MAX_WHOLE: Final = 1 << 64
_STRUCTURE: Final = re.compile(r'["\\\[\]{}]')
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class RepeatedKeyError(ValueError):
    """A key stands twice in a JSON object."""


def parse_json(text: str | bytes, *, strict: bool = True) -> Any:
    """The JSON value of `text`, of bytes as UTF-8; raises `ValueError` in one line.

    What is not `strict` may hold all that `json` takes; what nests deeper than `MAX_DEPTH` is refused in any case.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    if is_deep(text):
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if not strict:
        return json.loads(text)
    value = _DECODER.decode(text)
    if _SURROGATE.search(text) and not is_unicode(value):
        raise ValueError("holds half of a surrogate pair (\\ud...), which is no character")
    return value


def parse_cut_json(text: str) -> Any:
    """The JSON value of `text`, null where it nests deeper than `MAX_DEPTH`; raises `ValueError`. Not strict."""
    if text.count("[") + text.count("{") > MAX_DEPTH:
        text = _without_depths(text)
    return json.loads(text)


def is_deep(text: str) -> bool:
    """Whether objects and lists in `text` nest deeper than `MAX_DEPTH`, as far as it is JSON."""
    return text.count("[") + text.count("{") > MAX_DEPTH and any(depth > MAX_DEPTH for depth, _ in _depths(text))


def is_unicode(value: object) -> bool:
    """Whether all texts in a JSON value can be written: none holds half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook` that raises `RepeatedKeyError` for a key that stands twice."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise RepeatedKeyError(f"the key {key!r:.60} stands twice in one object")
        values[key] = value
    return values


def _whole(text: str) -> int:
    if len(text) <= 21 and abs(number := int(text)) < _MAX_WHOLE:
        return number
    raise ValueError(f"a whole number of {len(text)} digits; one of at most 64 bits is expected")


def _decimal(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise ValueError(f"{text:.30} is larger than any number here")


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=distinct, parse_int=_whole, parse_float=_decimal, parse_constant=_constant
)


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """How deep what follows each bracket stands, and the bracket's place; strings are passed over."""
    depth, in_string, escaped = 0, False, -1
    for found in _STRUCTURE.finditer(text):
        mark, place = found[0], found.start()
        if place == escaped:
            continue
        if mark == "\\":
            escaped = place + 1
        elif mark == '"':
            in_string = not in_string
        elif not in_string:
            depth += 1 if mark in "[{" else -1
            yield depth, place


def _without_depths(text: str) -> str:
    kept: list[str] = []
    at, before = 0, 0
    for depth, place in _depths(text):
        if depth == MAX_DEPTH + 1 and before == MAX_DEPTH:
            kept += [text[at:place], "null"]
        elif depth == MAX_DEPTH and before == MAX_DEPTH + 1:
            at = place + 1
        before = depth
    if before > MAX_DEPTH:  # cut in the middle
        raise ValueError("brackets that do not close")
    return "".join((*kept, text[at:]))
