"""One request to a server until it is answered, given up, or nothing may be sent any more.

What fails is told apart by whose fault it is. An attempt is used up by a fault that can be the request's own. A server
that is busy, starting anew or working through its queue is no fault of a request: such a request waits its turn again,
for as long as the server answers others, and the concurrency is lowered. Without a server, journal or thread of its
own, so that the whole of it runs on a simulated clock too.
"""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from ostensive.chat.budget import Budget, BudgetBusy, BudgetExhausted, Reservation
from ostensive.chat.connection import FailedAttempt, Received
from ostensive.chat.endpoint import ServedModelSettings
from ostensive.chat.limiter import Gate, Rank, Sent
from ostensive.chat.records import NoReply, Reply
from ostensive.chat.refusals import Refusals
from ostensive.chat.retry import REJECTED, TIMED_OUT, UNREACHABLE, Action, Backoff, Pressure
from ostensive.chat.wire import Request
from ostensive.errors import AccessRefusedError, BudgetReached, OstensiveError

logger = logging.getLogger(__name__)

MOST_WAITS = 40
"""How often a request may be sent back to wait its turn: one that meets nothing else is at fault itself, as a prompt
that is larger than a limit of tokens a minute."""
_BUDGET_CHECK_S = 0.1


class Halt:
    """Set once, when nothing more may be sent; remembers why."""

    def __init__(self, gate: Gate) -> None:
        self.error: OstensiveError | None = None
        self._gate = gate
        self.event = asyncio.Event()

    def set(self, error: OstensiveError) -> None:
        """Sends everybody home who waits for a place, a turn or money."""
        if self.error is None:
            self.error = error
            self._gate.close(error)
            self.event.set()

    def check(self) -> None:
        """Raises the error, if it is set."""
        if self.error is not None:
            raise self.error

    async def wait(self, seconds: float) -> None:
        """Waits for so long, or until it is set."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.event.wait(), seconds)


class UnderWayElsewhere(Exception):  # noqa: N818 - it is no error
    """Another process, or another client of this one, has claimed the request."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a body that came was good for. `usd` is what it cost, None where nobody knows."""

    result: Reply | NoReply | FailedAttempt
    usd: float | None


@dataclass(frozen=True, slots=True)
class Exits:
    """What `Sender` needs of others, each called on the event loop."""

    known: Callable[[Request], Reply | NoReply | None]  # what the journal has by now; otherwise the request is claimed
    let_go: Callable[[Request], None]  # it is not under way any more
    settled: Callable[[str], Awaitable[None]]  # when who else has claimed the request with this key is done
    data: Callable[[Request], bytes]  # the body as it is sent
    bound_usd: Callable[[Request], float]  # the most it can cost
    post: Callable[[bytes, float], Awaitable[Received | FailedAttempt]]  # one attempt, for at most so many seconds
    take: Callable[[Request, Received], Awaitable[Taken]]  # reads and journals what came


@dataclass(slots=True)
class _Trouble:
    """What a request has been through. Times are seconds."""

    began_at: float = 0.0  # when it was first sent
    spent_s: float = 0.0  # under way and between attempts; not while it waited for others
    attempts: int = 0  # failures that may be its own
    waits: int = 0  # failures that are the server's alone
    waited: bool = False  # whether the last one was
    by_reason: Counter[str] = field(default_factory=Counter)  # of `attempts`

    @property
    def words(self) -> str:
        count = self.attempts + self.waits
        return f"{count} attempt{'s' if count > 1 else ''}"


class Sender:
    """Sends requests to one server. Made and used on one event loop."""

    def __init__(
        self,
        settings: ServedModelSettings,
        exits: Exits,
        *,
        address: str,
        gate: Gate,
        halt: Halt,
        budget: Budget,
        refusals: Refusals,
        backoff: Backoff,
    ) -> None:
        self._settings, self._exits, self._address = settings, exits, address
        self._gate, self._halt, self._budget, self._refusals, self._backoff = gate, halt, budget, refusals, backoff
        self._rng = random.Random()  # noqa: S311 - spreads retries in time; no row depends on it
        self._now = asyncio.get_running_loop().time

    async def send(self, request: Request, rank: Rank) -> Reply | NoReply:
        """The reply to a request that is not in the journal, after as many attempts as it takes and is allowed."""
        trouble = _Trouble()
        while True:
            again = trouble.attempts + trouble.waits > 0
            await self._gate.acquire(rank, again=again)
            sent, result = False, None
            try:
                known = self._exits.known(request)  # while it waited, another run may have had the same answer
                if known is not None:
                    return known
                sent = True
                trouble.began_at = trouble.began_at if again else self._now()
                result = await self._attempt(request, trouble)
            except UnderWayElsewhere:
                result = None
            finally:
                self._exits.let_go(request)
                if not sent and not again:
                    self._gate.given_up(self._refusals.wanted)
                self._gate.release()
            if result is None:  # waits with no place in flight and nothing set aside of the budget
                await self._exits.settled(request.key)
                continue
            if not isinstance(result, FailedAttempt):
                return result
            end = await self._end_or_wait(request, result, trouble)
            if end is not None:
                return end

    async def _attempt(self, request: Request, trouble: _Trouble) -> Reply | NoReply | FailedAttempt:
        reservation = await self._reserve(self._exits.bound_usd(request))
        usd: float | None = None  # until more is known, it may have cost all that is set aside
        counts = True
        sent = self._gate.limit.sent(self._now())
        try:
            left_s = max(0.001, self._settings.total_timeout_s - trouble.spent_s)
            received = await self._exits.post(self._exits.data(request), left_s)
            if isinstance(received, FailedAttempt):
                usd = None if received.decision.may_be_billed else 0.0
                counts = received.decision is not UNREACHABLE and received.decision.pressure is not Pressure.BUSY
                return self._react(received, trouble, sent)
            taken = await self._exits.take(request, received)
            usd = taken.usd
            if isinstance(taken.result, FailedAttempt):
                return self._react(taken.result, trouble, sent)
            self._gate.limit.succeeded(sent, self._now())
            self._refusals.answered()
            return taken.result
        finally:
            self._budget.settle(reservation, usd, sent=counts)

    async def _reserve(self, bound_usd: float) -> Reservation:
        while True:
            taken = self._budget.reserve(bound_usd)
            if isinstance(taken, Reservation):
                return taken
            if isinstance(taken, BudgetExhausted):
                self._halt.set(BudgetReached(taken.message))
            self._halt.check()
            assert isinstance(taken, BudgetBusy), "a reservation is had, impossible, or to be waited for"
            await asyncio.sleep(_BUDGET_CHECK_S)

    def _react(self, failed: FailedAttempt, trouble: _Trouble, sent: Sent) -> FailedAttempt:
        """Draws the consequences for this request and all others, before its place is given to the next."""
        limit, now, decision = self._gate.limit, self._now(), failed.decision
        if decision.action is Action.REFUSE or (decision.action is Action.DOUBT and not self._refusals.has_answered):
            self._refuse(f"{decision.reason} ({failed.detail})")
        recent = limit.last_answer_at > now - self._settings.total_timeout_s
        if decision is TIMED_OUT and recent and limit.waited(sent):
            decision = replace(decision, pressure=Pressure.QUEUED)
        # A server that has answered and now takes no connection is being restarted, which may take as long as a model
        # takes to load. Nothing was sent to it.
        away = decision is UNREACHABLE and self._refusals.answers_now
        trouble.waited = trouble.waits < MOST_WAITS and (away or decision.pressure in (Pressure.BUSY, Pressure.QUEUED))
        if trouble.waited:
            trouble.waits += 1
        else:
            trouble.attempts += 1
            trouble.by_reason[decision.reason] += 1
            trouble.spent_s += now - sent.at
        limit.failed(decision.pressure, sent, now, told_to_wait=failed.retry_after_s is not None)
        if failed.retry_after_s is not None:
            # No pause is longer than a request may take in all: after that the server has to say it again.
            limit.pause(now + min(failed.retry_after_s, self._settings.total_timeout_s))
        return replace(failed, decision=decision)

    def _refuse(self, why: str) -> None:
        section = self._settings.section
        self._halt.set(
            AccessRefusedError(
                f"{self._address}, model {self._settings.model!r}: {why}; check {section}.model, {section}.base_url and"
                f" {self._settings.key_variable}"
            )
        )

    async def _end_or_wait(self, request: Request, failed: FailedAttempt, trouble: _Trouble) -> NoReply | None:
        """The end of a request that failed, or None after the time to wait before it is tried again."""
        decision, limit = failed.decision, self._gate.limit
        attempts = f"{failed.detail}; {trouble.words}"
        at_gate = decision.pressure in (Pressure.BUSY, Pressure.QUEUED)  # where all wait alike
        failures = 1 if at_gate else trouble.attempts + trouble.waits
        wait_s = max(failed.retry_after_s or 0.0, self._backoff.wait_s(failures, self._rng))
        if trouble.waited:  # for as long as the server answers others
            next_at = max(self._now() + wait_s, limit.paused_until)
            late = next_at >= max(trouble.began_at, limit.last_answer_at) + self._settings.total_timeout_s
        else:
            trouble.spent_s += wait_s
            late = trouble.spent_s >= self._settings.total_timeout_s
        most = decision.most_attempts
        spent = trouble.attempts >= self._settings.max_attempts
        spent |= most is not None and trouble.by_reason[decision.reason] >= most
        if late or spent or decision.action is not Action.RETRY:
            return self._given_up(request, failed, attempts)
        if self._halt.error is None:
            logger.debug("request %s: %s (%s), again in %.1f s", request.key[:16], decision.reason, attempts, wait_s)
            await self._halt.wait(wait_s)
        return None  # the gate raises what halted the run

    def _given_up(self, request: Request, failed: FailedAttempt, attempts: str) -> NoReply | None:
        decision = failed.decision
        if decision is UNREACHABLE and not self._refusals.answers_now:
            self._halt.set(
                AccessRefusedError(
                    f"{self._address} cannot be reached ({attempts}); check {self._settings.section}.base_url or"
                    " OPENAI_BASE_URL, and that the server is up"
                )
            )
        elif why := self._refusals.ended(decision, failed.detail):
            self._refuse(why)
        if self._halt.error is not None:
            return None
        self._gate.given_up(self._refusals.wanted)
        if decision.action is Action.DOUBT:
            decision = REJECTED
        logger.info("request %s: %s (%s)", request.key[:16], decision.reason, attempts)
        return NoReply(decision.reason, attempts, request.key)
