"""File names as Python opens them, as Arrow stores them and as people read them.

A file name on Linux is any bytes; Python holds those that are not UTF-8 as lone surrogates, which Arrow, JSON and
terminals refuse. A name with such bytes is therefore stored under a prefix with its bytes percent-escaped, which can be
undone exactly; every other name is stored as it is, since it is what people join their own tables by: not even a
`%`, an invisible space or a line end in it is escaped. What must not reach a terminal is escaped where it is printed.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PREFIX: Final = "bytes:"
_ESCAPED: Final = re.compile("%([0-9A-F]{2})")
_HUB_REPOSITORY: Final = re.compile("(models|datasets|spaces|kernels)--.+", re.DOTALL)
_HUB_HASH: Final = re.compile("[0-9a-f]{64}")
# What moves a cursor, ends a line, or turns the order of what follows it; line feeds and tabs are text.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def storable_path(path: str) -> str:
    """`path` as valid Unicode, so that `openable_path` gives the same path again; what is valid already stays as is.

    The one exception is a name that reads like the stored form of another, with bytes that are no UTF-8 in it.
    """
    return _PREFIX + "".join(map(_escape, path)) if _needs_prefix(path) else path


def openable_path(stored: str) -> str:
    """The path that `storable_path` was given."""
    path = _unescaped(stored.removeprefix(_PREFIX))
    return path if stored.startswith(_PREFIX) and _needs_prefix(path) else stored


def shown_name(name: str) -> str:
    """`name` for people: valid Unicode on one line; what cannot be printed becomes `\\n`, `\\x1b`, `\\xff`."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else _shown(character) for character in name)


def shown_text(text: str) -> str:
    """`text` of any number of lines for a terminal: what would act on it is escaped as in `shown_name`.

    Spaces and joiners of all scripts stay, though they cannot be seen.
    """
    return _UNSAFE.sub(lambda found: _shown(found[0]), text)


def shown_json(text: str) -> str:
    """JSON for a terminal: what `shown_text` would escape, escaped as JSON does, so that it says the same."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def unicode_name(name: str) -> str:
    """`name` as it is, for the detail of a loss; where it is no valid Unicode, as it is shown."""
    return name if _is_unicode(name) else shown_name(name)


def is_inside(path: str, root: str) -> bool:
    """Whether `path`, with every link followed, lies in the folder `root` (itself without links).

    A snapshot in the cache of the Hugging Face Hub is made of links to the files of its repository: they belong to it.
    A file elsewhere on the machine does not, since a folder that comes from others would get it published.
    """
    real = Path(os.path.realpath(path))
    return real.is_relative_to(root) or any(_is_of_repository(real, folder) for folder in _hub_repositories(Path(root)))


def _hub_repositories(root: Path) -> Iterator[Path]:
    """The folder of a repository in the Hub's cache, if `root` is one, or its `snapshots`, or within these."""
    within = (root, *root.parents)
    for folder, below in zip(within, (None, *within), strict=False):
        if _HUB_REPOSITORY.fullmatch(folder.name) and (below is None or below.name == "snapshots"):
            yield folder


def _is_of_repository(file: Path, repository: Path) -> bool:
    """Whether a file, itself without links, is one of those that the Hub's library puts down for a repository.

    They are in its `blobs`, or, where several repositories have a file in common, in those of the whole cache, by the
    hash of what they hold (`huggingface_hub.utils._shared_blobs`, 2.4).
    """
    if file.parent == repository / "blobs":
        return True
    shared = repository.parent / "blobs"
    return file.parent == shared / file.name[:2] and _HUB_HASH.fullmatch(file.name) is not None


def _needs_prefix(path: str) -> bool:
    """Whether bytes that are no UTF-8 are in the name, or would be if it were taken for a stored one."""
    while _is_unicode(path):
        if not path.startswith(_PREFIX):
            return False
        path = _unescaped(path.removeprefix(_PREFIX))
    return True


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(_unescape, text)


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
