"""Languages by the codes that the Hugging Face Hub takes in the header of a card, however people write them.

The header's `language` takes codes of ISO 639; what more a tag of BCP 47 says (`en-US`, `zh-Hant`) goes into
`language_bcp47`.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from ostensive.text_lines import lines_of

# RFC 5646, 2.1: script, region, variants, private use, in that order; extensions are for software.
_REST: Final = re.compile(
    r"(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|\d{3}))?(?P<more>(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*"
    r"(?:-x(?:-[a-z0-9]{1,8})+)?)"
)
_TAGS_BY_NAME: Final = {
    "american english": "en-US",
    "brazilian portuguese": "pt-BR",
    "british english": "en-GB",
    "european portuguese": "pt-PT",
    "simplified chinese": "zh-Hans",
    "traditional chinese": "zh-Hant",
}


@cache
def _codes() -> Mapping[str, str]:
    """The shortest code of a language by each of its codes."""
    codes: dict[str, str] = {}
    for line in _lines():
        if "|" in line:
            code, others, _ = line.split("|")
            codes |= dict.fromkeys((code, *others.split()), code)
        else:
            codes |= {code: code for code in line.split()}
    return codes


@cache
def _names() -> Mapping[str, str]:
    """The code of a language by each of its names."""
    rows = (line.split("|") for line in _lines() if "|" in line)
    return {_plain(name): code for code, _, names in rows for name in names.split(";") if name} | _TAGS_BY_NAME


def _lines() -> list[str]:
    text = (files("ostensive") / "words" / "languages.txt").read_text("utf-8")
    return [line for line in lines_of(text) if line and not line.startswith("#")]


def language_tag(text: str) -> str | None:
    """The language that `text` names by a code, a tag or a name: `en`, `en-US`, `multilingual`; None for no language.

    A language has one code, the shortest of ISO 639, and a tag is written as BCP 47 recommends.
    """
    if (named := _names().get(_plain(text))) is not None:
        return named
    first, dash, rest = text.strip().casefold().replace("_", "-").partition("-")
    code, more = _codes().get(first), _REST.fullmatch(dash + rest)
    if code is None or more is None or (rest and code in {"code", "multilingual"}):
        return None
    script, region = (more["script"] or "").capitalize(), (more["region"] or "").upper()
    return "-".join(part for part in (code, script, region) if part) + more["more"]


def language_code(tag: str) -> str:
    """The code of ISO 639 in a tag that `language_tag` gave."""
    return tag.partition("-")[0]


def nearest_languages(text: str, count: int = 3) -> Sequence[str]:
    """The codes of the languages whose names or codes are most like `text`, the likeliest first."""
    names = _names()
    within = [names[word] for word in _plain(text).split() if word in names]
    like = difflib.get_close_matches(_plain(text), list(names), n=4 * count, cutoff=0.7)
    first = re.split(r"[-_\s]", text.strip().casefold())[0]
    code = [_codes()[first]] if first in _codes() else []
    found = [*within, *(names[name] for name in like), *code]
    # Of a code that is none the likeliest are those of languages that have a name.
    found = found or difflib.get_close_matches(first, list(dict.fromkeys(names.values())), n=count, cutoff=0.5)
    return list(dict.fromkeys(found))[:count]


def _plain(name: str) -> str:
    """A name without case, accents and punctuation."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
    return " ".join(re.sub(r"[\W_]+", " ", bare).split())
