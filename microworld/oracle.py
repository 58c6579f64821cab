"""Reads sentences about a scene and says true, false or not checkable, with the reason.

It reads the forms of `forms`, those of `species_words` in texts about species, and what the scripted teacher writes;
everything else is not checkable. It never guesses: a word it does not know, a word twice or missing, a name that may
mean two things, a difference within the margin. No model reads: the oracle has to be the one who cannot be wrong.

The method that learns from explanations of labels asks a large model whether there is an explanation at all, and how
well it goes with the expert's concepts. Here both are counted: which concepts a text cites, whether each is visible,
whether the expert names it.

Every function is pure and works in time linear in the length of the text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from builders.localized.records import Qar
from microworld import findings as why
from microworld.claims import Answer, Attribute, Boxed, Claim, It, Question, Reference
from microworld.findings import Finding, agreed, all_of, negated, unsure
from microworld.nouns import read_some
from microworld.scenes import Scene
from microworld.sentences import (
    MAX_TOKENS,
    asked_about,
    read_answer,
    read_question,
    read_statement,
    sentences_of,
    spoken_of,
    tokens_of,
    unknown_word,
)
from microworld.species import concept_words, part_visibility
from microworld.species_truth import Standing, decide_species, specimens_in, standing_of, subject_of, the_specimen
from microworld.species_words import SPECIES_WORDS, read_species, speaks_of_species
from microworld.teacher import read_quoted_probe, read_teacher_answer, read_teacher_rationale, repeats_answer
from microworld.truth import Scope, decide, scope_of
from ostensive.records import Box, Region


@dataclass(frozen=True, slots=True)
class QarFinding:
    """The findings on a triple: whether the question has a true answer, and whether the rationale is true."""

    answer: Finding
    rationale: Finding

    @property
    def whole(self) -> Finding:
        """True when both are, false when one is."""
        return all_of((self.answer, self.rationale))


@dataclass(frozen=True, slots=True)
class Citation:
    """A concept that a text says of the specimen: how it stands in the picture, and whether the expert names it."""

    words: str
    standing: Standing
    listed: bool  # in the list of the species that the specimen is of

    @property
    def holds(self) -> bool:
        """Whether it is a visible concept of the expert's list: what an explanation is to be made of."""
        return self.standing == "visible" and self.listed


@dataclass(frozen=True, slots=True)
class ExplanationFinding:
    """What a text makes of a picture with one specimen."""

    named: tuple[str, ...]  # the species that it says the specimen is, each once
    label_is_right: bool  # it names that species, and no other
    cited: tuple[Citation, ...]  # each concept once, in the order of the text
    whole: Finding  # on every sentence of it

    @property
    def is_there(self) -> bool:
        """Whether anything is given to see: over many texts, the share of explanations that exist."""
        return bool(self.cited)

    @property
    def holding_share(self) -> float | None:
        """The share of the cited concepts that are visible and the expert's, 0-1; None where none is cited."""
        return sum(one.holds for one in self.cited) / len(self.cited) if self.cited else None


def judge_text(text: str, scene: Scene, regions: Sequence[Region] = (), *, it: Reference | None = None) -> Finding:
    """The finding on one or more statements: true when each is, false when one is.

    `regions` give a meaning to `[k]`, and `it` to "it"; in a text about species, "it" is the specimen otherwise.
    """
    tokens = tokens_of(text)
    if speaks_of_species(tokens):
        return judge_species_text(text, scene, regions, it=it)
    return _each(_statement, tokens, scope_of(scene, regions, it))


def judge_species_text(
    text: str, scene: Scene, regions: Sequence[Region] = (), *, it: Reference | None = None
) -> Finding:
    """As `judge_text`, of a text that is known to be about a specimen, even where it names no species."""
    return _each(_of_species, tokens_of(text), scope_of(scene, regions, it or the_specimen(scene)))


def judge_region_caption(caption: str, box: Box, scene: Scene) -> Finding:
    """The finding on what is said of a box: a noun phrase ("a small red circle"), or statements about "it"."""
    tokens = tokens_of(caption)
    words = tokens[:-1] if tokens[-1:] == ["."] else tokens
    read = read_some(words, 0) if len(words) <= MAX_TOKENS else None
    if read is not None and read.end == len(words):
        return _about(decide(Attribute(Boxed(box), read.value), scope_of(scene)), caption)
    return judge_text(caption, scene, it=Boxed(box))


def judge_probe(question: str, answer: str, scene: Scene, regions: Sequence[Region] = ()) -> Finding:
    """The finding on an answer to a question."""
    return _probe(tokens_of(question), tokens_of(answer), scope_of(scene, regions)).finding


def judge_qar(qar: Qar, regions: Sequence[Region], scene: Scene) -> QarFinding:
    """The findings on a triple about an image of `scene` with these regions.

    In the rationale "it" is what the answer is about.
    """
    scope = scope_of(scene, regions)
    question, answer, rationale = tokens_of(qar.question), tokens_of(qar.answer), tokens_of(qar.rationale)
    taught = read_teacher_answer(question, answer) if _short(question, answer) else None
    if taught is None:
        probed = _probe(question, answer, scope)
    elif taught.claim is None:
        probed = _Probed(judge_text(qar.answer, scene, regions), None)
    else:
        probed = _Probed(_about(decide(taught.claim, scope), qar.answer), None)
    if repeats_answer(rationale):
        return QarFinding(probed.finding, probed.finding)
    return QarFinding(probed.finding, _each(_reason, rationale, replace(scope, it=probed.it)))


def judge_explanation(text: str, scene: Scene, regions: Sequence[Region] = ()) -> ExplanationFinding:
    """What `text` says of the specimen of `scene`; raises `ValueError` where there is not exactly one.

    Sentences about other things count for `whole` alone.
    """
    found = specimens_in(scene)
    if len(found) != 1:
        raise ValueError(f"scene {scene.seed} has {len(found)} specimens; explanations are judged where there is one")
    scope = scope_of(scene, regions, the_specimen(scene))
    read = [read_species(sentence) for sentence in sentences_of(tokens_of(text)) if len(sentence) <= MAX_TOKENS]
    thing = scene.things[found[0].thing]
    claims = [claim for claim in read if claim is not None and subject_of(claim, scope) == thing]
    named = tuple(dict.fromkeys(claim.species for claim in claims if claim.species is not None))
    listed, seen = {one.concept.what for one in found[0].concepts}, part_visibility(scene.things, thing)
    cited = tuple(
        Citation(concept_words(mark), standing_of(mark, thing, seen), mark in listed)
        for mark in dict.fromkeys(mark for claim in claims for mark in claim.marks)
    )
    whole = judge_species_text(text, scene, regions, it=scope.it)
    return ExplanationFinding(named, named == (found[0].species,), cited, whole)


@dataclass(frozen=True, slots=True)
class _Probed:
    """The finding on an answer, and what "it" means after it."""

    finding: Finding
    it: Reference | None


def _each(judge: Callable[[Sequence[str], Scope], Finding], tokens: Sequence[str], scope: Scope) -> Finding:
    sentences = sentences_of(tokens)
    return all_of(judge(sentence, scope) for sentence in sentences) if sentences else unsure(why.NO_TEXT)


def _about(finding: Finding, words: str) -> Finding:
    return finding if finding.is_true else Finding(finding.value, finding.reason, finding.about or words)


def _short(*texts: Sequence[str]) -> bool:
    return all(len(text) <= MAX_TOKENS for text in texts)


def _unread(tokens: Sequence[str], words: str) -> Finding:
    stranger = unknown_word(tokens)
    return unsure(why.UNKNOWN_WORD, stranger) if stranger else unsure(why.NO_FORM, words)


def _statement(tokens: Sequence[str], scope: Scope) -> Finding:
    words = " ".join(tokens)
    if not _short(tokens):
        return unsure(why.TOO_LONG, words[:80])
    clauses = read_statement(tokens)
    if clauses is None:
        return _unread(tokens, words)
    return _about(all_of(agreed(decide(one, scope) for one in readings) for readings in clauses.readings), words)


def _of_species(tokens: Sequence[str], scope: Scope) -> Finding:
    """The finding on one sentence of a text about species."""
    claim = read_species(tokens) if _short(tokens) else None
    if claim is not None:
        return _about(decide_species(claim, scope), " ".join(tokens))
    if _short(tokens) and read_statement(tokens) is None:
        return _unread([token for token in tokens if token not in SPECIES_WORDS], " ".join(tokens))
    return _statement(tokens, scope)


def _reason(tokens: Sequence[str], scope: Scope) -> Finding:
    """The finding on one sentence of a rationale."""
    if not _short(tokens):
        return unsure(why.TOO_LONG, " ".join(tokens)[:80])
    claim = read_teacher_rationale(tokens)
    if claim is not None:
        return _about(decide(claim, scope), " ".join(tokens))
    quoted = read_quoted_probe(tokens)
    if quoted is not None:
        return _probe(quoted.question, quoted.answer, scope).finding
    return _statement(tokens, scope)


def _probe(question: Sequence[str], answer: Sequence[str], scope: Scope) -> _Probed:
    words = " ".join((*question, *answer))
    if not _short(question, answer):
        return _Probed(unsure(why.TOO_LONG, words[:80]), None)
    if not question or not answer:
        return _Probed(unsure(why.NO_TEXT, words), None)
    asked = read_question(question)
    if not asked:
        return _Probed(_unread(question, words), None)
    found = [(one, given) for one in asked for given in read_answer(one, answer)]
    if not found:
        stranger = unknown_word(answer)
        return _Probed(unsure(why.UNKNOWN_WORD, stranger) if stranger else unsure(why.NO_ANSWER, words), None)
    finding = agreed(_answer_finding(one, given, scope) for one, given in found)
    return _Probed(_about(finding, words), _topic(*found[0]))


def _answer_finding(question: Question, given: Answer, scope: Scope) -> Finding:
    finding = decide(given.claim, replace(scope, it=asked_about(question)))
    return finding if given.affirmed else negated(finding)


def _topic(question: Question, given: Answer) -> Reference | None:
    """What "it" means after an answer: what the answer speaks of, or the question if the answer says "it" too."""
    claim: Claim = given.claim
    subject = spoken_of(claim)
    return subject if subject not in (None, It()) else asked_about(question)
