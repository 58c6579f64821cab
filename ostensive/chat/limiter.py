"""How many requests may be under way: additive increase, multiplicative decrease (Chiu & Jain 1989), and pauses.

`AdaptiveLimit` is the arithmetic, with the time handed in; `Gate` lets coroutines wait for it. But for a short trial it
starts at the limit the user gave rather than climbing to it: a client that the server can bear should not lose its
first minute, and one that it cannot is cut within a round trip, as often as needed.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ostensive.chat.retry import Backoff, Pressure
from ostensive.chat.trial import Trial
from ostensive.errors import OstensiveError

ROUND_TRIPS_TO_RECOVER = 16
"""Round trips without trouble in which concurrency climbs by the whole of `max_in_flight`."""
_PAUSES_OVER_WAITS = 2.2  # a minute and a little: some servers count what they refuse against a limit a minute
_TIMES_BELIEVED = 3  # in a row: a server that is busy whenever it said that it would not be is not taken at its word
_LEAST_SEEN = 4  # answers to others, before a request's own time says how fast they come
_ROOM = 0.75  # of the time-out: so long may requests wait for each other


@dataclass(frozen=True, slots=True)
class Sent:
    """When a request was sent, how many were under way then, and how many answers had come to all of them."""

    at: float
    ahead: int
    answers: int


class AdaptiveLimit:
    """The present limit, between 1 and `max_in_flight`. Times are seconds of any steady clock.

    At first `trial` requests are tried out, see `Trial`. `timeout_s` is the client's patience with one request. A
    server that is busy several times in a row, and does not say for how long, is left alone as `backoff` says.
    """

    def __init__(
        self,
        max_in_flight: int,
        *,
        trial: int = 0,
        timeout_s: float = 120.0,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
    ) -> None:
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self.answers = 0
        self.last_answer_at = float("-inf")
        self.paused_until = float("-inf")
        self._limit = float(max_in_flight)
        self._timeout_s = timeout_s
        self._backoff = backoff
        self._last_cut_at = float("-inf")
        self._gain = max(1.0, max_in_flight / ROUND_TRIPS_TO_RECOVER)
        self._shortest_s = float("inf")
        self._queue_seen = False  # requests wait for each other
        self._waits_for_answer = False  # since then: a server may go on with requests that were given up
        self._trial = Trial(trial)
        self._busy_in_a_row = self._busy_before = 0
        self._recovered_at = float("-inf")
        self._answered_at: deque[float] = deque(maxlen=max_in_flight)

    @property
    def limit(self) -> float:
        """Most requests that may be under way."""
        return 1.0 if self._waits_for_answer else self._limit

    def admits(self, now: float, *, again: bool = False) -> bool:
        """Whether one more request may be sent at `now`; `again` where it was sent before."""
        tried_out = self._trial.admits(now, again=again)
        return tried_out and now >= self.paused_until and self.in_flight < int(self.limit)

    def opens_at(self, now: float) -> float | None:
        """When more may be admitted though nothing happens until then; None where only an end of a request helps."""
        times = [when for when in (self.paused_until, self._trial.ends_at) if when is not None and when > now]
        return min(times, default=None)

    def started(self, *, again: bool = False) -> None:
        """A place is taken."""
        self.in_flight += 1
        self._trial.started(again=again)

    def given_up(self, trial: int) -> None:
        """See `Trial.given_up`."""
        self._trial.given_up(trial)

    def sent(self, now: float) -> Sent:
        """A request that has a place is on its way."""
        self._trial.sent(now)
        return Sent(now, self.in_flight - 1, self.answers)

    def ended(self) -> None:
        """A place is given back."""
        assert self.in_flight > 0, "a request ended that had not started"
        self.in_flight -= 1

    def succeeded(self, sent: Sent, now: float) -> None:
        """An answer came: a round trip's worth of them raises the limit by the gain (at least 1).

        Where requests were seen to wait for each other, more of them bring no more answers, only time-outs: there the
        limit feels its way, and stays where an answer takes most of the time that there is.
        """
        self.answers += 1
        self._waits_for_answer = False
        self.last_answer_at = now
        self._answered_at.append(now)
        self._trial.answered()
        if self._busy_in_a_row:
            self._busy_before, self._recovered_at, self._busy_in_a_row = self._busy_in_a_row, now, 0
        self._shortest_s = min(self._shortest_s, now - sent.at)
        self._look_ahead(sent, now)
        gain = self._gain
        if self._queue_seen:
            gain = max(1.0, self._limit / ROUND_TRIPS_TO_RECOVER) if now - sent.at < _ROOM * self._timeout_s else 0.0
        self._limit = min(float(self.max_in_flight), self._limit + gain / self._limit)

    def _look_ahead(self, sent: Sent, now: float) -> None:
        """Cuts the limit once before any time-out, where those who come last would wait too long.

        Little's law: they wait as long as those under way take at the rate that this request saw. That another took
        much less tells a queue from a server that is slow with each.
        """
        latency_s, seen = now - sent.at, self.answers - sent.answers
        if self._queue_seen or seen < _LEAST_SEEN or latency_s < 2 * self._shortest_s:
            return
        wait_s, room_s = self.in_flight * latency_s / seen, _ROOM * self._timeout_s
        if wait_s > room_s:
            self._limit = max(1.0, min(self._limit, self.in_flight * room_s / wait_s))
            self._queue_seen, self._last_cut_at = True, now

    def waited(self, sent: Sent) -> bool:
        """Whether a request that timed out may have waited for others: no more were answered than were before it.

        One that is sent when others have just been given up waits for those, if the server works them off.
        """
        return self._waits_for_answer or (sent.ahead > 0 and self.answers - sent.answers <= sent.ahead)

    def failed(self, pressure: Pressure, sent: Sent, now: float, *, told_to_wait: bool = False) -> None:
        """An attempt met `pressure`; `told_to_wait` says that the server named a time for the next.

        Attempts that were under way when the limit was last cut are consequences of the same burst and cut nothing:
        one burst, one cut.
        """
        self._trial.failed()
        if pressure is Pressure.NONE or sent.at < self._last_cut_at:
            return
        self._last_cut_at = now
        self._limit = max(1.0, self._limit * pressure.factor)
        if pressure is Pressure.QUEUED:
            done = sum(1 for when in self._answered_at if when > now - self._timeout_s)
            self._limit = max(1.0, min(self._limit, _ROOM * done)) if done else self._limit
            self._queue_seen = self._waits_for_answer = True
        elif pressure is Pressure.BUSY:
            if not self._busy_in_a_row and now - self._recovered_at < self._pause_s(self._busy_before):
                self._busy_in_a_row = self._busy_before - 2  # it needed that long before, and will again
            self._busy_in_a_row = max(1, self._busy_in_a_row + 1)
            if self._busy_in_a_row > (_TIMES_BELIEVED if told_to_wait else 1):
                self.pause(now + self._pause_s(self._busy_in_a_row))

    def _pause_s(self, busy_in_a_row: int) -> float:
        pauses = replace(self._backoff, cap_s=self._backoff.cap_s * _PAUSES_OVER_WAITS)
        return pauses.ceiling_s(busy_in_a_row)

    def pause(self, until: float) -> None:
        """Nothing is sent before `until`; a pause never shortens another."""
        self.paused_until = max(self.paused_until, until)


Rank = tuple[int, ...]
"""Who is first when several wait: the smallest; among equals who came first."""


@dataclass(order=True, slots=True)
class _Waiter:
    rank: Rank
    arrival: int
    admitted: "asyncio.Future[None]" = field(compare=False)
    again: bool = field(compare=False)


class Gate:
    """The limit as something to wait at. Used on one event loop."""

    def __init__(self, limit: AdaptiveLimit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._waiters: list[_Waiter] = []
        self._arrivals = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._closed: OstensiveError | None = None

    async def acquire(self, rank: Rank, *, again: bool = False) -> None:
        """Waits for a place; raises the error the gate was closed with. Each place is given back by `release`.

        Whoever comes `again` goes first.
        """
        if self._closed is not None:
            raise self._closed
        if not self._waiters and self.limit.admits(self._clock(), again=again):
            self.limit.started(again=again)
            return
        rank = (0 if again else 1, *rank)
        waiter = _Waiter(rank, next(self._arrivals), asyncio.get_running_loop().create_future(), again)
        heapq.heappush(self._waiters, waiter)
        self.admit()
        try:
            await waiter.admitted
        except asyncio.CancelledError:
            if waiter.admitted.done() and not waiter.admitted.cancelled() and waiter.admitted.exception() is None:
                self.release()  # admitted and cancelled in the same turn of the loop
            raise

    def release(self) -> None:
        """Gives a place back."""
        self.limit.ended()
        self.admit()

    def admit(self) -> None:
        """Lets in whoever may go now, and comes back when a pause or the trial ends."""
        now = self._clock()
        while self._waiters and self.limit.admits(now, again=self._waiters[0].again):
            waiter = heapq.heappop(self._waiters)
            if not waiter.admitted.done():
                self.limit.started(again=waiter.again)
                waiter.admitted.set_result(None)
        opens_at = self.limit.opens_at(now) if self._waiters else None
        if opens_at is None:
            return
        if self._timer is not None:
            if self._timer.when() <= opens_at:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(opens_at, self._open)

    def _open(self) -> None:
        self._timer = None
        self.admit()

    def given_up(self, trial: int) -> None:
        """See `AdaptiveLimit.given_up`."""
        self.limit.given_up(trial)
        self.admit()

    def close(self, error: OstensiveError) -> None:
        """Nobody is let in any more: all who wait, and all who come, get `error`."""
        self._closed = error
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiters:
            if not waiter.admitted.done():
                waiter.admitted.set_exception(error)
        self._waiters.clear()
