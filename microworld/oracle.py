"""Reads sentences about a scene and says true, false or not checkable, with the reason.

It reads the forms of `wordings`, those of `species_words` in texts about species, and, when given the teacher's table,
those of the scripted teacher; everything else is not checkable. It never guesses: a word it does not know, a word twice
or missing, a name that may mean two things, a difference within the margin. Reading with a model was given up: the
judge has to be the one who cannot be wrong.

Every function is pure and works in time linear in the length of the text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from microworld import verdicts as why
from microworld.answers import asked_about, spoken_of
from microworld.claims import Attribute, Boxed, Claim, It, Kind, Reference
from microworld.nouns import read_some
from microworld.questions import Answered, Question
from microworld.scenes import Scene
from microworld.sentences import (
    MAX_TOKENS,
    read_answer,
    read_question,
    read_statement,
    sentences_of,
    tokens_of,
    unknown_word,
)
from microworld.species_truth import decide_species, the_specimen
from microworld.species_words import SPECIES_WORDS, read_species, speaks_of_species
from microworld.taught import (
    Taught,
    read_aside,
    read_taught_answer,
    read_taught_rationale,
    repeats_answer,
)
from microworld.truth import View, decide
from microworld.verdicts import Verdict, agreed, all_of, negated, unsure
from ostensive.records import Box, Qar, Region

__all__ = [
    "QarVerdict",
    "Verdict",
    "judge_probe",
    "judge_qar",
    "judge_region_caption",
    "judge_species_text",
    "judge_text",
]
_NOTHING_TAUGHT = Taught()


@dataclass(frozen=True, slots=True)
class QarVerdict:
    """The verdicts on a triple: whether the question is answered rightly, and whether the rationale is true."""

    answer: Verdict
    rationale: Verdict

    @property
    def whole(self) -> Verdict:
        """True when both are, false when one is."""
        return all_of((self.answer, self.rationale))


def judge_text(text: str, scene: Scene, regions: Sequence[Region] = (), *, it: Reference | None = None) -> Verdict:
    """The verdict on one or more statements: true when each is, false when one is.

    `regions` give a meaning to `[k]`, and `it` to "it"; in a text about species, "it" is the specimen otherwise.
    """
    tokens = tokens_of(text)
    if speaks_of_species(tokens):
        return judge_species_text(text, scene, regions, it=it)
    return _each(_statement, tokens, _view(scene, regions, it))


def judge_species_text(
    text: str, scene: Scene, regions: Sequence[Region] = (), *, it: Reference | None = None
) -> Verdict:
    """As `judge_text`, of a text that is known to be about a specimen, even where it names no species."""
    return _each(_of_species, tokens_of(text), _view(scene, regions, it or the_specimen(scene)))


def judge_region_caption(caption: str, box: Box, scene: Scene) -> Verdict:
    """The verdict on what is said of a box: a noun phrase ("a small red circle"), or statements about "it"."""
    tokens = tokens_of(caption)
    words = tokens[:-1] if tokens[-1:] == ["."] else tokens
    read = read_some(words, 0) if len(words) <= MAX_TOKENS else None
    if read is not None and read.end == len(words):
        assert isinstance(read.value, Kind), "a noun phrase is read as what it says of a thing"
        return _about(decide(Attribute(Boxed(box), read.value), View(scene)), caption)
    return judge_text(caption, scene, it=Boxed(box))


def judge_probe(question: str, answer: str, scene: Scene, regions: Sequence[Region] = ()) -> Verdict:
    """The verdict on an answer to a question."""
    return _probe(tokens_of(question), tokens_of(answer), _view(scene, regions)).verdict


def judge_qar(qar: Qar, regions: Sequence[Region], scene: Scene, taught: Taught = _NOTHING_TAUGHT) -> QarVerdict:
    """The verdicts on a triple about an image of `scene` with these regions.

    In the rationale "it" is what the answer is about. With the teacher's table, its wordings are read too.
    """
    view = _view(scene, regions)
    question, answer = tokens_of(qar.question), tokens_of(qar.answer)
    lesson = read_taught_answer(taught, question, answer) if _short(question, answer) else None
    if lesson is None:
        probed = _probe(question, answer, view)
    elif lesson.claim is None:
        probed = _Probed(judge_text(qar.answer, scene, regions), None)
    else:
        probed = _Probed(_about(decide(lesson.claim, view), qar.answer), None)
    if repeats_answer(taught, tokens_of(qar.rationale)):
        return QarVerdict(probed.verdict, probed.verdict)
    sentences = sentences_of(tokens_of(qar.rationale))
    reading = _view(scene, regions, probed.it)
    verdicts = [_reason(sentence, reading, taught) for sentence in sentences]
    return QarVerdict(probed.verdict, all_of(verdicts) if verdicts else unsure(why.NO_TEXT))


@dataclass(frozen=True, slots=True)
class _Probed:
    """The verdict on an answer, and what "it" means after it."""

    verdict: Verdict
    it: Reference | None


def _view(scene: Scene, regions: Sequence[Region], it: Reference | None = None) -> View:
    return View(scene, {region.number: region.box for region in regions}, it)


def _each(judge: Callable[[Sequence[str], View], Verdict], tokens: Sequence[str], view: View) -> Verdict:
    sentences = sentences_of(tokens)
    return all_of(judge(sentence, view) for sentence in sentences) if sentences else unsure(why.NO_TEXT)


def _about(verdict: Verdict, words: str) -> Verdict:
    return verdict if verdict.is_true else Verdict(verdict.outcome, verdict.reason, verdict.about or words)


def _short(*texts: Sequence[str]) -> bool:
    return all(len(text) <= MAX_TOKENS for text in texts)


def _unread(tokens: Sequence[str], words: str) -> Verdict:
    stranger = unknown_word(tokens)
    return unsure(why.UNKNOWN_WORD, stranger) if stranger else unsure(why.NO_FORM, words)


def _statement(tokens: Sequence[str], view: View) -> Verdict:
    words = " ".join(tokens)
    if not _short(tokens):
        return unsure(why.TOO_LONG, words[:80])
    clauses = read_statement(tokens)
    if clauses is None:
        return _unread(tokens, words)
    return _about(all_of(agreed(decide(one, view) for one in readings) for readings in clauses.readings), words)


def _of_species(tokens: Sequence[str], view: View) -> Verdict:
    """The verdict on one sentence of a text about species."""
    told = read_species(tokens) if _short(tokens) else None
    if told is not None:
        return _about(decide_species(told, view), " ".join(tokens))
    if _short(tokens) and read_statement(tokens) is None:
        return _unread([token for token in tokens if token not in SPECIES_WORDS], " ".join(tokens))
    return _statement(tokens, view)


def _reason(tokens: Sequence[str], view: View, taught: Taught) -> Verdict:
    """The verdict on one sentence of a rationale."""
    if not _short(tokens):
        return unsure(why.TOO_LONG, " ".join(tokens)[:80])
    claim = read_taught_rationale(taught, tokens)
    if claim is not None:
        return _about(decide(claim, view), " ".join(tokens))
    aside = read_aside(tokens) if taught.lessons else None
    if aside is not None:
        return _probe(aside.question, aside.answer, view).verdict
    return _statement(tokens, view)


def _probe(question: Sequence[str], answer: Sequence[str], view: View) -> _Probed:
    words = " ".join((*question, *answer))
    if not _short(question, answer):
        return _Probed(unsure(why.TOO_LONG, words[:80]), None)
    if not question or not answer:
        return _Probed(unsure(why.NO_TEXT, words), None)
    asked = read_question(question)
    if not asked:
        return _Probed(_unread(question, words), None)
    found = [(one, said) for one in asked for said in read_answer(one, answer)]
    if not found:
        stranger = unknown_word(answer)
        return _Probed(unsure(why.UNKNOWN_WORD, stranger) if stranger else unsure(why.NO_ANSWER, words), None)
    verdict = agreed(_said(one, said, view) for one, said in found)
    return _Probed(_about(verdict, words), _topic(*found[0]))


def _said(question: Question, said: Answered, view: View) -> Verdict:
    verdict = decide(said.claim, View(view.scene, view.regions, asked_about(question)))
    return verdict if said.affirmed else negated(verdict)


def _topic(question: Question, said: Answered) -> Reference | None:
    """What "it" means after an answer: what the answer speaks of, or the question if the answer says "it" too."""
    claim: Claim = said.claim
    subject = spoken_of(claim)
    return subject if subject not in (None, It()) else asked_about(question)
