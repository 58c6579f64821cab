"""The key of an endpoint taken out of what comes back from it: a server may repeat it, in an error or in an answer.

In an error no occurrence is left. An answer is the corpus of somebody: there only a key that cannot be a word of it is
replaced, whatever way it is written in JSON, URLs, HTML or base64, and nothing else of the body changes.
"""

import base64
import functools
import json
import re
from html.entities import html5
from typing import Any  # Any: JSON values of any depth

from ostensive.chat.bodies import MalformedReplyError, read_body

REPLACEMENT = "[key]"
_ENTITIES = {
    char: [re.escape(name.rstrip(";")) for name, value in html5.items() if value == char]
    for char in map(chr, range(128))
}
MIN_ANSWER_KEY_CHARS = 16
"""Shorter keys stay in answers: people type `none`, `EMPTY` or `sk-local` where a server wants any word at all."""
_MIN_PART_CHARS = 4  # shorter keys are taken out of errors only where they stand alone

_ESCAPED = re.compile(rb"(?:\\u00|%(?:25){0,4})[2-7]|&[#A-Za-z]|\\\\")  # a character of ASCII, as keys have them


@functools.lru_cache(maxsize=16)
def _pattern(key: str, alone: bool) -> re.Pattern[str]:
    """Where `key` stands, each character as it is or as JSON, a URL or HTML escapes it, however often, or in base64."""
    characters = "".join(map(_escaped, key))
    written = rf"(?<![^\W_]){characters}(?![^\W_])" if alone else characters
    return re.compile("|".join((written, *map(re.escape, _in_base64(key)))))


def _escaped(char: str) -> str:
    code = ord(char)
    forms = [re.escape(char), rf"\\{{1,8}}u00(?i:{code:02x})", f"%(?:25){{0,4}}(?i:{code:02x})"]
    named = _ENTITIES.get(char, ())
    # Each run is bounded, or a long one of backslashes would be searched from each of its places.
    forms.append("&(?:amp;){0,4}(?:" + "|".join((f"#0{{0,6}}{code}", f"#[xX]0{{0,6}}(?i:{code:x})", *named)) + ");?")
    if not char.isalnum():
        forms.append(rf"\\{{1,8}}{re.escape(char)}")
    return f"(?:{'|'.join(forms)})"


@functools.lru_cache(maxsize=16)
def _in_base64(key: str) -> tuple[str, ...]:
    """What every text in base64 that holds a long `key` has, by where in a group of three bytes the key begins.

    Characters that hold bits of what stands beside it are left off; they tell less than a character of the key each.
    """
    if len(key) < MIN_ANSWER_KEY_CHARS:
        return ()
    found: list[str] = []
    for before in range(3):
        data = bytes(before) + key.encode("utf-8")
        text = base64.b64encode(data).decode("ascii")
        text = text[-(-before * 8 // 6) : len(data) * 8 // 6]
        found += [text, text.translate(str.maketrans("+/", "-_"))]
    return tuple(dict.fromkeys(found))


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
    signs = [key, *(f"\\{char}" for char in '/"\\' if char in key), *_in_base64(key)]
    return any(sign.encode() in raw for sign in signs) or bool(_ESCAPED.search(raw)) or raw.lstrip()[:1] != b"{"


def _replaced(value: Any, pattern: re.Pattern[str]) -> Any:  # Any: as above
    if isinstance(value, str):
        return pattern.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [_replaced(item, pattern) for item in value]
    if isinstance(value, dict):
        return {pattern.sub(REPLACEMENT, name): _replaced(item, pattern) for name, item in value.items()}
    return value
