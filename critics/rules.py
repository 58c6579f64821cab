"""The rules of the `localized` prompts that a program can check, each a pure function in one table.

Each rule looks for words at word boundaries, so that "orange" holds no "or" and "imagery" no "image"; phrases in which
a word means no harm ("picture frame") are taken out beforehand. A rule that must guess is strict where the teacher was
told not to use the word at all, and lenient where the word has an honest use. Rules by a language model were given up
here: these cost nothing, give the same verdict each time, and say which rule was broken.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Self

from critics import lexicon
from critics.critic import Score
from critics.settings import RulesSettings
from ostensive.fingerprint import fingerprint
from ostensive.records import Qar
from ostensive.stage import Evidence

CODE_VERSION = 1
"""Goes up with every change to a rule, so that judgements tell which rules they come from."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A candidate as the rules see it."""

    question: str
    answer: str
    rationale: str
    probes: tuple[str, ...] = ()  # the questions that the teacher was shown


_COORDINATES = re.compile(r"\(\s?[01]?\.\d{1,4}\s?,\s?[01]?\.\d{1,4}")
_HAIR = re.compile(
    r"\b(?:colou?red|colou?r|shade)\b.{0,60}\bhair\b|\bhair\b.{0,60}\b(?:colou?red|colou?r|shade)\b", re.IGNORECASE
)
_CHOICE = frozenset({"which", "who", "whom", "whose"})
_TAG = re.compile(r"\[\d+\]")
_SENTENCE_END = re.compile(r"[.!?。！？…]+[\"'”’)\]]*(?=\s|$)|[。！？]")
_ABBREVIATION = re.compile(
    r"\b(?:mr|mrs|ms|dr|st|prof|sr|jr|vs|etc|approx|e\.g|i\.e|a\.m|p\.m|u\.s|(?-i:[A-Z]))\.", re.IGNORECASE
)
_QUESTION_MARK = re.compile(r"[?？؟][\"'”’)\]\s]*$")
_STOP_WORDS = frozenset(
    {"a", "an", "the", "is", "are", "was", "were", "be", "been", "being", "am", "do", "does", "did", "has", "have"}
    | {"had", "it", "its", "they", "them", "their", "he", "him", "his", "she", "her", "this", "that", "these", "those"}
    | {"there", "of", "in", "on", "at", "to", "by", "for", "from", "with", "and", "as"}
)


def first_broken_rule(parts: Parts, settings: RulesSettings) -> str:
    """The fixed phrase of the first rule that `parts` break, or an empty string. Allowed phrases are taken out here."""
    phrases = settings.allowed_phrases
    cleaned = Parts(
        question=without_phrases(parts.question, phrases),
        answer=without_phrases(parts.answer, phrases),
        rationale=without_phrases(parts.rationale, phrases),
        probes=parts.probes,
    )
    for name, rule in RULES.items():
        if getattr(settings, name):
            reason = rule(cleaned, settings)
            if reason:
                return reason
    return ""


def without_phrases(text: str, phrases: Sequence[str]) -> str:
    """`text` with each of the phrases, whatever their case, replaced by one harmless word."""
    found = _phrases(tuple(phrases))
    return text if found.first_words.isdisjoint(lexicon.word_set(text)) else found.pattern.sub("thing", text)


@dataclass(frozen=True, slots=True)
class _Phrases:
    first_words: frozenset[str]
    pattern: re.Pattern[str]


@lru_cache(maxsize=16)
def _phrases(phrases: tuple[str, ...]) -> _Phrases:
    plain = sorted((phrase.strip() for phrase in phrases), key=len, reverse=True)
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, plain))})\b", re.IGNORECASE)
    return _Phrases(frozenset(lexicon.words_of(phrase)[0] for phrase in plain), pattern)


def sentence_count(text: str) -> int:
    """How many sentences a text has; abbreviations and decimals end none, and a last one needs no full stop."""
    plain = _ABBREVIATION.sub("x", text) if "." in text else text
    ends = list(_SENTENCE_END.finditer(plain))
    rest = plain[ends[-1].end() :] if ends else plain
    return len(ends) + any(c.isalnum() for c in rest)


def not_a_question(parts: Parts, _settings: RulesSettings) -> str:
    """The question ends in a question mark."""
    return "" if _QUESTION_MARK.search(parts.question) else "not a question"


def hedging(parts: Parts, _settings: RulesSettings) -> str:
    """Answer and rationale are stated as facts. A question may ask what might come next."""
    return "hedging" if lexicon.HEDGE.found(parts.answer) or lexicon.HEDGE.found(parts.rationale) else ""


def unclear_answer(parts: Parts, _settings: RulesSettings) -> str:
    """The answer is one."""
    return "unclear answer" if lexicon.UNCLEAR.found(parts.answer) else ""


def speaks_of_source(parts: Parts, _settings: RulesSettings) -> str:
    """Nothing shows that this comes from an image or a description of one."""
    for text in (parts.question, parts.answer, parts.rationale):
        if lexicon.SOURCE.found(text) or ("(" in text and _COORDINATES.search(text)):
            return "speaks of an image or a description"
    return ""


def watermark(parts: Parts, _settings: RulesSettings) -> str:
    """Nothing is about watermarks or text at the bottom."""
    texts = (parts.question, parts.answer, parts.rationale)
    return "banned topic: watermark" if any(lexicon.WATERMARK.found(text) for text in texts) else ""


def ambience(parts: Parts, _settings: RulesSettings) -> str:
    """The question is not about atmosphere or lighting; a rationale may cite them."""
    return "banned topic: ambience" if lexicon.AMBIENCE.found(parts.question) else ""


def clothing(parts: Parts, _settings: RulesSettings) -> str:
    """The question is not about what somebody wears; a rationale may cite it."""
    return "banned topic: clothing" if lexicon.CLOTHING.found(parts.question) else ""


def hair_colour(parts: Parts, _settings: RulesSettings) -> str:
    """The question is not for the colour of hair."""
    return "banned topic: hair colour" if "hair" in parts.question.lower() and _HAIR.search(parts.question) else ""


def alternatives(parts: Parts, _settings: RulesSettings) -> str:
    """The question offers no alternatives."""
    return "alternatives in the question" if "or" in lexicon.word_set(parts.question) else ""


def answer_in_question(parts: Parts, _settings: RulesSettings) -> str:
    """The answer says something that the question does not.

    Tags and function words are left aside. A question for which or who may name the candidates it chooses from.
    """
    asked = lexicon.word_set(parts.question)
    if not _CHOICE.isdisjoint(asked):
        return ""
    told = lexicon.word_set(_TAG.sub(" ", parts.answer)) - _STOP_WORDS
    return "answer given in the question" if told and told <= asked else ""


def repeats_probe(parts: Parts, settings: RulesSettings) -> str:
    """The question is not one that the teacher was shown with its answer."""
    asked = lexicon.word_set(parts.question)
    for probe in parts.probes:
        known = lexicon.word_set(probe)
        if known and len(asked & known) >= settings.min_probe_overlap * len(asked | known):
            return "question already answered in the context"
    return ""


def length(parts: Parts, settings: RulesSettings) -> str:
    """Each field has as many words and sentences as it may."""
    for name, text, least, most in (
        ("question", parts.question, settings.min_question_words, settings.max_question_words),
        ("answer", parts.answer, settings.min_answer_words, settings.max_answer_words),
        ("rationale", parts.rationale, settings.min_rationale_words, settings.max_rationale_words),
    ):
        count = len(lexicon.words_of(text))
        if count < least:
            return f"{name} too short"
        if count > most or sentence_count(text) > settings.max_sentences:
            return f"{name} too long"
    return ""


Rule = Callable[[Parts, RulesSettings], str]
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


class RulesCritic:
    """The critic `rules`: 1 for a candidate that breaks none, 0 with the first broken rule for any other."""

    def __init__(self, settings: RulesSettings) -> None:
        self._settings = settings
        self._version = fingerprint({"code": CODE_VERSION, "settings": settings.scoring_identity()})[:12]

    @property
    def name(self) -> str:
        return self._settings.title

    @property
    def version(self) -> str:
        return self._version

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def score(self, rows: Sequence[Qar], evidence: Evidence) -> list[Score]:
        return [self._score(row, evidence) for row in rows]

    def _score(self, row: Qar, evidence: Evidence) -> Score:
        """The score of one candidate beside the probes that its teacher was shown."""
        known = evidence.get(row.image_id)
        probes = known.verbalization.probes if known and known.verbalization else ()
        parts = Parts(row.question, row.answer, row.rationale, tuple(probe.question for probe in probes))
        reason = first_broken_rule(parts, self._settings)
        return Score(0.0 if reason else 1.0, reason)
