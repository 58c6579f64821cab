"""The scripted teacher: a function from messages to text behind the same interface as a served model.

Deterministic, offline and free. What it says depends on the content of the conversation alone, never on order, time or
threads, so that a run through it can be compared byte for byte with any other. It counts tokens and journals its
answers like a served model: a rehearsal that took a shorter way than the performance would rehearse nothing.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ostensive.chat.budget import Budget, BudgetExhausted, Reservation
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.chat.prices import Price
from ostensive.chat.records import Conversation, Exchange, Message, NoReply, Reply, Sampling
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
from ostensive.errors import BudgetReached, Interrupted
from ostensive.recipe import ScriptedTeacherSettings
from ostensive.records import Spend

Script = Callable[[Sequence[Message], int], str]
"""From the messages so far and a seed made from them to the text of the reply. Must depend on nothing else."""

IMAGE_TOKENS = 256
"""What an image counts as in the scripted teacher's usage; about what a small vision model makes of one."""
ENDPOINT = "scripted"
FREE = Price(0.0, 0.0)
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """What the scripted teacher says, and its usage in tokens, a token being a word (a run of non-blanks)."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def script_seed(messages: Sequence[Message], sampling_seed: int | None) -> int:
    """A seed (64 bits) from the content of the conversation and, where one was asked for, the seed of the sampling."""
    sink = hashlib.sha256(b"" if sampling_seed is None else str(sampling_seed).encode())
    for message in messages:
        for part in (message.role.encode(), message.text.encode("utf-8", "surrogatepass")):
            sink.update(b"%d:" % len(part))
            sink.update(part)
        for image in message.images:
            sink.update(hashlib.sha256(image.data).digest())
    return int.from_bytes(sink.digest()[:8], "big")


def script_reply(script: Script, messages: Sequence[Message], sampling: Sampling) -> ScriptedReply:
    """The script's reply, cut after `sampling.max_tokens` words as a model would be."""
    text = valid_text(script(messages, script_seed(messages, sampling.seed)))
    words = len(text.split())
    finish_reason = "stop"
    if words > sampling.max_tokens:
        ends = (match.end() for match in _WORD.finditer(text))
        text = text[: next(end for number, end in enumerate(ends, 1) if number == sampling.max_tokens)]
        words, finish_reason = sampling.max_tokens, "length"
    return ScriptedReply(text, finish_reason, prompt_tokens(messages), words)


def prompt_tokens(messages: Sequence[Message]) -> int:
    """Words of all messages, and `IMAGE_TOKENS` for each image."""
    return sum(len(message.text.split()) + IMAGE_TOKENS * len(message.images) for message in messages)


@dataclass(slots=True)
class _Talk:
    """A conversation on its way through `ScriptedChat.chat`."""

    messages: list[Message]
    conversation: Conversation
    replies: list[Reply | NoReply]


class ScriptedChat:
    """A script as a `Chat`, in process. Entered before use; may be called from several threads."""

    def __init__(
        self,
        script: Script,
        settings: ScriptedTeacherSettings,
        *,
        journal: Journal,
        budget: Budget,
        stop: threading.Event,
        model: str = "scripted",
    ) -> None:
        self._script = script
        self._settings = settings
        self._journal = journal
        self._budget = budget
        self._stop = stop
        self._model = model

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """One exchange for each conversation, in order. Each turn of all of them is journaled in one commit."""
        talks = [_Talk(list(conversation.messages), conversation, []) for conversation in conversations]
        turn = 0
        while open_talks := [talk for talk in talks if turn <= len(talk.conversation.follow_ups)]:
            if turn:
                for talk in open_talks:
                    said = talk.replies[-1]
                    # Its replies always have text, see `script_reply`.
                    assert isinstance(said, Reply), "the scripted teacher left a request without a reply"
                    talk.messages += Message("assistant", said.text), talk.conversation.follow_ups[turn - 1]
            for talk, reply in zip(open_talks, self._ask(open_talks), strict=True):
                talk.replies.append(reply)
            turn += 1
        return [Exchange(tuple(talk.replies)) for talk in talks]

    def _ask(self, talks: Sequence[_Talk]) -> list[Reply | NoReply]:
        requests = [encode(self._body(talk)) for talk in talks]
        keys = [request_key(ENDPOINT, data) for data in requests]
        answers = self._journal.lookup(keys)
        fresh: dict[str, Entry] = {}
        halt: BudgetExhausted | None = None
        for talk, data, key in zip(talks, requests, keys, strict=True):
            if key in answers or key in fresh:
                continue
            if self._stop.is_set():
                break
            taken = self._budget.reserve(0.0)
            if isinstance(taken, BudgetExhausted):
                halt = taken
                break
            assert isinstance(taken, Reservation), "what is free always fits"
            fresh[key] = self._answer(talk, data, key)
            self._budget.settle(taken, 0.0)
        if fresh:
            answers.update(self._journal.record(list(fresh.values())).result())
        if halt is not None:
            raise BudgetReached(halt.message)
        if any(key not in answers for key in keys):
            raise Interrupted("stopped while asking the teacher; the same command continues")
        return [self._reply(answers[key]) for key in keys]

    def _body(self, talk: _Talk) -> dict[str, Any]:  # Any: JSON values of any depth
        sampling = talk.conversation.sampling
        body = request_body(self._model, talk.messages, sampling, image_url=image_reference)
        # The settings decide what the script says, so they are part of the request.
        return {**body, "script": self._settings.identity()}

    def _answer(self, talk: _Talk, data: bytes, key: str) -> Entry:
        said = script_reply(self._script, talk.messages, talk.conversation.sampling)
        response = completion_json(
            said.text,
            said.finish_reason,
            self._model,
            said.prompt_tokens,
            said.completion_tokens,
            completion_id=f"scripted-{key[:16]}",
        )
        answer = Answer(
            key=key,
            endpoint=ENDPOINT,
            model=self._model,
            response=encode(response).decode("utf-8"),
            prompt_tokens=said.prompt_tokens,
            completion_tokens=said.completion_tokens,
            cached_tokens=0,
            usd=0.0,
        )
        return Entry(answer, data.decode("utf-8"))

    def _reply(self, answer: Answer) -> Reply | NoReply:
        spend = Spend(1, answer.prompt_tokens, answer.completion_tokens, answer.usd)
        return outcome(parse_reply(answer.response.encode("utf-8")), answer.model, answer.key, spend)
