"""The critic `evidence`: what a candidate claims has to stand in what is known of its image.

Claims are found by words alone: regions by number, numbers, and every word that may name something (all but those of
grammar, reasoning and place in `words/common.txt`), reduced to a stem. A claim is supported when its stem stands in the
image's concepts, narratives, captions, labels or probes, or in what came in beside it. It knows no synonyms and does
not ask which region a word is said of; it is free, judges the same way each time, and shows which words it stumbled
over. For the rest there is the critic `judge`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from pydantic import Field

from critics.critic import Critic, NoScore, Score, ScoringSettings
from critics.lexicon import words_of
from ostensive.fingerprint import fingerprint
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import AREA_LABEL, IMAGE_SLOT, Annotation, Candidate, Verbalization
from ostensive.stage import Evidence, ImageEvidence
from ostensive.text_lines import lines_of

UNKNOWN_REGION: Final = "names a region that there is not"
UNSUPPORTED: Final = "claims what the evidence does not say"
NO_EVIDENCE: Final = "no verbalization"
CODE_VERSION: Final = 2
"""Goes up when the same texts would give another score."""
_NUMBER_WORDS: Final = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS: Final = {word: str(number) for number, word in enumerate(_NUMBER_WORDS, 2)}
_VOWELS: Final = frozenset("aeiouy")


class EvidenceSettings(ScoringSettings):
    """What a candidate's claims (answer and rationale) name, checked against what is known of the image."""

    kind: Literal["evidence"] = "evidence"
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """Share of what is named that has to be supported."""

    def lacking(self, kind: RecipeKind) -> str:
        """Claims, and something to hold them against."""
        return lacking_claims(kind)


def lacking_claims(kind: RecipeKind) -> str:
    """What candidates of `kind` lack to be held against what is known of their images; empty for nothing."""
    if not kind.judged_parts:
        return "a text that claims something"
    is_known = "verbalize" in kind.recipe.model_fields or kind.reads_annotations
    return "" if is_known else "a verbalization or annotations of their image"


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

    Possessive, plural, -ing and -ed go, then a final e and a doubled consonant. No stemmer with all its rules (Porter):
    its stems are no words, and these are shown to people.
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
    return frozenset(word for line in lines_of(text) if not line.startswith("#") for word in line.split())


def named(texts: Iterable[str]) -> tuple[str, ...]:
    """What the texts name, each once, in order."""
    words = (word for text in texts for word in words_of(text))
    return tuple(dict.fromkeys(_claim(word) for word in words if word not in common_words()))


def _claim(word: str) -> str:
    return word if word.startswith("[") else _NUMBERS.get(word) or stem(word)


def claims(texts: Sequence[ShownText], judged_parts: Sequence[str], known: Iterable[str]) -> Claims:
    """What the texts that are claims name, and the regions of all, by whether one of the lines `known` does."""
    others, claiming = (
        [one.text for one in texts if (one.name in judged_parts) == is_claim] for is_claim in (False, True)
    )
    tags = (claim for claim in named(others) if claim.startswith("["))
    made = tuple(dict.fromkeys([*tags, *named(claiming)]))
    there = frozenset(named(known))
    supported = tuple(claim for claim in made if claim in there)
    return Claims(supported, tuple(claim for claim in made if claim not in there))


def known_lines(known: ImageEvidence | None) -> list[str] | None:
    """What is known of an image, line by line, for words to be looked up in and for a judge to read; None for nothing.

    An image whose verbalization is empty is known: nothing is to be seen on it.
    """
    if known is None or (known.verbalization is None and not known.annotations):
        return None
    seen = [] if known.verbalization is None else [*verbalization_lines(known.verbalization)]
    return [*seen, *(line for annotation in known.annotations for line in _annotation_lines(annotation))]


def known_of(row: Candidate, kind: RecipeKind, evidence: Evidence) -> list[str] | None:
    """What is known of the image of a candidate, and what its teacher was told besides; None for nothing."""
    lines, given = known_lines(evidence.get(row.image_id)), [*kind.given(row)]
    return given or None if lines is None else [*lines, *given]


def verbalization_lines(known: Verbalization) -> Iterator[str]:
    """A verbalization line by line."""
    yield from known.concepts
    yield from known.narratives
    for region in known.regions:
        label = "" if region.label in ("", AREA_LABEL) else f" ({region.label})"
        yield f"[{region.number}]{label} {region.caption}"
    for probe in known.probes:
        yield f"{probe.question} {probe.answer}"


def _annotation_lines(annotation: Annotation) -> Iterator[str]:
    answers = ", ".join(annotation.answers)
    for text in (annotation.label, annotation.instruction, f"{annotation.question or ''} {answers}".strip()):
        if text:
            yield text
    yield from annotation.rationales
    for turn in annotation.turns:
        if text := turn.text.replace(IMAGE_SLOT, "").strip():
            yield text
    for extra in annotation.extras:
        yield f"{extra.name}: {extra.text}"


class EvidenceCritic(Critic[EvidenceSettings]):
    """The critic `evidence`: the share of what is claimed that is known."""

    @property
    def version(self) -> str:
        return fingerprint({"code": CODE_VERSION, "common": sorted(common_words())})[:12]

    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Score | NoScore]:
        return [self._score(row, known_of(row, self.context.kind, evidence)) for row in rows]

    def _score(self, row: Candidate, known: list[str] | None) -> Score | NoScore:
        if known is None:
            return NoScore(NO_EVIDENCE)
        kind = self.context.kind
        found = claims(kind.shown(row), kind.judged_parts, known)
        lost = found.unsupported
        reason = UNKNOWN_REGION if any(claim.startswith("[") for claim in lost) else UNSUPPORTED
        detail = f"{len(lost)} of {len(lost) + len(found.supported)} claims unsupported: {', '.join(lost)}"
        return Score(found.supported_share, reason, detail if lost else "")
