"""The stage `candidates`: shows the teacher each image with a question and the right answer and asks why.

Each item is asked over a grid: every explanation prompt, every temperature, several draws at each. All requests of one
call go out together, because a server is only busy when it has much to do. The picture is part of each conversation,
so that no list of pictures can slip against a list of prompts.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self  # Any: JSON values of any depth

from builders.asking import IMAGES_AT_ONCE, UNREADABLE, Asker, Gathered, check_sees, open_asker
from builders.rationales.items import NO_QUESTION, Item, LostItem, items_of, key_of
from builders.rationales.records import Prompted, Rationale
from builders.rationales.replies import read_reply
from builders.rationales.requests import Request, Requests
from builders.rationales.settings import RationalesSettings
from builders.rounds import FIRST_ROUND, Inherited, RoundSettings
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Conversation, Exchange, NoReply
from ostensive.chat.scripted import Script
from ostensive.fingerprint import fingerprint
from ostensive.records import ImageRecord
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Failed, Outcome, Stage
from verbalizers.base import ImageFailure

CANDIDATES: Final = "candidates"
_STAGE_VERSION = 2
Row = ImageRecord | Prompted
"""An image as it was taken in, or, after a prompt search, with the prompts that it is asked with."""


class RationalesStage(Stage[Row, Rationale]):
    """From images with items to candidates, asked with all prompts, or with those that a search kept."""

    name = CANDIDATES
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
        self.record_in = Prompted if settings.prompt_search.sample else ImageRecord
        self._round, self._inherited = rounds.number, Inherited(rounds, Rationale)
        self._teacher = teacher
        self._script = script
        self._asker: Asker | None = None
        self._requests = Requests(settings, teacher, seed)

    @property
    def identity(self) -> Mapping[str, Any]:
        asked = self._requests.identity(_STAGE_VERSION)
        # How many draws of a tried item were paid before.
        tried = self._settings.prompt_search.samples if self._settings.prompt_search.sample else 0
        return {**asked, "tried": tried, "round": self._round, "inherited": self._inherited.identity}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with open_asker(self._teacher, self._script, services) as self._asker, self._inherited.opened():
            yield self
        self._asker = None

    def process(self, rows: Sequence[Row], evidence: Evidence) -> list[Outcome[Rationale]]:
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
        pictures = self._asker.pictures([evidence[image_id].image for image_id in items])
        asked: list[Request] = []
        conversations: list[Conversation] = []
        known = {row.image_id: row for row in rows}
        for image_id, picture in pictures.items():
            if isinstance(picture, ImageFailure):
                gathered.lose(image_id, Failed(UNREADABLE, picture.detail))
                continue
            prompts = _prompts(known[image_id], self._settings)
            requests = [
                request
                for item in items[image_id]
                for request in self._requests.of(item, prompts, self._settings.samples)
            ]
            asked += requests
            conversations += [self._requests.conversation(request, picture) for request in requests]
        for request, exchange in zip(asked, self._asker.ask(conversations), strict=True):
            if not self._was_tried(request, known[request.item.image_id]):
                gathered.pay(request.item.image_id, exchange)
            self._gather(gathered, request, exchange)
        return [gathered.outcome(row.image_id, otherwise=NO_QUESTION) for row in rows]

    def _was_tried(self, request: Request, row: Row) -> bool:
        """Whether the search made this request before, whose answer it counted as its own spending."""
        if not isinstance(row, Prompted) or request.draw >= self._settings.prompt_search.samples:
            return False
        return key_of(request.item) in row.items

    def _gather(self, gathered: Gathered[Rationale], request: Request, exchange: Exchange) -> None:
        item, (reply,) = request.item, exchange.replies
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
            prompt_hash=self._requests.prompt_hash,
            request_key=reply.request_key,
            asked=self._requests.text(item, request.prompt),
        )
        if found.reason:
            gathered.lose(item.image_id, Dropped(found.reason, found.detail, record))
        else:
            gathered.keep(record)


def _prompts(row: Row, settings: RationalesSettings) -> tuple[str, ...]:
    return row.prompts if isinstance(row, Prompted) else settings.prompts
