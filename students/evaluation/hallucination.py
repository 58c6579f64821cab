"""Things that a text names and that are not in the picture: CHAIR (Rohrbach et al. 2018, section 3).

CHAIRi is the share of mentions of things that are hallucinated, CHAIRs the share of texts with at least one. Which
words are things, and which are the same thing, is said by a file: a line for each thing, its name first, then synonyms,
all separated by commas, as in the published list for COCO. Names of several words are found before their parts; plurals
count as their singular.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ostensive.errors import SettingsError
from ostensive.text_lines import lines_of
from students.evaluation.texts import words

_IRREGULAR: Final = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot", "teeth": "tooth",
    "mice": "mouse", "geese": "goose", "knives": "knife", "wives": "wife", "leaves": "leaf", "shelves": "shelf",
    "loaves": "loaf", "wolves": "wolf", "calves": "calf", "oxen": "ox",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mentions:
    """The things that a text names, one for each time, and those of them that are not in the picture."""

    things: tuple[str, ...]
    hallucinated: tuple[str, ...]


class ObjectVocabulary:
    """Names of things and their synonyms."""

    def __init__(self, synonyms: Mapping[str, Iterable[str]]) -> None:
        """`synonyms` by the name of a thing; that itself is one."""
        self._things: dict[tuple[str, ...], str] = {}
        for name, others in synonyms.items():
            for word in (name, *others):
                if key := words(word):
                    self._things.setdefault(key, name)
        self._longest = max((len(key) for key in self._things), default=0)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The vocabulary in a file; raises `SettingsError` where it cannot be read or is empty."""
        try:
            lines = lines_of(path.read_text("utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--objects {path}: cannot be read; UTF-8, a thing a line, is expected") from error
        named = [[word.strip() for word in line.split(",") if word.strip()] for line in lines]
        synonyms = {row[0]: row[1:] for row in named if row}
        if not synonyms:
            raise SettingsError(f"--objects {path}: names no thing; one a line, synonyms after commas, is expected")
        return cls(synonyms)

    def things(self, text: str) -> tuple[str, ...]:
        """The things that a text names, in order, one for each time; the longest name counts."""
        parts = words(text)
        found, place = [], 0
        while place < len(parts):
            for length in range(min(self._longest, len(parts) - place), 0, -1):
                name = self._name(parts[place : place + length])
                if name is not None:
                    found.append(name)
                    place += length
                    break
            else:
                place += 1
        return tuple(found)

    def _name(self, parts: tuple[str, ...]) -> str | None:
        """The thing that words name, of which the last may be a plural."""
        if not parts:
            return None
        keys = ((*parts[:-1], last) for last in forms(parts[-1]))
        return next((self._things[key] for key in keys if key in self._things), None)

    def mentions(self, text: str, objects: Sequence[str]) -> Mentions:
        """What `text` names, held against all things in the picture, by any of their names.

        What the vocabulary does not know of `objects` is no thing of which anything can be said.
        """
        there = {name for one in objects if (name := self._name(words(one))) is not None}
        things = self.things(text)
        return Mentions(things, tuple(name for name in things if name not in there))


def forms(word: str) -> Iterator[str]:
    """A word, and what it may be the plural of in English."""
    yield word
    if word in _IRREGULAR:
        yield _IRREGULAR[word]
    if word.endswith("s") and not word.endswith("ss"):
        yield word[:-1]
    if word.endswith("es"):
        yield word[:-2]
    if word.endswith("ies"):
        yield f"{word[:-3]}y"
