"""Whether an answer names a label: by whole words, whatever case, hyphens and apostrophes, and with its digits.

The published code keeps letters alone, so that "737-700" becomes nothing and "A320" becomes "a", which any answer has.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

_DASHES = re.compile(r"[-_‐‑‒–—―−]+")
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´", "'"))


def plain_label(text: str) -> str:
    """`text` as labels are compared: one case, hyphens and underscores as spaces, one kind of apostrophe."""
    folded = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    return " ".join(_DASHES.sub(" ", folded).split())


def names_label(answer: str, label: str, aliases: Sequence[str] = ()) -> bool:
    """Whether `answer` holds `label`, or another name for it, as whole words.

    A number is no part of a longer one: neither "737-700" nor "7" is in "737-800" or in "3.7".
    """
    text = plain_label(answer)
    return any(pattern.search(text) for name in (label, *aliases) if (pattern := _pattern(plain_label(name))))


def aliases_of(label: str, aliases: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The other names for a label, whatever its case in the table."""
    wanted = plain_label(label)
    return tuple(name for key, names in aliases.items() if plain_label(key) == wanted for name in names)


@lru_cache(maxsize=4096)
def _pattern(name: str) -> re.Pattern[str] | None:
    if not any(character.isalnum() for character in name):
        return None  # it would be found anywhere, or nowhere
    inner = re.escape(name).replace("'", "'?")
    return re.compile(rf"(?<!\w)(?<!\d[.,]){inner}(?!\w)(?![.,]\d)")
