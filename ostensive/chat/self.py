"""The self teacher: a local image-text model behind the same interface as a served one.

Turn by turn, the open requests of all conversations go to one generator, which forms batches across them; each batch
reaches the journal before the next result is looked at, so that a kill costs one batch. Going on with each conversation
as soon as its reply is there, as the served client does, was given up: it would leave a device with batches of one.

A reply is known by the whole content of the model (the fingerprint of a folder, the commit of a Hub model), the
messages and the sampling. The seed of a request without one comes from the same key, so that equal requests have equal
replies and the journal's are as good as new ones. Not in the key: batch size and device, which change only rounding.
"""

import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import PIL.Image

from ostensive.chat.budget import Budget, BudgetExhausted, Reservation
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.chat.records import Conversation, Exchange, ImagePart, Message, NoReply, Reply
from ostensive.chat.wire import (
    completion_json,
    encode,
    image_reference,
    outcome,
    parse_reply,
    request_body,
    request_key,
    valid_text,
)
from ostensive.errors import BudgetReached, Interrupted, SettingsError
from ostensive.images.decode import open_rgb
from ostensive.models.files import model_version
from ostensive.models.generation import Draw, Generated, GenerationRequest, NotGenerated, Turn
from ostensive.models.pool import GeneratorPool
from ostensive.recipe import SelfTeacherSettings
from ostensive.records import Spend

ENDPOINT = "self"
GENERATION_VERSION = 2  # of the way replies are generated; another number makes every journaled reply unknown


@dataclass(slots=True)
class _Talk:
    """A conversation on its way through `SelfChat.chat`."""

    messages: list[Message]
    conversation: Conversation
    replies: list[Reply | NoReply]

    @property
    def is_open(self) -> bool:
        """Whether a further turn is to be asked: after a `NoReply` none is."""
        if self.replies and isinstance(self.replies[-1], NoReply):
            return False
        return len(self.replies) <= len(self.conversation.follow_ups)


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request, known by its key."""

    key: str
    body: str  # as the journal keeps it
    messages: tuple[Message, ...]
    draw: Draw


class SelfChat:
    """A model of `transformers` as a `Chat`. Entered before use, which loads it; may be called from several threads."""

    def __init__(
        self,
        settings: SelfTeacherSettings,
        *,
        journal: Journal,
        budget: Budget,
        stop: threading.Event,
        generators: GeneratorPool,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._budget = budget
        self._stop = stop
        self._generators = generators
        self._resources = ExitStack()
        self._weights: str | None = None

    def __enter__(self) -> Self:
        """Raises `SettingsError` if the model cannot be loaded or holds no conversations."""
        self._weights = model_version(self._settings.model, self._settings.revision)
        with ExitStack() as stack:
            self._generator = stack.enter_context(self._generators.lend(self._settings.generator))
            if self._generator.form != "chat":
                raise SettingsError(
                    f"{self._settings.model}: holds no conversations (it takes one prompt with one image), so it"
                    " cannot be the teacher; name a model with a chat template as teacher.model"
                )
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """One exchange for each conversation, in order. Each batch is journaled in one commit."""
        talks = [_Talk(list(conversation.messages), conversation, []) for conversation in conversations]
        while asking := [talk for talk in talks if talk.is_open]:
            for talk in asking:
                if talk.replies:
                    said = talk.replies[-1]
                    assert isinstance(said, Reply), "a conversation goes on after a reply only"
                    follow_up = talk.conversation.follow_ups[len(talk.replies) - 1]
                    talk.messages += Message("assistant", said.text), follow_up
            for talk, reply in zip(asking, self._ask([self._request(talk) for talk in asking]), strict=True):
                talk.replies.append(reply)
        return [Exchange(tuple(talk.replies)) for talk in talks]

    def _request(self, talk: _Talk) -> _Ask:
        sampling = talk.conversation.sampling
        body: dict[str, Any] = {  # Any: JSON values of any depth
            **request_body(self._settings.model, talk.messages, sampling, image_url=image_reference),
            "generator": self._settings.generator.identity(),
            "weights": self._weights,
            "version": GENERATION_VERSION,
        }
        data = encode(body)
        key = request_key(ENDPOINT, data)
        seed = int(key[:15], 16) if sampling.seed is None else sampling.seed
        draw = Draw(sampling.temperature, sampling.top_p, sampling.max_tokens, seed)
        return _Ask(key, data.decode("utf-8"), tuple(talk.messages), draw)

    def _ask(self, asks: Sequence[_Ask]) -> list[Reply | NoReply]:
        answers = self._journal.lookup([ask.key for ask in asks])
        failures: dict[str, NoReply] = {}
        fresh: dict[str, _Ask] = {}
        halt: BudgetExhausted | None = None
        for ask in asks:
            if ask.key in answers or ask.key in fresh:
                continue
            taken = self._budget.reserve(0.0)
            if isinstance(taken, BudgetExhausted):
                halt = taken
                break
            assert isinstance(taken, Reservation), "what is free always fits"
            self._budget.settle(taken, 0.0)
            fresh[ask.key] = ask
        self._generate(list(fresh.values()), answers, failures)
        if halt is not None:
            raise BudgetReached(halt.message)
        return [failures[ask.key] if ask.key in failures else self._reply(answers[ask.key]) for ask in asks]

    def _generate(self, asks: Sequence[_Ask], answers: dict[str, Answer], failures: dict[str, NoReply]) -> None:
        """Adds what the model says to `answers`, or to `failures`; raises `Interrupted` between batches."""
        able: list[_Ask] = []
        requests: list[GenerationRequest] = []
        for ask in asks:
            try:
                requests.append(GenerationRequest(tuple(_turn(message) for message in ask.messages), ask.draw))
                able.append(ask)
            except Exception as error:  # noqa: BLE001 - the boundary of one sample: a broken image is its request's alone
                failures[ask.key] = NoReply("unreadable image", " ".join(str(error).split())[:200], ask.key)
        if asks:
            self._check_stop()
        with closing(self._generator.stream_batches(requests)) as batches:
            for batch in batches:
                entries = []
                for finished in batch:
                    ask = able[finished.index]
                    if isinstance(finished.result, NotGenerated):
                        failures[ask.key] = NoReply(finished.result.reason, finished.result.detail[:200], ask.key)
                    else:
                        entries.append(self._entry(ask, finished.result))
                if entries:
                    answers.update(self._journal.record(entries).result())
                self._check_stop()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Interrupted("stopped while asking the teacher; the same command continues")

    def _entry(self, ask: _Ask, said: Generated) -> Entry:
        model, drawn = self._settings.model, said.drawn[0]
        response = completion_json(
            valid_text(drawn.text),
            drawn.finish_reason,
            model,
            said.prompt_tokens,
            drawn.completion_tokens,
            completion_id=f"self-{ask.key[:16]}",
        )
        answer = Answer(
            key=ask.key,
            endpoint=ENDPOINT,
            model=model,
            response=encode(response).decode("utf-8"),
            prompt_tokens=said.prompt_tokens,
            completion_tokens=drawn.completion_tokens,
            cached_tokens=0,
            usd=0.0,
        )
        return Entry(answer, ask.body)

    def _reply(self, answer: Answer) -> Reply | NoReply:
        spend = Spend(1, answer.prompt_tokens, answer.completion_tokens, answer.usd)
        return outcome(parse_reply(answer.response.encode("utf-8")), answer.model, answer.key, spend)


def _turn(message: Message) -> Turn:
    return Turn(message.role, message.text, tuple(_decoded(image) for image in message.images))


def _decoded(image: ImagePart) -> PIL.Image.Image:
    return open_rgb(image.data, None)
