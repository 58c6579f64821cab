"""Rules that a program can check, each a pure function in one table: those of the prompt of `localized` (LSKD).

They look at the texts of a candidate by their names: what is asked of questions applies to a text called `question`,
what is asked of answers to one called `answer`, and a candidate that has none cannot break such a rule. Each rule looks
for words at word boundaries, so that "orange" holds no "or" and "imagery" no "image"; phrases in which a word means no
harm ("picture frame") are taken out beforehand. A rule that must guess is strict where the teacher was told not to use
the word at all, and lenient where the word has an honest use.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal  # Any: what a user writes

from pydantic import Field, field_validator, model_validator

from critics import lexicon
from critics.critic import Critic, CriticName, Score, ScoringSettings
from ostensive.fingerprint import fingerprint
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Candidate
from ostensive.settings import Settings
from ostensive.stage import Evidence

CODE_VERSION = 2
"""Goes up with every change to a rule, so that judgements tell which rules they come from."""


class TextLimits(Settings):
    """How long a text of a candidate may be."""

    min_words: int = Field(default=1, ge=1)
    max_words: int = Field(default=1000, ge=1)
    max_sentences: int = Field(default=2, ge=1)
    """LSKD's prompt: one to two."""

    @model_validator(mode="after")
    def _ordered(self) -> "TextLimits":
        if self.min_words > self.max_words:
            raise ValueError(f"min_words at most max_words is expected, not {self.min_words} and {self.max_words}")
        return self


DEFAULT_LIMITS: Final[Mapping[str, Mapping[str, int]]] = {
    "question": {"min_words": 3, "max_words": 45},
    "answer": {"min_words": 1, "max_words": 60},
    "rationale": {"min_words": 3, "max_words": 80},
}
"""LSKD, table of the corpus: the means are 12, 12 and 24 words; the limits catch what ran away."""


class RulesSettings(ScoringSettings):
    """The prompt's own rules, as far as a program can check them. Each switch is one rule; see `critics.rules`."""

    kind: Literal["rules"] = "rules"
    name: CriticName | None = None
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """A candidate is accepted from this probability on; rules give 0 or 1."""
    not_a_question: bool = True
    """Reject questions that do not end in a question mark."""
    hedging: bool = True
    """Reject claims (answers and rationales) that hedge: maybe, perhaps, likely, seems, might, ..."""
    unclear_answer: bool = True
    """Reject answers that say that there is no answer: unclear, cannot be determined, ..."""
    speaks_of_source: bool = True
    """Reject candidates that speak of an image, a photo, a description, a caption, a region, coordinates, ..."""
    watermark: bool = True
    """Reject candidates about watermarks or text at the bottom."""
    ambience: bool = True
    """Reject questions about atmosphere, ambience, mood or lighting."""
    clothing: bool = True
    """Reject questions about what somebody wears, an outfit or its significance."""
    hair_colour: bool = True
    """Reject questions for the colour of hair."""
    alternatives: bool = True
    """Reject questions that join alternatives with "or"."""
    answer_in_question: bool = True
    """Reject candidates whose question holds every word of the answer."""
    repeats_probe: bool = True
    """Reject questions that the teacher was shown already, or that reword one lightly."""
    length: bool = True
    """Reject texts with too few or too many words or sentences, by `limits`."""
    min_probe_overlap: float = Field(default=0.8, gt=0, le=1)
    """Shared words over all words (Jaccard) from which on a question repeats a probe."""
    limits: Mapping[str, TextLimits] = Field(default={}, validate_default=True)
    """By part: its least and most words and its most sentences. What is not said of question, answer and rationale is
    3 to 45, 1 to 60 and 3 to 80 words and two sentences; other parts have no limits but those that are given here."""
    allowed_phrases: tuple[str, ...] = (
        "picture frame",
        "picture frames",
        "picture window",
        "picture book",
        "photo booth",
        "photo album",
        "more or less",
        "sooner or later",
        "whether or not",
        "one way or another",
    )
    """Phrases in which a word means no harm; they are passed over by every rule about words."""

    @field_validator("allowed_phrases")
    @classmethod
    def _words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(phrase[:1].isalnum() for phrase in value):
            raise ValueError("phrases that begin with a letter or digit are expected")
        return value

    @field_validator("limits", mode="before")
    @classmethod
    def _with_defaults(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        given = {part: one.model_dump() if isinstance(one, TextLimits) else one for part, one in value.items()}
        plain = {part: {**DEFAULT_LIMITS.get(part, {}), **one} for part, one in given.items() if isinstance(one, dict)}
        return {**DEFAULT_LIMITS, **given, **plain}

    def lacking(self, kind: RecipeKind) -> str:
        """A part of which there is a limit; one of those that have limits by themselves may be missing."""
        unknown = [part for part in self.limits if part not in kind.parts and part not in DEFAULT_LIMITS]
        return f"the text {unknown[0]}, of which limits has a limit" if unknown else ""


@dataclass(frozen=True, slots=True)
class CheckedTexts:
    """The texts of a candidate that rules are checked on."""

    by_part: Mapping[str, str]
    claims: tuple[str, ...]  # the names of those that are claims: answer and rationale
    probes: tuple[str, ...] = ()  # the questions that the teacher was shown

    @property
    def question(self) -> str:
        """The question; empty where there is none, which no rule on questions finds fault with."""
        return self.by_part.get("question", "")

    @property
    def answer(self) -> str:
        """The answer; empty where there is none."""
        return self.by_part.get("answer", "")


_COORDINATES = re.compile(r"\(\s?[01]?\.\d{1,4}\s?,\s?[01]?\.\d{1,4}")
_HAIR = re.compile(
    r"\b(?:colou?red|colou?r|shade)\b.{0,60}\bhair\b|\bhair\b.{0,60}\b(?:colou?red|colou?r|shade)\b", re.IGNORECASE
)
_CHOICE = frozenset({"which", "who", "whom", "whose"})
_QUESTION_MARK = re.compile(r"[?？؟][\"'”’)\]\s]*$")
_STOP_WORDS = frozenset(
    {"a", "an", "the", "is", "are", "was", "were", "be", "been", "being", "am", "do", "does", "did", "has", "have"}
    | {"had", "it", "its", "they", "them", "their", "he", "him", "his", "she", "her", "this", "that", "these", "those"}
    | {"there", "of", "in", "on", "at", "to", "by", "for", "from", "with", "and", "as"}
)


def first_broken_rule(texts: CheckedTexts, settings: RulesSettings) -> str:
    """The fixed phrase of the first rule that `texts` break, or an empty string. Allowed phrases are taken out here."""
    phrases = settings.allowed_phrases
    by_part = {part: lexicon.without_phrases(text, phrases) for part, text in texts.by_part.items()}
    cleaned = replace(texts, by_part=by_part)
    for name, rule in RULES.items():
        if getattr(settings, name) and (reason := rule(cleaned, settings)):
            return reason
    return ""


def not_a_question(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """The question ends in a question mark."""
    asks = "question" not in texts.by_part or _QUESTION_MARK.search(texts.question)
    return "" if asks else "not a question"


def hedging(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """Claims are stated as facts. A question may ask what might come next."""
    return "hedging" if any(lexicon.HEDGE.found(texts.by_part.get(part, "")) for part in texts.claims) else ""


def unclear_answer(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """The answer is one."""
    return "unclear answer" if lexicon.UNCLEAR.found(texts.answer) else ""


def speaks_of_source(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """Nothing shows that this comes from an image or a description of one."""
    for text in texts.by_part.values():
        if lexicon.SOURCE.found(text) or ("(" in text and _COORDINATES.search(text)):
            return "speaks of an image or a description"
    return ""


def watermark(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """Nothing is about watermarks or text at the bottom."""
    return "banned topic: watermark" if any(map(lexicon.WATERMARK.found, texts.by_part.values())) else ""


def ambience(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """The question is not about atmosphere or lighting; a rationale may cite them."""
    return "banned topic: ambience" if lexicon.AMBIENCE.found(texts.question) else ""


def clothing(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """The question is not about what somebody wears; a rationale may cite it."""
    return "banned topic: clothing" if lexicon.CLOTHING.found(texts.question) else ""


def hair_colour(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """The question is not for the colour of hair."""
    return "banned topic: hair colour" if "hair" in texts.question.lower() and _HAIR.search(texts.question) else ""


def alternatives(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """The question offers no alternatives."""
    return "alternatives in the question" if "or" in lexicon.word_set(texts.question) else ""


def answer_in_question(texts: CheckedTexts, _settings: RulesSettings) -> str:
    """The answer says something that the question does not.

    Tags and function words are left aside. A question for which or who may name the candidates it chooses from.
    """
    asked = lexicon.word_set(texts.question)
    if not _CHOICE.isdisjoint(asked):
        return ""
    claimed = lexicon.word_set(lexicon.TAG.sub(" ", texts.answer)) - _STOP_WORDS
    return "answer given in the question" if claimed and claimed <= asked else ""


def repeats_probe(texts: CheckedTexts, settings: RulesSettings) -> str:
    """The question is not one that the teacher was shown with its answer."""
    asked = lexicon.word_set(texts.question)
    for probe in texts.probes:
        known = lexicon.word_set(probe)
        if known and len(asked & known) >= settings.min_probe_overlap * len(asked | known):
            return "question already answered in the context"
    return ""


def length(texts: CheckedTexts, settings: RulesSettings) -> str:
    """Each text of which there are limits has as many words and sentences as it may."""
    for part, text in texts.by_part.items():
        limits = settings.limits.get(part)
        if limits is None:
            continue
        count = len(lexicon.words_of(text))
        if count < limits.min_words:
            return f"{part} too short"
        if count > limits.max_words or lexicon.sentence_count(text) > limits.max_sentences:
            return f"{part} too long"
    return ""


Rule = Callable[[CheckedTexts, RulesSettings], str]
RULES: dict[str, Rule] = {
    "not_a_question": not_a_question,
    "hedging": hedging,
    "unclear_answer": unclear_answer,
    "speaks_of_source": speaks_of_source,
    "watermark": watermark,
    "ambience": ambience,
    "clothing": clothing,
    "hair_colour": hair_colour,
    "alternatives": alternatives,
    "answer_in_question": answer_in_question,
    "repeats_probe": repeats_probe,
    "length": length,
}
"""Every rule under the name of its switch in `RulesSettings`, in the order in which they are tried."""


class RulesCritic(Critic[RulesSettings]):
    """The critic `rules`: 1 for a candidate that breaks none, 0 with the first broken rule for any other."""

    @property
    def version(self) -> str:
        return fingerprint({"code": CODE_VERSION, "settings": self.settings.scoring_identity()})[:12]

    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Score]:
        return [self._score(row, evidence) for row in rows]

    def _score(self, row: Candidate, evidence: Evidence) -> Score:
        """The score of one candidate beside the probes that its teacher was shown."""
        kind, known = self.context.kind, evidence.get(row.image_id)
        probes = known.verbalization.probes if known and known.verbalization else ()
        by_part = {shown.name: shown.text for shown in kind.shown(row)}
        texts = CheckedTexts(by_part, kind.judged_parts, tuple(probe.question for probe in probes))
        reason = first_broken_rule(texts, self.settings)
        return Score(0.0 if reason else 1.0, reason)
