"""File names as Python opens them, as Arrow stores them and as people read them.

A file name on Linux is any bytes; Python holds those that are not UTF-8 as lone surrogates, which Arrow, JSON and
terminals refuse. A name with such bytes is therefore stored under a prefix with its bytes percent-escaped, which can be
undone exactly; every other name is stored as it is. Were every name escaped, ordinary
paths with a `%` or a letter outside ASCII would be unreadable in DuckDB.
"""

import os
import re
from pathlib import Path
from typing import Final

_PREFIX: Final = "bytes:"
_ESCAPED: Final = re.compile("%([0-9A-F]{2})")


def storable_path(path: str) -> str:
    """`path` as valid Unicode, so that `openable_path` gives the same path again. Paths of plain Unicode stay as is."""
    if _is_unicode(path) and not path.startswith(_PREFIX):
        return path
    return _PREFIX + "".join(_escape(character) for character in path)


def openable_path(stored: str) -> str:
    """The path that `storable_path` was given."""
    if not stored.startswith(_PREFIX):
        return stored
    return _ESCAPED.sub(_unescape, stored.removeprefix(_PREFIX))


def shown_name(name: str) -> str:
    """`name` for people: valid Unicode on one line; what cannot be printed becomes `\\n`, `\\x1b`, `\\xff`."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else _shown(character) for character in name)


def is_inside(path: str, root: str) -> bool:
    """Whether `path`, with every link followed, lies in the folder `root` (itself without links)."""
    return Path(os.path.realpath(path)).is_relative_to(root)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _escape(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return f"%{ord(character) - 0xDC00:02X}"
    return "%25" if character == "%" else character


def _unescape(found: re.Match[str]) -> str:
    value = int(found[1], 16)
    return chr(value) if value < 0x80 else chr(0xDC00 + value)


def _shown(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
