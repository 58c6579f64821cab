"""The stage `candidates`: shows the teacher each image with a question and the right answer and asks why.

Each item is asked over a grid: every explanation prompt, every temperature, several draws at each. All requests of one
call go out together, because a server is only busy when it has much to do. The picture is part of each conversation,
so that no list of pictures can slip against a list of prompts.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self  # Any: JSON values of any depth

import PIL.Image

from builders.asking import (
    IMAGES_AT_ONCE,
    UNREADABLE,
    Asker,
    Gathered,
    check_sees,
    open_asker,
    request_identity,
    request_seed,
    sampling_of,
)
from builders.rationales.items import NO_QUESTION, Item, LostItem, items_of
from builders.rationales.records import Rationale
from builders.rationales.replies import read_reply
from builders.rationales.settings import PROMPT_PREFIX, RationalesSettings, prompt_sets
from builders.rounds import Inherited, RoundSettings
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Conversation, Exchange, Message, NoReply
from ostensive.chat.scripted import Script
from ostensive.fingerprint import fingerprint
from ostensive.prompts import PromptValue, load_prompts
from ostensive.records import ImageRecord
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Failed, Outcome, Stage
from verbalizers.base import ImageFailure

CANDIDATES: Final = "candidates"
_STAGE_VERSION = 1
_VARIABLES = ("question", "answer", "choices")
FIRST_ROUND: Final = RoundSettings()
_TRIAL = Item("trial", "0" * 64, "Is it so?", "yes", ("yes", "no"))


@dataclass(frozen=True, slots=True)
class _Request:
    """One rationale that is to be drawn: why which answer, asked in which words, at which temperature."""

    item: Item
    prompt: str
    temperature: float
    draw: int


class RationalesStage(Stage[ImageRecord, Rationale]):
    """From images with items to candidates."""

    name = CANDIDATES
    record_in = ImageRecord
    record_out = Rationale
    partitions_at_once = 2
    images_at_once = IMAGES_AT_ONCE
    uses_annotations = True

    def __init__(
        self,
        settings: RationalesSettings,
        *,
        teacher: TeacherSettings,
        script: Script,
        seed: int,
        rounds: RoundSettings = FIRST_ROUND,
    ) -> None:
        """Stores and validates; raises `SettingsError` for prompts that cannot be used."""
        check_sees(teacher, "rationales")
        self._settings = settings
        self._round, self._inherited = rounds.number, Inherited(rounds, Rationale)
        self._teacher = teacher
        self._script = script
        self._seed = seed
        self._asker: Asker | None = None
        required = [f"{PROMPT_PREFIX}{name}" for name in settings.prompts]
        self._prompts = load_prompts(settings.prompt_set, prompt_sets(), required=required, variables=_VARIABLES)
        self._prompt_hash = self._prompts.prompt_hash
        for name in settings.prompts:
            self._text(_TRIAL, name)  # a template that fails does so before any work

    @property
    def identity(self) -> Mapping[str, Any]:
        asked = request_identity(
            _STAGE_VERSION, self._settings, prompts=self._prompts, teacher=self._teacher, seed=self._seed
        )
        return {**asked, "round": self._round, "inherited": self._inherited.identity}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with open_asker(self._teacher, self._script, services) as self._asker, self._inherited.opened():
            yield self
        self._asker = None

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Rationale]]:
        assert self._asker is not None, "the stage is opened before it is used"
        gathered: Gathered[Rationale] = Gathered()
        items: dict[str, list[Item]] = {}
        for row in rows:
            for earlier in self._inherited.of(row.image_id):
                gathered.keep(earlier)
            for one in items_of(evidence[row.image_id].annotations, self._settings.label_questions):
                if isinstance(one, LostItem):
                    gathered.lose(row.image_id, Dropped(one.reason, one.detail))
                else:
                    items.setdefault(row.image_id, []).append(one)
        pictures = self._asker.pictures([row for row in rows if row.image_id in items])
        asked: list[_Request] = []
        conversations: list[Conversation] = []
        for image_id, picture in pictures.items():
            if isinstance(picture, ImageFailure):
                gathered.lose(image_id, Failed(UNREADABLE, picture.detail))
                continue
            requests = [request for item in items[image_id] for request in self._requests(item)]
            asked += requests
            conversations += [self._conversation(request, picture) for request in requests]
        for request, exchange in zip(asked, self._asker.ask(conversations), strict=True):
            self._gather(gathered, request, exchange)
        return [gathered.outcome(row.image_id, otherwise=NO_QUESTION) for row in rows]

    def _requests(self, item: Item) -> Iterator[_Request]:
        for prompt in self._settings.prompts:
            for temperature in self._settings.temperatures:
                for draw in range(self._settings.samples):
                    yield _Request(item, prompt, temperature, draw)

    def _text(self, item: Item, prompt: str) -> str:
        values: dict[str, PromptValue] = {"question": item.question, "answer": item.answer, "choices": item.choices}
        return self._prompts.render(f"{PROMPT_PREFIX}{prompt}", values)

    def _conversation(self, request: _Request, picture: PIL.Image.Image) -> Conversation:
        item = request.item
        seed = request_seed(self._seed, item.image_id, item.question, item.answer, request.prompt, request.temperature)
        sampling = replace(sampling_of(self._teacher, seed, draw=request.draw), temperature=request.temperature)
        if self._settings.top_k is not None:
            sampling = replace(sampling, top_k=self._settings.top_k)
        return Conversation((Message("user", self._text(item, request.prompt), (picture,)),), (), sampling)

    def _gather(self, gathered: Gathered[Rationale], request: _Request, exchange: Exchange) -> None:
        item, (reply,) = request.item, exchange.replies
        gathered.pay(item.image_id, exchange)
        if isinstance(reply, NoReply):
            gathered.lose(item.image_id, Failed(reply.reason, reply.detail))
            return
        found = read_reply(reply.text, reply.finish_reason, item, self._settings)
        # Two items, or two templates that say the same, may get one and the same reply.
        place = [item.question, item.answer, request.prompt, request.temperature, request.draw]
        record = Rationale(
            row_id=fingerprint([item.image_id, reply.request_key, place])[:16],
            image_id=item.image_id,
            annotation_id=item.annotation_id,
            question=item.question,
            answer=item.answer,
            rationale=found.rationale,
            prompt=request.prompt,
            temperature=request.temperature,
            round=self._round,
            teacher=reply.model,
            prompt_hash=self._prompt_hash,
            request_key=reply.request_key,
        )
        if found.reason:
            gathered.lose(item.image_id, Dropped(found.reason, found.detail, record))
        else:
            gathered.keep(record)
