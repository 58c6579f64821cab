"""Text of others on a Markdown page: it stays text, whatever it holds.

What fits on a line is escaped character by character; what has lines goes into a fence longer than any in it. No
HTML sanitiser cleans it: the card should show what the corpus holds, not what is left of it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any  # Any: JSON values

import yaml

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$])")

# GitHub and the Hub make links of bare addresses, after backslashes are gone; a comment, which nobody sees, parts them.
_ADDRESS = re.compile(r"([A-Za-z]:(?=//)|(?:mailto|xmpp|javascript|data):|www(?=\.)|@)", re.IGNORECASE)


def inline(text: str, *, with_links: bool = False) -> str:
    """`text` on one line with what Markdown or HTML would act upon escaped: for table cells and inside a sentence.

    Not for the start of a line, where a dash or a number means a list. Addresses in it become links only `with_links`,
    for what the owner of the corpus wrote: a server may call its model `https://...`.
    """
    printable = "".join(char if char.isprintable() else " " for char in text)
    escaped = _SPECIAL.sub(r"\\\1", " ".join(printable.split()))
    return escaped if with_links else _ADDRESS.sub(r"\1<!-- -->", escaped)


def fenced(text: str, language: str) -> str:
    """`text` as a code block that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def fenced_json(value: Mapping[str, Any]) -> str:
    """`value` as an indented JSON block; line ends and what is invisible are escaped as JSON does."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    hidden = "".join(char if char.isprintable() or char == "\n" else _escape(char) for char in text)
    return fenced(hidden, "json")


def fenced_yaml(value: Mapping[str, Any]) -> str:
    """`value` as a YAML block; all beyond ASCII is escaped as YAML does when something in it is invisible."""
    text = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=1000)
    if not text.replace("\n", "").isprintable():
        text = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=False, width=1000)
    return fenced(text, "yaml")


def _escape(char: str) -> str:
    # `json.dumps` leaves DEL as it is, and knows how to write what lies beyond four digits.
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else json.dumps(char)[1:-1]


def table(head: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    """A Markdown table; cells are taken as they are, numbers are set flush right with thousands separated."""
    numeric = [bool(rows) and all(isinstance(row[place], int) for row in rows) for place in range(len(head))]
    lines = [_line(head), _line(["---:" if is_number else "---" for is_number in numeric])]
    lines += [_line([f"{cell:,}" if isinstance(cell, int) else cell for cell in row]) for row in rows]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
