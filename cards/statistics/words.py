"""The words of many texts at once, as columns.

A word is what stands between white space or dashes and has a letter or a digit; `well-known`, `it's` and `3.5` are one
each. In scripts that are written without spaces it is, as Unicode's word boundaries have it (UAX #29, section 4.1),
every Chinese character and every hiragana; Thai, Lao, Khmer and Burmese would need a dictionary, so that there a word
is what stands between spaces. Words are compared in lower case, without the signs around them. A tag such as `[0]` is
one word, which is written `[k]` whatever its number.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final  # Any: pyarrow and numpy arrays, which have no types here

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ostensive.text_lines import lines_of

TAG_WORD: Final = "[k]"
_STANDS_ALONE: Final = r"([\p{Han}\p{Hiragana}])|[\x{2013}-\x{2015}\x{2026}]"  # or parts words: dashes and an ellipsis
_AROUND: Final = r"^[^\p{L}\p{N}]+|[^\p{L}\p{M}\p{N}]+$"
_TAG: Final = r"\[\s*\d+|^\d+\]"  # `[0]`, `[0,` and `1]` of `[0, 1]`
_STOP_WORDS: Final = Path(__file__).parent / "stop_words.txt"


@dataclass(frozen=True, slots=True)
class Words:
    """The words of texts: `codes` are places in `distinct`, of all texts one after the other."""

    counts: Any  # (texts,) int64: the words of each
    codes: Any  # (words,) int64
    distinct: tuple[str, ...]


def words_of(texts: Any, *, has_tags: bool) -> Words:
    """The words of an Arrow array of strings; `has_tags` where texts may mention regions."""
    pieces = pc.utf8_split_whitespace(_spaced(texts))
    parents = np.repeat(np.arange(len(texts)), np.diff(pieces.offsets.to_numpy()))
    encoded = pieces.flatten().dictionary_encode()
    # What is done to words is done once for each that is different, which is far fewer.
    plain = _plain(encoded.dictionary, has_tags=has_tags).dictionary_encode()
    words = plain.dictionary.to_pylist()
    codes = plain.indices.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy(zero_copy_only=False)]
    is_word = np.array([word != "" for word in words], dtype=bool)[codes]
    counts = np.bincount(parents[is_word], minlength=len(texts))
    return Words(counts, codes[is_word].astype(np.int64), tuple(words))


def openings_of(words: Words, length: int) -> dict[str, int]:
    """How often texts begin with the same words, `length` of them or as many as there are, if there are any."""
    starts = np.cumsum(words.counts) - words.counts
    columns = []
    for place in range(length):
        has = words.counts > place
        column = np.full(len(starts), -1, dtype=np.int64)
        column[has] = words.codes[starts[has] + place]
        columns.append(column)
    rows = np.stack(columns, axis=1)[words.counts > 0]
    found, counts = np.unique(rows, axis=0, return_counts=True) if len(rows) else (rows, np.zeros(0, np.int64))
    return {
        " ".join(words.distinct[code] for code in codes if code >= 0): int(count)
        for codes, count in zip(found.tolist(), counts.tolist(), strict=True)
    }


def telling_words(words: Words) -> dict[str, int]:
    """How often each word stands that is no stop word, no number alone and no tag."""
    counts = np.bincount(words.codes, minlength=len(words.distinct)).tolist()
    passed_over = stop_words()
    return {
        word: count
        for word, count in zip(words.distinct, counts, strict=True)
        if count and word not in passed_over and word != TAG_WORD and not word.isdecimal()
    }


@lru_cache(maxsize=1)
def stop_words() -> frozenset[str]:
    """The words of English grammar that would be the most frequent everywhere and say nothing of a corpus.

    Other languages have no such list here: all of their words count.
    """
    lines = lines_of(_STOP_WORDS.read_text("utf-8"))
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def _spaced(texts: Any) -> Any:
    """`texts` with white space around characters that are words of their own, and in place of dashes."""
    is_ascii = pc.all(pc.string_is_ascii(texts)).as_py()
    return texts if is_ascii else pc.replace_substring_regex(texts, _STANDS_ALONE, r" \1 ")


def _plain(pieces: Any, *, has_tags: bool) -> Any:
    """Words as they are compared; empty for what is none."""
    lower = pc.utf8_normalize(pc.utf8_lower(pieces), form="NFC")
    plain = pc.replace_substring_regex(lower, _AROUND, "")
    if has_tags:
        plain = pc.if_else(pc.match_substring_regex(pieces, _TAG), pa.scalar(TAG_WORD), plain)
    return plain
