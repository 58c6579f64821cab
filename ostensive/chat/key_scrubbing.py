"""The key of an endpoint taken out of what comes back from it: a server may repeat it, in an error or in an answer.

In an error no occurrence is left. An answer is the corpus of somebody: there only a key that cannot be a word of it is
replaced, whatever way it is written in JSON, and nothing else of the body changes.
"""

import functools
import json
import re
from typing import Any  # Any: JSON values of any depth

from ostensive.chat.bodies import MalformedReplyError, read_body

REPLACEMENT = "[key]"
MIN_ANSWER_KEY_CHARS = 16
"""Shorter keys stay in answers: people type `none`, `EMPTY` or `sk-local` where a server wants any word at all."""
_MIN_PART_CHARS = 4  # shorter keys are taken out of errors only where they stand alone

_ESCAPED = re.compile(rb"(?:\\u00|%)[2-7]")  # a character of ASCII, as keys have them


@functools.lru_cache(maxsize=16)
def _pattern(key: str, alone: bool) -> re.Pattern[str]:
    """Where `key` stands, each character as it is or as JSON or a URL escapes it."""
    characters = "".join(map(_escaped, key))
    return re.compile(rf"(?<![^\W_]){characters}(?![^\W_])" if alone else characters)


def _escaped(char: str) -> str:
    forms = [re.escape(char), rf"\\u00(?i:{ord(char):02x})", f"%(?i:{ord(char):02x})"]
    if not char.isalnum():
        forms.append(rf"\\{re.escape(char)}")
    return f"(?:{'|'.join(forms)})"


def without_key(text: str, key: str) -> str:
    """`text`, an error's, without `key`; a key of three characters or fewer only where it is a word of its own."""
    return _pattern(key, len(key) < _MIN_PART_CHARS).sub(REPLACEMENT, text) if key else text


def answer_without_key(raw: bytes, key: str) -> bytes:
    """The body of an answer without `key`, if that has at least `MIN_ANSWER_KEY_CHARS` characters.

    A key of letters alone is replaced only where it is a word of its own. A body in which nothing is replaced is
    returned as it came; another one is encoded anew, a stream as the completion that it amounts to.
    """
    if len(key) < MIN_ANSWER_KEY_CHARS:
        return raw
    pattern = _pattern(key, key.isalpha())
    try:
        value = read_body(raw) if _may_hold(raw, key) else None
    except MalformedReplyError:
        return pattern.sub(REPLACEMENT, raw.decode("utf-8", "replace")).encode("utf-8")
    changed = _replaced(value, pattern)
    return raw if changed == value else json.dumps(changed).encode("ascii")


def _may_hold(raw: bytes, key: str) -> bool:
    # Most bodies are parsed once, for what they say: only escapes, and streams, can hide a key from a plain search.
    signs = [key, *(f"\\{char}" for char in '/"\\' if char in key)]
    return any(sign.encode() in raw for sign in signs) or bool(_ESCAPED.search(raw)) or raw.lstrip()[:1] != b"{"


def _replaced(value: Any, pattern: re.Pattern[str]) -> Any:  # Any: as above
    if isinstance(value, str):
        return pattern.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [_replaced(item, pattern) for item in value]
    if isinstance(value, dict):
        return {pattern.sub(REPLACEMENT, name): _replaced(item, pattern) for name, item in value.items()}
    return value
