"""Conversations with a model in this process: turn by turn, the journal first, each batch in one commit.

Turn by turn, the open requests of all conversations go to the model together, which forms batches across them; each
batch reaches the journal before the next is looked at, so that a kill costs one batch. Going on with each conversation
as soon as its reply is there, as the served client does, would leave a device with batches of one. What another
process is generating at the moment is waited for last.
"""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol  # Any: JSON values of any depth

from ostensive.chat.budget import Budget, BudgetExhausted, Reservation
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.chat.pictures import Picture, SentImageSettings, picture_reference
from ostensive.chat.records import UNREADABLE_IMAGE, Completion, Conversation, Exchange, Message, NoReply, Reply
from ostensive.chat.replies import NO_ANSWER, stored_replies
from ostensive.chat.waiting import wait_for_others
from ostensive.chat.wire import completion_json, encode, request_body, request_key, valid_text
from ostensive.errors import BudgetReached, Interrupted


@dataclass(frozen=True, slots=True)
class KeyedConversation:
    """A conversation up to its next reply, and what that is known by."""

    key: str
    body: bytes  # as the journal keeps it, the images replaced by what they are known by
    conversation: Conversation  # without follow-ups


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request came to: a text, or why there is none."""

    request: KeyedConversation
    result: Completion | NoReply


class Model(Protocol):
    """What answers in this process."""

    endpoint: str  # what answers are remembered by, with what follows
    name: str

    @property
    def known_by(self) -> Mapping[str, Any]:
        """All that its answers depend on besides messages and sampling."""
        ...

    def batches(self, requests: Sequence[KeyedConversation]) -> Generator[Sequence[Answered], None, None]:
        """The requests that each batch answered, as soon as it is; every request once, in any order."""
        ...


def converse(
    conversations: Sequence[Conversation], ask: Callable[[Sequence[Conversation]], Sequence[Reply | NoReply]]
) -> list[Exchange]:
    """Holds `conversations` turn by turn; `ask` is given all that are open at a time, without follow-ups."""
    talks = [replace(conversation, follow_ups=()) for conversation in conversations]
    replies: list[list[Reply | NoReply]] = [[] for _ in talks]
    asking, turn = list(range(len(talks))), 0
    while asking:
        for index, reply in zip(asking, ask([talks[index] for index in asking]), strict=True):
            replies[index].append(reply)
        still_open = []
        for index in asking:
            reply, follow_ups = replies[index][-1], conversations[index].follow_ups
            if isinstance(reply, Reply) and turn < len(follow_ups):
                asked = (Message("assistant", reply.text), follow_ups[turn])
                talks[index] = replace(talks[index], messages=(*talks[index].messages, *asked))
                still_open.append(index)
        asking, turn = still_open, turn + 1
    return [Exchange(tuple(found)) for found in replies]


def with_pictures(
    conversations: Sequence[Conversation],
    convert: Callable[[Picture, SentImageSettings], Picture],
    hold: Callable[[Sequence[Conversation]], list[Exchange]],
    *,
    threads: int,
) -> list[Exchange]:
    """What `hold` makes of `conversations`, each distinct picture converted once, in threads.

    A conversation with a picture that cannot be read gets no reply, and costs no other its own.
    """
    pictures = {(id(image), talk.sent_images): image for talk in conversations for image in talk.images}
    if not pictures:
        return hold(conversations)
    converted: dict[tuple[int, SentImageSettings], Picture] = {}
    failures: dict[tuple[int, SentImageSettings], Exchange] = {}

    def attempt(key: tuple[int, SentImageSettings]) -> None:
        try:
            converted[key] = convert(pictures[key], key[1])
        except Exception as error:  # noqa: BLE001 - the boundary of one sample: its failure is counted as its own
            failures[key] = Exchange((NoReply(UNREADABLE_IMAGE, f"{type(error).__name__}: {error}"[:200]),))

    with ThreadPoolExecutor(threads, thread_name_prefix="pictures") as pool:
        list(pool.map(attempt, pictures))

    def with_converted(talk: Conversation) -> Conversation:
        def changed(messages: Sequence[Message]) -> tuple[Message, ...]:
            return tuple(
                replace(message, images=tuple(converted[id(image), talk.sent_images] for image in message.images))
                for message in messages
            )

        return replace(talk, messages=changed(talk.messages), follow_ups=changed(talk.follow_ups))

    failed = [
        next((failures[key] for image in talk.images if (key := (id(image), talk.sent_images)) in failures), None)
        for talk in conversations
    ]
    able = [with_converted(talk) for talk, failure in zip(conversations, failed, strict=True) if failure is None]
    exchanges = iter(hold(able))
    return [next(exchanges) if failure is None else failure for failure in failed]


class JournaledModel:
    """A model in this process as the part of a `Chat` that holds conversations; may be called from several threads."""

    def __init__(self, model: Model, *, journal: Journal, budget: Budget, stop: threading.Event) -> None:
        self._model, self._journal, self._budget, self._stop = model, journal, budget, stop

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """One exchange for each conversation, in order; see `Chat.chat` for what it raises."""
        references: dict[int, str] = {}  # a picture is hashed once, in however many requests it is

        def reference(picture: Picture) -> str:
            if id(picture) not in references:
                references[id(picture)] = picture_reference(picture)
            return references[id(picture)]

        return converse(conversations, lambda asked: self._ask([self._request(one, reference) for one in asked]))

    def _request(self, conversation: Conversation, reference: Callable[[Picture], str]) -> KeyedConversation:
        sampling = conversation.sampling
        body = request_body(self._model.name, conversation.messages, sampling, image_url=reference)
        data = encode({**body, **self._model.known_by})
        return KeyedConversation(request_key(self._model.endpoint, data, sampling.draw), data, conversation)

    def _ask(self, requests: Sequence[KeyedConversation]) -> list[Reply | NoReply]:
        by_key = {request.key: request for request in requests}
        replies = self._stored(list(by_key))
        while missing := [key for key in by_key if key not in replies]:
            claimed = self._journal.claim(missing)
            try:
                replies |= self._stored(missing)  # what came in before the claim
                fresh = [by_key[key] for key in missing if key in claimed and key not in replies]
                answers: dict[str, Answer] = {}
                failures = self._answer_within_budget(fresh, answers)
                replies |= stored_replies(answers.values(), generated=True)[0] | failures
            finally:
                self._journal.release(list(claimed))
            others = [key for key in missing if key not in claimed and key not in replies]
            if others:
                wait_for_others(self._journal, others, self._stop)
                self._check_stop()
                replies |= self._stored(others)
        return [replies[request.key] for request in requests]

    def _stored(self, keys: Sequence[str]) -> dict[str, Reply | NoReply]:
        replies, refused = stored_replies(self._journal.lookup(keys).values(), generated=True)
        if refused:
            self._journal.discard(refused, NO_ANSWER)
        return replies

    def _answer_within_budget(
        self, requests: Sequence[KeyedConversation], answers: dict[str, Answer]
    ) -> dict[str, NoReply]:
        """As `_answer`, with those that the budget allows; raises `BudgetReached` after that if it was not all."""
        allowed: list[KeyedConversation] = []
        halt: BudgetExhausted | None = None
        for request in requests:
            taken = self._budget.reserve(0.0)
            if isinstance(taken, BudgetExhausted):
                halt = taken
                break
            assert isinstance(taken, Reservation), "what is free always fits"
            self._budget.settle(taken, 0.0)
            allowed.append(request)
        failures = self._answer(allowed, answers)
        if halt is not None:
            raise BudgetReached(halt.message)
        return failures

    def _answer(self, requests: Sequence[KeyedConversation], answers: dict[str, Answer]) -> dict[str, NoReply]:
        """Adds what the model says to `answers`, and returns its failures; raises `Interrupted` between batches."""
        failures: dict[str, NoReply] = {}
        if not requests:
            return failures
        self._check_stop()
        with closing(self._model.batches(requests)) as batches:
            for batch in batches:
                entries = []
                for answered in batch:
                    if isinstance(answered.result, NoReply):
                        failures[answered.request.key] = answered.result
                    else:
                        entries.append(self._entry(answered.request, answered.result))
                if entries:
                    answers.update(self._journal.record(entries).result())
                self._check_stop()
        return failures

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Interrupted("stopped while asking a model; the same command continues")

    def _entry(self, request: KeyedConversation, completion: Completion) -> Entry:
        response = completion_json(
            replace(completion, text=valid_text(completion.text)),
            self._model.name,
            completion_id=f"{self._model.endpoint}-{request.key[:16]}",
        )
        answer = Answer(
            key=request.key,
            endpoint=self._model.endpoint,
            model=self._model.name,
            response=encode(response).decode("utf-8"),
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            cached_tokens=0,
            usd=0.0,
        )
        return Entry(answer, request.body.decode("utf-8"))
