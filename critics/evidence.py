"""The critic `evidence`: what answer and rationale name has to stand in the verbalization.

Claims are found by words alone: regions by number, numbers, and every word that may name something (all but those of
grammar, reasoning and place in `words/common.txt`), reduced to a stem. A claim is supported when its stem stands in the
image's concepts, narratives, captions, labels or probes. It knows no synonyms and does not ask which region a word is
said of; a parser or a model of language would, and was given up here: this one is free, gives the same verdict each
time, and shows which words it stumbled over. For the rest there is the critic `judge`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import TracebackType
from typing import Final, Self

from critics.critic import NoScore, Score
from critics.lexicon import words_of
from critics.scene import scene_lines
from critics.settings import EvidenceSettings
from ostensive.fingerprint import fingerprint
from ostensive.records import Qar, Verbalization
from ostensive.stage import Evidence

UNKNOWN_REGION: Final = "names a region that there is not"
UNSUPPORTED: Final = "claims what the evidence does not say"
NO_EVIDENCE: Final = "no verbalization"
CODE_VERSION: Final = 1
"""Goes up when the same texts would give another score."""
_NUMBER_WORDS: Final = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS: Final = {word: str(number) for number, word in enumerate(_NUMBER_WORDS, 2)}
_VOWELS: Final = frozenset("aeiouy")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a text names, each once, in the order of the text: stems, numbers as digits, regions as `[k]`."""

    supported: tuple[str, ...]
    unsupported: tuple[str, ...]

    @property
    def supported_share(self) -> float:
        """Share of all claims, 0-1; 1 where nothing is claimed."""
        count = len(self.supported) + len(self.unsupported)
        return len(self.supported) / count if count else 1.0


def stem(word: str) -> str:
    """The part of an English word that its forms share, roughly; words that differ in it are taken for two.

    Possessive, plural, -ing and -ed go, then a final e and a doubled consonant. A stemmer with all its rules (Porter)
    was given up: its stems are no words, and these are shown to people.
    """
    for end in ("'s", "’s", "s'", "s’"):
        word = word.removesuffix(end)
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    for end in ("ing", "ed"):
        short = word.removesuffix(end)
        if short != word and len(short) >= 3 and not _VOWELS.isdisjoint(short):
            word = short
            break
    if word.endswith(("xe", "she", "che", "sse")) or (word.endswith("e") and len(word) > 3):
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in _VOWELS:
        word = word[:-1]
    return word


@cache
def common_words() -> frozenset[str]:
    """The words that name nothing, as `words/common.txt` lists them."""
    text = (files("critics") / "words" / "common.txt").read_text("utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def named(texts: Iterable[str]) -> tuple[str, ...]:
    """What the texts name, each once, in order."""
    words = (word for text in texts for word in words_of(text))
    return tuple(dict.fromkeys(_claim(word) for word in words if word not in common_words()))


def _claim(word: str) -> str:
    return word if word.startswith("[") else _NUMBERS.get(word) or stem(word)


def claims(row: Qar, known: Verbalization) -> Claims:
    """What answer and rationale of `row` name, by whether the verbalization of its image does; regions of all three."""
    tags = (claim for claim in named([row.question]) if claim.startswith("["))
    made = tuple(dict.fromkeys([*tags, *named([row.answer, row.rationale])]))
    there = frozenset(named(scene_lines(known)))
    supported = tuple(claim for claim in made if claim in there)
    return Claims(supported, tuple(claim for claim in made if claim not in there))


class EvidenceCritic:
    """`critics.critic.Critic` by what the verbalization says."""

    def __init__(self, settings: EvidenceSettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        return self._settings.title

    @property
    def version(self) -> str:
        return fingerprint({"code": CODE_VERSION, "common": sorted(common_words())})[:12]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def score(self, rows: Sequence[Qar], evidence: Evidence) -> list[Score | NoScore]:
        return [self._score(row, evidence) for row in rows]

    def _score(self, row: Qar, evidence: Evidence) -> Score | NoScore:
        known = evidence[row.image_id].verbalization if row.image_id in evidence else None
        if known is None:
            return NoScore(NO_EVIDENCE)
        found = claims(row, known)
        lost = found.unsupported
        reason = UNKNOWN_REGION if any(claim.startswith("[") for claim in lost) else UNSUPPORTED
        detail = f"{len(lost)} of {len(lost) + len(found.supported)} claims unsupported: {', '.join(lost)}"
        return Score(found.supported_share, reason, detail if lost else "")
