"""A chat model behind an OpenAI-compatible endpoint: many conversations at once, each request paid for once.

All calls share one event loop in a thread of its own, and with it the limiter, the pool of connections and the requests
under way. Conversations go on independently: a follow-up is asked as soon as its reply is in. Where several requests
wait, retries come first, then the older call (so that its partition is done and written first), then the earlier turn
(so that no long conversation is left over at the end). A request holds its place in flight until its answer is in the
journal: a process that is killed can lose no more answers than were under way.
"""

import asyncio
import functools
import itertools
import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import ClassVar, Self

from ostensive.chat.budget import Budget, upper_bound_tokens
from ostensive.chat.connection import Connection, FailedAttempt, Received
from ostensive.chat.endpoint import ServedModelSettings, resolve_endpoint
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.chat.key_permits import KeyPermit
from ostensive.chat.limiter import AdaptiveLimit, Gate, Rank
from ostensive.chat.pictures import EncodedImage, Picture, SentImageSettings
from ostensive.chat.prices import DEFAULT_MAX_IMAGE_TOKENS, Price
from ostensive.chat.records import Conversation, Exchange, Form, Message, NoReply, Reply
from ostensive.chat.refusals import Refusals
from ostensive.chat.replies import (
    NO_ANSWER,
    Answered,
    ServerError,
    Unusable,
    read_answer,
    reply_of,
    spend_of,
    stored_replies,
)
from ostensive.chat.retry import Backoff
from ostensive.chat.sending import Exits, Halt, Sender, Taken, UnderWayElsewhere
from ostensive.chat.turns import with_pictures
from ostensive.chat.usage import Tokens, booked
from ostensive.chat.waiting import Waiting
from ostensive.chat.wire import Request, RequestMaker
from ostensive.errors import Interrupted, OstensiveError

logger = logging.getLogger(__name__)

STOP_GRACE_S = 30.0
"""Longest wait for requests in flight after the user asked to stop."""
_STOP_CHECK_S = 0.05
_JOURNALED_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class _Start:
    """A conversation with its first request and, where the journal has it, the reply to that."""

    conversation: Conversation
    opening: Request
    reply: Reply | NoReply | None


class ServedChat:
    """Access to a served model. Entered before use; `chat` may be called from several threads at once.

    Raises `SettingsError` when made, if the address is unusable, the key is missing or `budget` needs a price that is
    not known; nothing is sent before the first `chat`.
    """

    form: ClassVar[Form] = "chat"

    def __init__(  # noqa: PLR0913 - the last four are for tests and machines that differ
        self,
        settings: ServedModelSettings,
        *,
        journal: Journal,
        budget: Budget,
        stop: threading.Event,
        price: Price | None,
        environment: Mapping[str, str] = os.environ,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        stop_grace_s: float = STOP_GRACE_S,
        threads: int = 1,
        permits: Sequence[KeyPermit] = (),
    ) -> None:
        """`threads` of them encode images; `permits` are as in `resolve_endpoint`."""
        budget.require_price(settings.model, price, settings.section)
        self._settings = settings
        self._endpoint = resolve_endpoint(settings, environment, permits)
        # What answers are remembered by: a server of one's own may come back at another address.
        self._remembered_as = settings.endpoint_name or self._endpoint.base_url
        self._requests = RequestMaker(settings, self._remembered_as)
        self._journal = journal
        self._budget = budget
        self._stop = stop
        self._price = price
        self._backoff = backoff
        self._stop_grace_s = stop_grace_s
        self._threads = threads
        self._calls = itertools.count()
        self._under_way: dict[str, asyncio.Task[Reply | NoReply]] = {}
        self._claimed: set[str] = set()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="teacher", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        except BaseException:
            self._end_loop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """One exchange for each conversation, in order; see `Chat.chat` for what it raises."""
        return with_pictures(conversations, _encoded, self._hold, threads=self._threads)

    def _hold(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        openings = [self._requests.make(talk.messages, talk.sampling) for talk in conversations]
        # Here and not on the event loop: a resumed run reads thousands of answers at a time.
        known = self._stored(self._journal.lookup([opening.key for opening in openings]).values())
        replies = {reply.request_key: reply for reply in self._with_spoiled(known.values())}
        starts = [
            _Start(talk, opening, replies.get(opening.key))
            for talk, opening in zip(conversations, openings, strict=True)
        ]
        future = asyncio.run_coroutine_threadsafe(self._chat(starts, next(self._calls)), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    async def _open(self) -> None:
        settings = self._settings
        connection = self._connection = Connection(self._endpoint, settings)
        connection.open()
        timeout_s = min(settings.read_timeout_s, settings.total_timeout_s)
        answered_before = self._journal.has_answers(self._remembered_as, settings.model)
        refusals = Refusals(settings.stop_after_refusals, answered_before)
        limit = AdaptiveLimit(
            settings.max_in_flight,
            trial=0 if answered_before else refusals.wanted,
            timeout_s=timeout_s,
            backoff=self._backoff,
        )
        gate = Gate(limit, self._loop.time)
        self._halt = Halt(gate)
        # No attempt takes longer than `total_timeout_s`: an answer that is still to come is in the journal soon after.
        self._waiting = Waiting(self._journal, self._halt.event, settings.total_timeout_s + _JOURNALED_WITHIN_S)
        exits = Exits(
            known=self._known,
            let_go=self._let_go,
            settled=self._waiting.until_settled,
            data=self._requests.data,
            bound_usd=self._bound_usd,
            post=connection.post,
            take=self._take,
        )
        self._sender = Sender(
            settings,
            exits,
            address=self._endpoint.base_url,
            gate=gate,
            halt=self._halt,
            budget=self._budget,
            refusals=refusals,
            backoff=self._backoff,
        )
        self._watcher = asyncio.create_task(self._watch())  # kept: the loop holds tasks weakly

    async def _close(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._connection.close()

    async def _watch(self) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(_STOP_CHECK_S)
        self._halt.set(Interrupted("stopped while asking a model; the same command continues"))
        await asyncio.sleep(self._stop_grace_s)
        for task in self._under_way.values():
            task.cancel()

    async def _chat(self, starts: Sequence[_Start], call: int) -> list[Exchange]:
        talks = [self._converse(start, call) for start in starts]
        # Everybody is waited for even when one has met the end of the budget: what is in flight is paid for.
        results = await asyncio.gather(*talks, return_exceptions=True)
        exchanges = []
        for result in results:
            if isinstance(result, BaseException):
                halted = self._halt.error
                if halted is None or not isinstance(result, OstensiveError | asyncio.CancelledError):
                    raise result
                raise type(halted)(*halted.args)  # a copy each: several threads raise it
            exchanges.append(result)
        return exchanges

    async def _converse(self, start: _Start, call: int) -> Exchange:
        talk, request = start.conversation, start.opening
        reply = start.reply or await self._ask(request, (call, 0))
        replies = [reply]
        for turn, follow_up in enumerate(talk.follow_ups, 1):
            if isinstance(reply, NoReply):
                break
            request = self._requests.make(
                (*request.messages, Message("assistant", reply.text), follow_up), talk.sampling
            )
            reply = await self._ask(request, (call, turn))
            replies.append(reply)
        return Exchange(tuple(replies))

    async def _ask(self, request: Request, rank: Rank) -> Reply | NoReply:
        # Two equal requests at the same time are one: whoever comes second waits for the first.
        task = self._under_way.get(request.key)
        if task is None:
            task = self._under_way[request.key] = asyncio.create_task(self._answer(request, rank))
            task.add_done_callback(functools.partial(self._settled, request.key))
        return self._with_spoiled([await asyncio.shield(task)])[0]

    def _settled(self, key: str, _: "asyncio.Task[Reply | NoReply]") -> None:
        del self._under_way[key]

    async def _answer(self, request: Request, rank: Rank) -> Reply | NoReply:
        try:
            sent = self._stored_reply(request) or await self._sender.send(request, rank)
            # While it failed here, one who had passed it over may have had an answer.
            return sent if isinstance(sent, Reply) else self._stored_reply(request) or sent
        except OstensiveError as error:  # a broken journal, say: whoever went on would pay and could not keep it
            self._halt.set(error)
            raise

    async def _take(self, request: Request, received: Received) -> Taken:
        """Reads and journals a body that came."""
        raw = self._endpoint.scrub_answer(received.raw)
        read = read_answer(raw)
        answer = self._paid_for(request, raw, read)
        usd = 0.0 if answer is None else answer.usd
        if isinstance(read, Answered):
            assert answer is not None, "an answer is paid for"
            return Taken(await self._keep(request, answer, read), usd)
        failed = FailedAttempt(read.decision, self._endpoint.line(read.detail))
        if answer is not None:
            await self._spoil(request, answer, f"{read.decision.reason}: {failed.detail}")
        return Taken(failed, usd)

    def _bound_usd(self, request: Request) -> float:
        return 0.0 if self._price is None else self._usd(self._bound(request)) or 0.0

    def _bound(self, request: Request) -> Tokens:
        max_image_tokens = DEFAULT_MAX_IMAGE_TOKENS if self._price is None else self._price.max_image_tokens
        return upper_bound_tokens(request.messages, request.sampling.max_tokens, max_image_tokens)

    def _usd(self, tokens: Tokens) -> float | None:
        if self._price is None:
            return None
        return self._price.usd(tokens.prompt_tokens, tokens.completion_tokens, tokens.cached_tokens)

    def _paid_for(self, request: Request, raw: bytes, read: Answered | Unusable | ServerError) -> Answer | None:
        """What came with its cost, be it an answer or not; None if it cost nothing."""
        if isinstance(read, ServerError) and not read.is_billed:
            return None
        tokens = booked(read.usage, lambda: self._bound(request))
        return Answer(
            key=request.key,
            endpoint=self._remembered_as,
            model=self._settings.model,
            response=raw.decode("utf-8", "replace"),
            prompt_tokens=tokens.prompt_tokens,
            completion_tokens=tokens.completion_tokens,
            cached_tokens=tokens.cached_tokens,
            usd=self._usd(tokens),
            estimated=tokens.estimated,
        )

    async def _keep(self, request: Request, answer: Answer, read: Answered) -> Reply | NoReply:
        """Journals an answer; the reply of the answer that stands, which is an earlier one if there is one."""
        entry = Entry(answer, self._requests.journal_form(request))
        while True:
            standing = (await asyncio.wrap_future(self._journal.record([entry])))[request.key]
            if standing is answer:
                return reply_of(read, answer.model, answer.key, spend_of(answer))
            reply = self._stored([standing]).get(request.key)
            if reply is not None:
                return reply

    async def _spoil(self, request: Request, answer: Answer, reason: str) -> None:
        entry = Entry(answer, self._requests.journal_form(request), spoiled=reason)
        await asyncio.wrap_future(self._journal.record([entry]))

    def _let_go(self, request: Request) -> None:
        """Ends the claim on a request that is not under way any more; one that waits its turn claims it again."""
        if request.key in self._claimed:
            self._claimed.discard(request.key)
            self._journal.release([request.key])

    def _known(self, request: Request) -> Reply | NoReply | None:
        """What the journal has; None means that the request is claimed and is to be sent.

        Claimed when its place in flight is there and not before: of what two processes want alike, each sends what its
        limits let it. Raises `UnderWayElsewhere` where another has claimed it.
        """
        if not self._journal.claim([request.key]):
            raise UnderWayElsewhere
        self._claimed.add(request.key)
        return self._stored_reply(request)  # after the claim: an answer that came before it is there now

    def _stored_reply(self, request: Request) -> Reply | NoReply | None:
        # On the event loop: one key takes some 20 us, the way to a thread and back a hundred times that under load.
        return self._stored(self._journal.lookup([request.key]).values()).get(request.key)

    def _stored(self, answers: Iterable[Answer]) -> dict[str, Reply | NoReply]:
        """The replies that the journal has, by key; what it has and is no answer is put aside, to be asked again."""
        replies, refused = stored_replies(answers)
        if refused:
            self._journal.discard(refused, NO_ANSWER)
        return replies

    def _with_spoiled(self, replies: Iterable[Reply | NoReply]) -> list[Reply | NoReply]:
        """`replies` with all that was paid for them, also for what came before and was of no use."""
        given = list(replies)
        spoiled = self._journal.spoiled_spend([reply.request_key for reply in given])
        return [
            replace(reply, spend=reply.spend + spoiled[reply.request_key]) if reply.request_key in spoiled else reply
            for reply in given
        ]


def _encoded(picture: Picture, sent_images: SentImageSettings) -> EncodedImage:
    return sent_images.encode(picture)
