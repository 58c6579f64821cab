"""Region tags in a text: `[0]`, and the other ways in which teachers write it.

`[0, 2]`, `[0 and 2]`, `[ID 0]`, `[region 2]`, `[#2]`, `[[0]]`, `\\[0\\]` and `【0】` can mean nothing else and are
written out as `[0]`, `[0] and [2]`; students read only that form. `(0)` and a bare `0` are left alone: round brackets
and numbers have other uses. `[0-2]` may be a range or a pair, so that it stands for a region that no image has.
"""

import re
from dataclasses import dataclass

UNREADABLE = -1
"""The number of a tag that holds digits but cannot be read."""

_ESCAPED = re.compile(r"\\([\[\]])")
_FOREIGN = str.maketrans({"【": "[", "】": "]", "［": "[", "］": "]"})
_DOUBLED = re.compile(r"\[\s?(\[[^\[\]]{0,80}\])\s?\]")
_TAG = re.compile(
    r"\[\s{0,4}(?:(?:region|object|person|id|tag)s?[ :#]{0,3})?"
    r"(?P<numbers>[#+-]?[0-9]{1,40}(?:[\s,;&/#+–—-]{1,6}(?:(?:and|to)\s{1,2})?(?:(?:id|region)s?\s)?[0-9]{1,40}){0,40})"
    r"\s{0,4}\]",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"(?:\s*[,;&/]\s*(?:and\s+)?|\s+and\s+|\s+)#?(?:(?:id|region)s?\s+)?", re.IGNORECASE)
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text with its tags in the one form, and the distinct numbers in the order of their first mention."""

    text: str
    mentions: tuple[int, ...]


def read_tags(text: str) -> Tagged:
    """`text` with every region tag as `[k]`; a tag that cannot be read stays and counts as `UNREADABLE`."""
    plain = _DOUBLED.sub(r"\1", _ESCAPED.sub(r"\1", text.translate(_FOREIGN)))
    mentions: dict[int, None] = {}

    def write(match: re.Match[str]) -> str:
        numbers = [_number(part) for part in _SEPARATOR.split(match["numbers"])]
        if min(numbers) < 0:
            numbers = [UNREADABLE]
        mentions.update(dict.fromkeys(numbers))
        if min(numbers) < 0 or max(numbers) >= 10**_MAX_DIGITS:
            return match[0]
        tags = [f"[{number}]" for number in numbers]
        return tags[0] if len(tags) == 1 else f"{', '.join(tags[:-1])} and {tags[-1]}"

    return Tagged(_TAG.sub(write, plain), tuple(mentions))


def _number(part: str) -> int:
    digits = part.strip().lstrip("#")
    if not (digits.isascii() and digits.isdigit()):
        return UNREADABLE
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS
