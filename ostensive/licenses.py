"""Licences by the ids that the Hugging Face Hub takes in the header of a card, however people write them.

Two ways of writing a licence are the same when the same words are left of them: letters and numbers in any case and
order, without the words that every licence has, with Creative Commons' terms as its ids abbreviate them.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from ostensive.text_lines import lines_of

OTHER: Final = "other"
_FORBIDDING: Final = (
    "all rights reserved",
    "no redistribution",
    "not redistributable",
    "not for redistribution",
    "redistribution prohibited",
    "redistribution not permitted",
    "redistribution is not permitted",
    "redistribution not allowed",
    "redistribution is not allowed",
)
_NUMBER: Final = re.compile(r"\d+\.\d+")
_NOISE: Final = frozenset(
    {"a", "agreement", "and", "deed", "family", "gnu", "international", "intl", "license", "licensed", "licenses", "of"}
    | {"only", "or", "the", "to", "under", "universal", "unported", "generic", "use", "v", "version"}
)
# Read one after the other. Of addresses what names the licence is left.
_SAME: Final = (
    (r"^\W*https?://(?:www\.)?", ""),
    (r"^creativecommons\.org/licenses/([a-z-]+)/(\d\.\d)\b.*", r"cc \1 \2"),
    (r"^creativecommons\.org/publicdomain/zero/(\d\.\d)\b.*", r"cc0 \1"),
    (r"^(?:opensource\.org/licenses?|spdx\.org/licenses|choosealicense\.com/licenses)/([^/]+?)(?:\.html)?/?$", r"\1"),
    (r"licen[cs](e[sd]?|ing)\b", r"licens\1"),
    (r"creative commons", "cc"),
    (r"\bcc zero\b", "cc0"),
    (r"\bcc cc0\b", "cc0"),
    (r"attribution", "by"),
    (r"non[ -]?commercial", "nc"),
    (r"share[ -]?alike", "sa"),
    (r"no[ -]?deriv(?:ative)?s?(?:[ -]?works)?", "nd"),
    (r"open ?rail", "openrail"),
    (r"(?<=[a-z])v?(?=\d)", " "),  # gplv3, llama3.1
    (r"\bv(?=\d)", ""),
)


@cache
def _table() -> Mapping[str, tuple[str, ...]]:
    """The names of each licence by its id."""
    lines = lines_of((files("ostensive") / "words" / "licenses.txt").read_text("utf-8"))
    rows = (line.partition("|") for line in lines if line and not line.startswith("#"))
    return {one: tuple(names.split(";")) for one, _, names in rows}


@cache
def _ids() -> Mapping[str, str]:
    """The id by what is left of the ways of writing it."""
    return {_key(way): one for one, names in _table().items() for way in (one, *names)}


@cache
def _urls() -> Mapping[str, str]:
    lines = lines_of((files("ostensive") / "words" / "license_urls.txt").read_text("utf-8"))
    return dict(line.split("|") for line in lines if line and not line.startswith("#"))


def license_ids() -> tuple[str, ...]:
    """All ids, in the order of the Hub's list."""
    return tuple(_table())


def license_id(text: str) -> str | None:
    """The Hub's id of the licence that `text` names; None where it names none of the list, or not which of several."""
    one = _ids().get(_key(text)) if text.strip() else None
    twice = re.fullmatch(r"(.+)\((.+)\)\W*", text.strip(), re.DOTALL)  # Attribution 4.0 International (CC BY 4.0)
    if one is None and twice:
        before, inside = twice[1], _ids().get(_key(twice[2]))
        return inside if {inside} == {_ids().get(_key(before)), inside} or _says_less(before, twice[2]) else None
    return one


def license_url(one: str) -> str | None:
    """Where the text of the licence with this id is; None where there is not one text of it that all have."""
    return _urls().get(one)


def license_key(text: str) -> str:
    """What two texts have in common that name the same licence, whether the Hub knows it or not."""
    return license_id(text) or " ".join(text.casefold().split())


def forbids_publishing(text: str) -> bool:
    """Whether a licence says in so many words that nobody may pass the work on.

    What says nothing, or is not known, is not refused: most pictures come without a licence, and whoever publishes
    them states in `corpus.source` under which terms.
    """
    words = " ".join(re.sub(r"[^\w]+", " ", unicodedata.normalize("NFKC", text).casefold()).split())
    return any(phrase in words for phrase in _FORBIDDING)


def nearest_licenses(text: str, count: int = 3) -> Sequence[str]:
    """The ids that are most like `text`, the likeliest first: those that say more than it does before others."""
    more = [one for one, names in _table().items() if any(_says_less(text, way) for way in (one, *names))]
    more.sort(key=lambda one: (len(_words(one)), [-float(word) for word in _words(one) if _NUMBER.fullmatch(word)]))
    like = difflib.get_close_matches(_key(text), list(_ids()), n=4 * count, cutoff=0.6)
    return list(dict.fromkeys([*more, *(_ids()[key] for key in like)]))[:count]


def _says_less(text: str, other: str) -> bool:
    words = set(_words(text))
    return bool(words) and words <= set(_words(other))


def _key(text: str) -> str:
    return " ".join(sorted(_words(text)))


def _words(text: str) -> list[str]:
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().replace("_", " ").split())
    for pattern, same in _SAME:
        plain = re.sub(pattern, same, plain)
    words = [word.strip(".") for word in re.split(r"[^\w.+*]+", plain)]
    return [f"{word}.0" if word.isdigit() else word for word in words if word and word not in _NOISE]
