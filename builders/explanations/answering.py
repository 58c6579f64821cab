"""The stage `candidates`: questions about each image are answered from its label and its concepts.

A question is kept as it was drawn. (The published code reads it back out of the prompt: after the last colon, and
without apostrophes.) The answer has to name the label.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from builders.explanations import measures
from builders.explanations.describing import PROMPT_VALUES
from builders.explanations.labels import aliases_of, names_label
from builders.explanations.queries import Query, draw_queries, shipped_pools
from builders.explanations.records import Explanation, QueryKind, Selected, Way
from builders.explanations.settings import ExplanationsSettings, prompt_sets
from ostensive.chat.access import TeacherSettings
from ostensive.chat.pictures import Picture
from ostensive.chat.records import Conversation, Exchange, Message, Reply
from ostensive.chat.scripted import Script
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.prompts import PromptValue, load_prompts
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Failed, Outcome, Stage
from verbalizers.base import ImageFailure

CANDIDATES: Final = "candidates"
LABEL_MISSING: Final = "label not named"
NO_QUESTION: Final = "no question"
REASONS: Final = (LABEL_MISSING, TRUNCATED, FILTERED)
"""Every reason for which an answer is dropped before the critics."""

_STAGE_VERSION = 1
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

    def __init__(self, settings: ExplanationsSettings, *, teacher: TeacherSettings, script: Script, seed: int) -> None:
        """Stores and validates; raises `SettingsError` for prompts that cannot be used."""
        self._settings, self._teacher, self._script, self._seed = settings, teacher, script, seed
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
        return {
            "version": [_STAGE_VERSION, measures.MEASURES_VERSION],
            "queries": settings.queries,
            "simple_share": settings.simple_share,
            "pools": fingerprint({kind: list(pool) for kind, pool in self._pools.items()}),
            "temperature": settings.answer_temperature,
            "max_tokens": settings.answer_max_tokens,
            "aliases": {label: list(names) for label, names in settings.aliases.items()},
            "fallback": settings.fallback,
            "prompts": self._prompts.prompt_hash,
            "teacher": self._teacher.reply_identity(),
            "seed": self._seed,
        }

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with open_asker(self._teacher, self._script, services) as self._asker:
            yield self
        self._asker = None

    def process(self, rows: Sequence[Selected], evidence: Evidence) -> list[Outcome[Explanation]]:
        assert self._asker is not None, "the stage is opened before it is used"
        pictures = self._asker.pictures([evidence[row.image_id].image for row in rows])
        gathered = Gathered[Explanation]()
        asked: list[_Asked] = []
        for row in rows:
            picture = pictures[row.image_id]
            if isinstance(picture, ImageFailure):
                gathered.lose(row.image_id, Failed(UNREADABLE, picture.detail))
            else:
                asked += [_Asked(row, place, query, picture) for place, query in enumerate(self.queries(row.image_id))]
        exchanges = self._asker.ask([self._conversation(one) for one in asked])
        for one, exchange in zip(asked, exchanges, strict=True):
            self._gather(gathered, one, exchange)
        return [gathered.outcome(row.image_id, otherwise=NO_QUESTION) for row in rows]

    def queries(self, image_id: str) -> list[Query]:
        """The questions about an image: the same whatever is asked before, beside or after it."""
        rng = Random(f"{self._seed}/queries/{image_id}")  # noqa: S311 - wording, not secrets
        return draw_queries(self._pools, self._settings.queries, self._settings.simple_share, rng)

    def prompt(self, row: Selected, query: str) -> str:
        """The request for the answer to one question, exactly as it is sent beside the picture."""
        values: dict[str, PromptValue] = {"label": row.label, "concepts": row.concepts, "query": query}
        return self._prompts.render(_ANSWER, values)

    def _conversation(self, asked: _Asked) -> Conversation:
        seed = request_seed(self._seed, asked.row.image_id, CANDIDATES, asked.place)
        sampling = replace(
            sampling_of(self._teacher, seed),
            temperature=self._settings.answer_temperature,
            max_tokens=self._settings.answer_max_tokens,
        )
        message = Message("user", self.prompt(asked.row, asked.query.text), (asked.picture,))
        return Conversation((message,), (), sampling)

    def _gather(self, gathered: Gathered[Explanation], asked: _Asked, exchange: Exchange) -> None:
        row, query = asked.row, asked.query
        reply = whole_reply(exchange.replies[0])
        gathered.pay(row.image_id, exchange)
        if not isinstance(reply, Reply):
            gathered.lose(row.image_id, reply)
            return
        answer = reply.text.strip()
        explained = self._explanation(asked, reply, query.text, answer, "explained", query.kind)
        if names_label(answer, row.label, aliases_of(row.label, self._settings.aliases)):
            gathered.keep(explained)
        elif self._settings.fallback:
            plain = self._prompts.render(_LABEL_ONLY, {"label": row.label})
            gathered.keep(self._explanation(asked, reply, query.plain, plain, "label only", "simple"))
        else:
            gathered.lose(row.image_id, Dropped(LABEL_MISSING, "", explained))

    def _explanation(
        self, asked: _Asked, reply: Reply, query: str, answer: str, way: Way, kind: QueryKind
    ) -> Explanation:
        concepts = asked.row.concepts
        return Explanation(
            row_id=fingerprint([asked.row.image_id, reply.request_key, asked.place])[:16],
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
            explains=measures.explains(answer, asked.row.label, concepts),
            concept_share=round(measures.concept_share(answer, concepts), 4),
            distinct_trigrams=round(measures.distinct_trigrams(answer), 4),
        )
