"""Lines of a text as people and servers mean them.

`str.splitlines` also cuts at U+2028, form feeds and seven more characters that may stand in the middle of a sentence,
or of a line of JSON.
"""

import re
from typing import Final

_END: Final = re.compile(r"\r\n|\r|\n")


def lines_of(text: str) -> list[str]:
    """The lines of `text` without their ends, of Unix, Windows or old Macs; no last empty one."""
    lines = _END.split(text)
    return lines if lines[-1] else lines[:-1]
