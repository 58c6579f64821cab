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
from functools import lru_cache

from critics import lexicon
from critics.critic import Critic, Score
from critics.settings import RulesSettings
from ostensive.fingerprint import fingerprint
from ostensive.records import Candidate
from ostensive.stage import Evidence

CODE_VERSION = 2
"""Goes up with every change to a rule, so that judgements tell which rules they come from."""


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


def first_broken_rule(texts: CheckedTexts, settings: RulesSettings) -> str:
    """The fixed phrase of the first rule that `texts` break, or an empty string. Allowed phrases are taken out here."""
    phrases = settings.allowed_phrases
    cleaned = replace(texts, by_part={part: without_phrases(text, phrases) for part, text in texts.by_part.items()})
    for name, rule in RULES.items():
        if getattr(settings, name) and (reason := rule(cleaned, settings)):
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
    told = lexicon.word_set(lexicon.TAG.sub(" ", texts.answer)) - _STOP_WORDS
    return "answer given in the question" if told and told <= asked else ""


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
        if count > limits.max_words or sentence_count(text) > limits.max_sentences:
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
