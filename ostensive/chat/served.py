"""A chat model behind an OpenAI-compatible endpoint: many conversations at once, each request paid for once.

All calls share one event loop in a thread of its own, and with it the limiter, the pool of connections and the requests
under way. Conversations go on independently: a follow-up is asked as soon as its reply is in. Where several requests
wait, retries come first, then the older call (so that its partition is done and written first), then the earlier turn
(so that no long conversation is left over at the end). A request holds its place in flight until its answer is in the
journal: a process that is killed can lose no more answers than were under way.
"""

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

from ostensive.chat.budget import Budget, BudgetBusy, BudgetExhausted, Reservation, upper_bound_usd
from ostensive.chat.connection import Connection, FailedAttempt, Received
from ostensive.chat.endpoint import ServedModelSettings, resolve_endpoint
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.chat.limiter import AdaptiveLimit, Gate, Rank
from ostensive.chat.pictures import EncodedImage, Picture, SentImageSettings
from ostensive.chat.prices import Price
from ostensive.chat.records import Conversation, Exchange, Form, Message, NoReply, Reply
from ostensive.chat.retry import MALFORMED, TIMED_OUT, UNREACHABLE, Action, Backoff
from ostensive.chat.turns import with_pictures
from ostensive.chat.waiting import Waiting
from ostensive.chat.wire import (
    MalformedReplyError,
    ParsedReply,
    Request,
    RequestMaker,
    parse_reply,
    reply_of,
    spend_of,
    stored_reply,
)
from ostensive.errors import AccessRefusedError, BudgetReached, Interrupted, OstensiveError

logger = logging.getLogger(__name__)

STOP_GRACE_S = 30.0
"""Longest wait for requests in flight after the user asked to stop."""
_STOP_CHECK_S = 0.05
_BUDGET_CHECK_S = 0.1
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
    ) -> None:
        """`threads` of them encode images."""
        budget.require_price(settings.model, price, settings.section)
        self._settings = settings
        self._endpoint = resolve_endpoint(settings, environment)
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
        self._rng = random.Random()  # noqa: S311 - spreads retries in time; no row depends on it
        self._calls = itertools.count()
        self._under_way: dict[str, asyncio.Task[Reply | NoReply]] = {}
        self._claimed: set[str] = set()
        self._halt: OstensiveError | None = None
        self._answered = False

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
        answers = self._journal.lookup([opening.key for opening in openings])
        replies = [stored_reply(answers[opening.key]) if opening.key in answers else None for opening in openings]
        starts = list(map(_Start, conversations, openings, replies))
        future = asyncio.run_coroutine_threadsafe(self._chat(starts, next(self._calls)), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    async def _open(self) -> None:
        self._connection = Connection(self._endpoint, self._settings)
        self._connection.open()
        self._gate = Gate(AdaptiveLimit(self._settings.max_in_flight), self._loop.time)
        self._halted = asyncio.Event()
        # Nothing is sent after `total_timeout_s`, so that an answer that is still to come is in the journal soon after.
        self._waiting = Waiting(self._journal, self._halted, self._settings.total_timeout_s + _JOURNALED_WITHIN_S)
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
        self._send_no_more(Interrupted("stopped while asking a model; the same command continues"))
        await asyncio.sleep(self._stop_grace_s)
        for task in self._under_way.values():
            task.cancel()

    def _send_no_more(self, error: OstensiveError) -> None:
        if self._halt is None:
            self._halt = error
            self._gate.close(error)
            self._halted.set()

    async def _chat(self, starts: Sequence[_Start], call: int) -> list[Exchange]:
        talks = [self._converse(start, call) for start in starts]
        # Everybody is waited for even when one has met the end of the budget: what is in flight is paid for.
        results = await asyncio.gather(*talks, return_exceptions=True)
        exchanges = []
        for result in results:
            if isinstance(result, BaseException):
                if self._halt is None or not isinstance(result, OstensiveError | asyncio.CancelledError):
                    raise result
                raise type(self._halt)(*self._halt.args)  # a copy each: several threads raise it
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
        return await asyncio.shield(task)

    def _settled(self, key: str, _: "asyncio.Task[Reply | NoReply]") -> None:
        del self._under_way[key]

    async def _answer(self, request: Request, rank: Rank) -> Reply | NoReply:
        try:
            while True:
                stored = self._stored(request)
                if stored is not None:
                    return stored
                with contextlib.suppress(_UnderWayElsewhere):
                    sent = await self._send(request, rank)
                    # While it failed here, one who had passed it over may have had an answer.
                    return sent if isinstance(sent, Reply) else self._stored(request) or sent
                # With no place in flight and nothing set aside of the budget.
                await self._waiting.until_settled(request.key)
        except OstensiveError as error:  # a broken journal, say: whoever went on would pay and could not keep it
            self._send_no_more(error)
            raise
        finally:
            if request.key in self._claimed:
                self._claimed.discard(request.key)
                self._journal.release([request.key])

    async def _send(self, request: Request, rank: Rank) -> Reply | NoReply:
        """The reply to a request that is not in the journal, after as many attempts as it takes and is allowed."""
        deadline, attempts = float("inf"), 0
        for failures in itertools.count(1):
            await self._gate.acquire((0 if failures > 1 else 1, *rank))
            try:
                known = self._known(request)  # while it waited, another run may have had the same answer
                if known is not None:
                    return known
                deadline = min(deadline, self._loop.time() + self._settings.total_timeout_s)
                result = await self._attempt(request, deadline)
            finally:
                self._gate.release()
            if not isinstance(result, FailedAttempt):
                return result
            # A server that has answered and now takes no connection is being restarted, which may take as long as a
            # model takes to load. Nothing was sent to it, so that uses up time and no attempt.
            attempts += not (result.decision is UNREACHABLE and self._answered)
            spent = attempts >= self._settings.max_attempts
            end = await self._end_or_wait(request, result, failures, deadline, spent=spent)
            if end is not None:
                return end
        raise AssertionError("attempts are counted without end")

    async def _end_or_wait(
        self, request: Request, failed: FailedAttempt, failures: int, deadline: float, *, spent: bool
    ) -> NoReply | None:
        """The end of a request that failed, or None after the time to wait before it is tried again."""
        decision = failed.decision
        attempts = f"{failed.detail}; {failures} attempt{'s' if failures > 1 else ''}"
        wait_s = max(failed.retry_after_s or 0.0, self._backoff.wait_s(failures, self._rng))
        late = self._loop.time() + wait_s >= deadline
        given_up = decision.action is Action.GIVE_UP or spent or late
        if given_up and decision is UNREACHABLE and not self._answered:
            self._send_no_more(
                AccessRefusedError(
                    f"{self._endpoint.base_url} cannot be reached ({attempts}); check"
                    f" {self._settings.section}.base_url or OPENAI_BASE_URL, and that the server is up"
                )
            )
        if self._halt is not None:
            return None  # the gate raises what halted the run
        if given_up:
            logger.info("request %s: %s (%s)", request.key[:16], decision.reason, attempts)
            return NoReply(decision.reason, attempts, request.key)
        logger.debug("request %s: %s (%s), again in %.1f s", request.key[:16], decision.reason, attempts, wait_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._halted.wait(), wait_s)
        return None

    async def _attempt(self, request: Request, deadline: float) -> Reply | NoReply | FailedAttempt:
        if self._loop.time() >= deadline:
            return FailedAttempt(
                TIMED_OUT, f"no place in flight was free before {self._settings.section}.total_timeout_s"
            )
        data = self._requests.data(request)
        bound_usd = 0.0
        if self._price is not None:
            bound_usd = upper_bound_usd(request.messages, request.sampling.max_tokens, self._price)
        reservation = await self._reserve(bound_usd)
        usd: float | None = None  # until more is known, it may have cost all that is set aside
        sent = True
        sent_at = self._loop.time()
        try:
            result = await self._connection.post(data, max(0.001, deadline - sent_at))
            if isinstance(result, FailedAttempt):
                usd = None if result.decision.may_be_billed else 0.0
                sent = result.decision is not UNREACHABLE
                self._react(result, sent_at)
                return result
            self._answered = True
            try:
                parsed = parse_reply(result.raw)
            except MalformedReplyError as error:
                await self._spoil(request, result, bound_usd, str(error))
                return FailedAttempt(MALFORMED, str(error))
            usd = self._cost(parsed)
            self._gate.limit.succeeded()
            return await self._keep(request, result, parsed, usd)
        finally:
            self._budget.settle(reservation, usd, sent=sent)

    async def _reserve(self, bound_usd: float) -> Reservation:
        while True:
            taken = self._budget.reserve(bound_usd)
            if isinstance(taken, Reservation):
                return taken
            if isinstance(taken, BudgetExhausted):
                self._send_no_more(BudgetReached(taken.message))
            if self._halt is not None:
                raise self._halt
            assert isinstance(taken, BudgetBusy), "a reservation is had, impossible, or to be waited for"
            await asyncio.sleep(_BUDGET_CHECK_S)

    def _react(self, failed: FailedAttempt, sent_at: float) -> None:
        """Draws the consequences for all other requests, before the place of this one is given to the next."""
        if failed.decision.action is Action.REFUSE:
            self._send_no_more(
                AccessRefusedError(
                    f"{self._endpoint.base_url}, model {self._settings.model!r}: {failed.decision.reason}"
                    f" ({failed.detail}); check {self._settings.section}.model, {self._settings.section}.base_url and"
                    f" {self._settings.key_variable}"
                )
            )
        now = self._loop.time()
        self._gate.limit.failed(failed.decision.pressure, sent_at, now)
        if failed.retry_after_s is not None:
            # No pause is longer than a request may take in all: after that the server has to say it again.
            self._gate.limit.pause(now + min(failed.retry_after_s, self._settings.total_timeout_s))

    def _cost(self, parsed: ParsedReply) -> float | None:
        if self._price is None or parsed.prompt_tokens is None or parsed.completion_tokens is None:
            return None
        return self._price.usd(parsed.prompt_tokens, parsed.completion_tokens, parsed.cached_tokens)

    async def _keep(
        self, request: Request, received: Received, parsed: ParsedReply, usd: float | None
    ) -> Reply | NoReply:
        """Journals an answer; the reply of the answer that stands, which is an earlier one if there is one."""
        answer = Answer(
            key=request.key,
            endpoint=self._remembered_as,
            model=self._settings.model,
            response=received.raw.decode("utf-8", "replace"),
            prompt_tokens=parsed.prompt_tokens or 0,
            completion_tokens=parsed.completion_tokens or 0,
            cached_tokens=parsed.cached_tokens,
            usd=usd,
        )
        entry = Entry(answer, self._requests.journal_form(request))
        standing = (await asyncio.wrap_future(self._journal.record([entry])))[request.key]
        if standing is answer:
            return reply_of(parsed, answer.model, answer.key, spend_of(answer))
        return stored_reply(standing)

    async def _spoil(self, request: Request, received: Received, bound_usd: float, reason: str) -> None:
        text = received.raw.decode("utf-8", "replace")
        usd = None if self._price is None else bound_usd
        answer = Answer(request.key, self._remembered_as, self._settings.model, text, 0, 0, 0, usd)
        entry = Entry(answer, self._requests.journal_form(request), spoiled=reason)
        await asyncio.wrap_future(self._journal.record([entry]))

    def _known(self, request: Request) -> Reply | NoReply | None:
        """What the journal has; None means that the request is claimed and is to be sent.

        Claimed when its place in flight is there and not before: of what two processes want alike, each sends what its
        limits let it. Raises `_UnderWayElsewhere` where another has claimed it.
        """
        if request.key not in self._claimed:
            if not self._journal.claim([request.key]):
                raise _UnderWayElsewhere
            self._claimed.add(request.key)
        return self._stored(request)  # after the claim: an answer that came before it is there now

    def _stored(self, request: Request) -> Reply | NoReply | None:
        # On the event loop: one key takes some 20 us, the way to a thread and back a hundred times that under load.
        answer = self._journal.lookup([request.key]).get(request.key)
        return None if answer is None else stored_reply(answer)


class _UnderWayElsewhere(Exception):  # noqa: N818 - it is not an error, and leaves this module never
    """Another process, or another client of this one, has claimed the request."""


def _encoded(picture: Picture, sent_images: SentImageSettings) -> EncodedImage:
    return sent_images.encode(picture)
