"""Texts that a benchmark has too: the same words, or thirteen in a row that are the same.

The numbers are those of GPT-3 (Brown et al. 2020, Language Models are Few-Shot Learners, appendix C): punctuation, case
and white space do not count, n-grams have 13 words, and fewer where texts are shorter, but no fewer than 8. Shorter
texts of a benchmark count only where a text is the same as a whole.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

MOST_WORDS: Final = 13
FEWEST_WORDS: Final = 8

Words = tuple[str, ...]


def words_of(text: str) -> Words:
    """The words of a text as they are compared: compatibility forms, small letters, no punctuation or symbols."""
    kept = (
        character if unicodedata.category(character)[0] in "LMN" else " "
        for character in unicodedata.normalize("NFKC", text).casefold()
    )
    return tuple("".join(kept).split())


@dataclass(slots=True)
class TextIndex:
    """The texts of benchmarks, by what is looked up of them; the first place that has it is told."""

    _wholes: dict[Words, str] = field(default_factory=dict)
    _parts: dict[int, dict[Words, str]] = field(default_factory=dict)  # by their number of words

    @classmethod
    def of(cls, texts: Iterable[tuple[str, str]]) -> "TextIndex":
        """Of texts and the place of each."""
        index = cls()
        for text, place in texts:
            words = words_of(text)
            if not words:
                continue
            index._wholes.setdefault(words, place)
            count = min(len(words), MOST_WORDS)
            if count >= FEWEST_WORDS:
                parts = index._parts.setdefault(count, {})
                for part in _runs(words, count):
                    parts.setdefault(part, place)
        return index

    def place_of(self, text: str) -> str | None:
        """Where a text of a benchmark stands that overlaps with `text`; None where there is none."""
        words = words_of(text)
        if (found := self._wholes.get(words)) is not None:
            return found
        for count, parts in sorted(self._parts.items(), reverse=True):
            for part in _runs(words, count):
                if (found := parts.get(part)) is not None:
                    return found
        return None

    def first_of(self, texts: Sequence[str]) -> tuple[int, str] | None:
        """The first of `texts` that overlaps, and the place; None where none does."""
        return next(((number, found) for number, text in enumerate(texts) if (found := self.place_of(text))), None)


def _runs(words: Words, count: int) -> Iterator[Words]:
    return (words[start : start + count] for start in range(len(words) - count + 1))
