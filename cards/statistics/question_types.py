"""Types of questions by the n-grams that they hold, as LSKD has them (Park et al., 2023, Table 7); English only.

What no pattern fits is of the type `others`, and so are all questions of another language.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final  # Any: pyarrow arrays, YAML values

import pyarrow.compute as pc

from ostensive.yaml_text import parse_yaml

OTHERS: Final = "others"
_FILE: Final = Path(__file__).parent / "question_types.yaml"


def question_types(texts: Any) -> dict[str, int]:
    """How many of an Arrow array of questions are of each type; every question is of one."""
    left, found = pc.utf8_lower(texts), {}
    for name, pattern in _patterns().items():
        fits = pc.match_substring_regex(left, pattern)
        found[name] = pc.sum(fits).as_py() or 0
        left = left.filter(pc.invert(fits))
    return {**found, OTHERS: len(left)}


@lru_cache(maxsize=1)
def _patterns() -> dict[str, str]:
    """The pattern of each type, in the order in which they are tried."""
    values: Any = parse_yaml(_FILE.read_text("utf-8"), str(_FILE))
    return {str(name): "|".join(map(_pattern, phrases)) for name, phrases in values.items()}


def _pattern(phrase: str) -> str:
    start = r"^\W*" if phrase.startswith("^") else r"\b"
    words = [re.escape(word).replace(r"\*", r"\w*") for word in phrase.removeprefix("^").split()]
    return start + r"\s+".join(r"\S+" if word == r"\w*" else word for word in words) + r"\b"
