"""The stage `candidates`: questions about each image are answered from its label and its concepts.

In the first round each question is answered once; from the second on several times, and the best answer is kept. A
question is kept as it was drawn. (The published code reads it back out of the prompt: after the last colon, and without
apostrophes.) The answer has to name the label.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final, Self  # Any: JSON values

from builders.asking import (
    FILTERED,
    IMAGES_AT_ONCE,
    TRUNCATED,
    UNREADABLE,
    Asker,
    Gathered,
    open_asker,
    request_seed,
    sampling_of,
    whole_reply,
)
from builders.explanations.choosing import AnswerChooser, Choice
from builders.explanations.comparing import NOT_FINITE
from builders.explanations.describing import PROMPT_VALUES
from builders.explanations.queries import Query, draw_queries, shipped_pools
from builders.explanations.records import Explanation, QueryKind, Selected, Way
from builders.explanations.settings import ExplanationsSettings, prompt_sets
from builders.rounds import FIRST_ROUND, Inherited, RoundSettings
from critics import explanation_measures as measures
from critics.label_names import aliases_of, names_label
from ostensive.chat.access import TeacherSettings
from ostensive.chat.pictures import Picture
from ostensive.chat.records import Conversation, Exchange, Message, Reply, Sampling
from ostensive.chat.scripted import Script
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.prompts import PromptValue, load_prompts
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Failed, Outcome, Stage
from verbalizers.base import ImageFailure

CANDIDATES: Final = "candidates"
LABEL_MISSING: Final = "label not named"
NOT_BEST: Final = "another answer fits the concepts better"
NO_QUESTION: Final = "no question"
REASONS: Final = (LABEL_MISSING, NOT_BEST, TRUNCATED, FILTERED)
"""Every reason for which an answer is dropped before the critics."""

_STAGE_VERSION = 2
_ANSWER, _LABEL_ONLY = "answer", "label_only"
_TRIAL = "737-700 trial"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question about one image; `place` is its number among the questions of the image."""

    row: Selected
    place: int
    query: Query
    picture: Picture


class AnswerStage(Stage[Selected, Explanation]):
    """From chosen concepts to questions with answers."""

    name = CANDIDATES
    record_in = Selected
    record_out = Explanation
    images_at_once = IMAGES_AT_ONCE
    partitions_at_once = 2

    def __init__(
        self,
        settings: ExplanationsSettings,
        *,
        teacher: TeacherSettings,
        script: Script,
        seed: int,
        rounds: RoundSettings = FIRST_ROUND,
    ) -> None:
        """Stores and validates; raises `SettingsError` for prompts or a list of concepts that cannot be used."""
        self._settings, self._teacher, self._script, self._seed = settings, teacher, script, seed
        self._round, self._inherited = rounds.number, Inherited(rounds, Explanation)
        self._samples = settings.candidates.samples if self._round else 1
        self._chooser = AnswerChooser(settings) if self._samples > 1 else None
        self._pools = shipped_pools()
        required = (_ANSWER, _LABEL_ONLY)
        self._prompts = load_prompts(settings.prompt_set, prompt_sets(), required=required, variables=PROMPT_VALUES)
        # A template that fails does so before any work.
        self.prompt(Selected("", _TRIAL, ("a trial",), (0.0,)), "What is this?")
        if not names_label(self._prompts.render(_LABEL_ONLY, {"label": _TRIAL}), _TRIAL):
            raise SettingsError(f"{settings.prompt_set}: {_LABEL_ONLY}.j2 does not hold {{{{ label }}}}")
        self._asker: Asker | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        settings = self._settings
        sampling = self._sampling(0, 0)
        return {
            "version": [_STAGE_VERSION, measures.MEASURES_VERSION],
            "queries": settings.queries,
            "simple_share": self._simple_share,
            "pools": fingerprint({kind: list(pool) for kind, pool in self._pools.items()}),
            "samples": self._samples,
            "sampling": [sampling.temperature, sampling.top_p, sampling.max_tokens],
            "chooser": None if self._chooser is None else self._chooser.identity,
            "aliases": {label: list(names) for label, names in settings.aliases.items()},
            "fallback": settings.fallback,
            "prompts": self._prompts.prompt_hash,
            "teacher": self._teacher.reply_identity(),
            "seed": self._seed,
            "round": self._round,
            "inherited": self._inherited.identity,
        }

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with ExitStack() as stack:
            self._asker = stack.enter_context(open_asker(self._teacher, self._script, services))
            stack.enter_context(self._inherited.opened())
            if self._chooser is not None:
                stack.enter_context(self._chooser.opened())
            yield self
        self._asker = None

    def process(self, rows: Sequence[Selected], evidence: Evidence) -> list[Outcome[Explanation]]:
        assert self._asker is not None, "the stage is opened before it is used"
        pictures = self._asker.pictures([evidence[row.image_id].image for row in rows])
        gathered = Gathered[Explanation]()
        asked: list[_Asked] = []
        for row in rows:
            for earlier in self._inherited.of(row.image_id):
                gathered.keep(earlier)
            picture = pictures[row.image_id]
            if isinstance(picture, ImageFailure):
                gathered.lose(row.image_id, Failed(UNREADABLE, picture.detail))
            else:
                asked += [_Asked(row, place, query, picture) for place, query in enumerate(self.queries(row.image_id))]
        conversations = [self._conversation(one, draw) for one in asked for draw in range(self._samples)]
        exchanges = iter(self._asker.ask(conversations))
        answered = [self._answers(gathered, one, [next(exchanges) for _ in range(self._samples)]) for one in asked]
        self._keep_best(gathered, [answers for answers in answered if answers])
        return [gathered.outcome(row.image_id, otherwise=NO_QUESTION) for row in rows]

    def queries(self, image_id: str) -> list[Query]:
        """The questions about an image: the same whatever is asked before, beside or after it."""
        rng = Random(f"{self._seed}/queries/{self._round}/{image_id}")  # noqa: S311 - wording, not secrets
        return draw_queries(self._pools, self._settings.queries, self._simple_share, rng)

    def prompt(self, row: Selected, query: str) -> str:
        """The request for the answer to one question, exactly as it is sent beside the picture."""
        values: dict[str, PromptValue] = {"label": row.label, "concepts": row.concepts, "query": query}
        return self._prompts.render(_ANSWER, values)

    @property
    def _simple_share(self) -> float:
        """Later rounds ask for reasons alone (SelfSynthX, step 2.5); a name alone comes in where no answer has it."""
        return 0.0 if self._round else self._settings.simple_share

    def _sampling(self, seed: int, draw: int) -> Sampling:
        settings, sampling = self._settings, sampling_of(self._teacher, seed, draw=draw)
        if not self._round:
            return replace(sampling, temperature=settings.answer_temperature, max_tokens=settings.answer_max_tokens)
        given = settings.candidates
        return replace(sampling, temperature=given.temperature, top_p=given.top_p, max_tokens=given.max_tokens)

    def _conversation(self, asked: _Asked, draw: int) -> Conversation:
        seed = request_seed(self._seed, asked.row.image_id, CANDIDATES, self._round, asked.place, draw)
        message = Message("user", self.prompt(asked.row, asked.query.text), (asked.picture,))
        return Conversation((message,), (), self._sampling(seed, draw))

    def _answers(
        self, gathered: Gathered[Explanation], asked: _Asked, exchanges: Sequence[Exchange]
    ) -> list[Explanation]:
        """The answers to a question that name the label.

        Where there are whole replies and none does, one of them becomes the plain pair, if that is wanted.
        """
        row, named, unnamed = asked.row, list[Explanation](), list[tuple[int, Reply]]()
        for draw, exchange in enumerate(exchanges):
            reply = whole_reply(exchange.replies[0])
            gathered.pay(row.image_id, exchange)
            if not isinstance(reply, Reply):
                gathered.lose(row.image_id, reply)
            elif names_label(reply.text, row.label, aliases_of(row.label, self._settings.aliases)):
                named.append(self._explained(asked, draw, reply))
            else:
                unnamed.append((draw, reply))
        if unnamed and not named and self._settings.fallback:
            gathered.keep(self._label_only(asked, *unnamed.pop(0)))
        for draw, reply in unnamed:
            gathered.lose(row.image_id, Dropped(LABEL_MISSING, "", self._explained(asked, draw, reply)))
        return named

    def _keep_best(self, gathered: Gathered[Explanation], answered: Sequence[Sequence[Explanation]]) -> None:
        """Of the answers to each question, the best goes on."""
        several = [answers for answers in answered if len(answers) > 1]
        choices = [Choice(answers[0].concepts, tuple(one.answer for one in answers)) for answers in several]
        chosen = iter([] if self._chooser is None or not choices else self._chooser.best(choices))
        for answers in answered:
            best = next(chosen) if len(answers) > 1 else 0
            for place, one in enumerate(answers):
                if best is None:
                    gathered.lose(one.image_id, Failed(NOT_FINITE, self._settings.embedding.model))
                elif place == best:
                    gathered.keep(one)
                else:
                    gathered.lose(one.image_id, Dropped(NOT_BEST, "", one))

    def _explained(self, asked: _Asked, draw: int, reply: Reply) -> Explanation:
        return self._explanation(
            asked, draw, reply, asked.query.text, reply.text.strip(), "explained", asked.query.kind
        )

    def _label_only(self, asked: _Asked, draw: int, reply: Reply) -> Explanation:
        answer = self._prompts.render(_LABEL_ONLY, {"label": asked.row.label})
        return self._explanation(asked, draw, reply, asked.query.plain, answer, "label only", "simple")

    def _explanation(
        self, asked: _Asked, draw: int, reply: Reply, query: str, answer: str, way: Way, kind: QueryKind
    ) -> Explanation:
        concepts = asked.row.concepts
        return Explanation(
            row_id=fingerprint([asked.row.image_id, reply.request_key, self._round, asked.place, draw])[:16],
            image_id=asked.row.image_id,
            label=asked.row.label,
            query=query,
            answer=answer,
            concepts=concepts,
            way=way,
            query_kind=kind,
            teacher=reply.model,
            prompt_hash=self._prompts.prompt_hash,
            request_key=reply.request_key,
            round=self._round,
            explains=measures.explains(answer, asked.row.label, concepts),
            concept_share=round(measures.concept_share(answer, concepts), 4),
            distinct_trigrams=round(measures.distinct_trigrams(answer), 4),
        )
