"""How many requests may be under way: additive increase, multiplicative decrease (Chiu & Jain 1989), and pauses.

`AdaptiveLimit` is the arithmetic, with the time handed in; `Gate` lets coroutines wait for it. It starts at the limit
the user gave rather than climbing to it: a client that the server can bear should not lose its first minute, and one
that it cannot is cut to half within a round trip, as often as needed.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from ostensive.chat.retry import Pressure
from ostensive.errors import OstensiveError

ROUND_TRIPS_TO_RECOVER = 16
"""Round trips without trouble in which concurrency climbs by the whole of `max_in_flight`."""


class AdaptiveLimit:
    """The present limit, between 1 and `max_in_flight`. Times are seconds of any steady clock."""

    def __init__(self, max_in_flight: int) -> None:
        self.max_in_flight = max_in_flight
        self.limit = float(max_in_flight)
        self.in_flight = 0
        self.paused_until = float("-inf")
        self._last_cut_at = float("-inf")
        self._gain = max(1.0, max_in_flight / ROUND_TRIPS_TO_RECOVER)

    def admits(self, now: float) -> bool:
        """Whether one more request may be sent at `now`."""
        return now >= self.paused_until and self.in_flight < int(self.limit)

    def started(self) -> None:
        """A request is under way."""
        self.in_flight += 1

    def ended(self) -> None:
        """A request is no longer under way."""
        assert self.in_flight > 0, "a request ended that had not started"
        self.in_flight -= 1

    def succeeded(self) -> None:
        """An answer came: a round trip's worth of them raises the limit by the gain (at least 1)."""
        self.limit = min(float(self.max_in_flight), self.limit + self._gain / self.limit)

    def failed(self, pressure: Pressure, sent_at: float, now: float) -> None:
        """An attempt sent at `sent_at` met `pressure`.

        Attempts that were under way when the limit was last cut are consequences of the same burst and cut nothing:
        one burst, one cut.
        """
        if pressure is Pressure.NONE or sent_at < self._last_cut_at:
            return
        self.limit = max(1.0, self.limit * pressure.value)
        self._last_cut_at = now

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


class Gate:
    """The limit as something to wait at. Used on one event loop."""

    def __init__(self, limit: AdaptiveLimit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._waiters: list[_Waiter] = []
        self._arrivals = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._closed: OstensiveError | None = None

    async def acquire(self, rank: Rank) -> None:
        """Waits for a place; raises the error the gate was closed with. Each place is given back by `release`."""
        if self._closed is not None:
            raise self._closed
        if not self._waiters and self.limit.admits(self._clock()):
            self.limit.started()
            return
        waiter = _Waiter(rank, next(self._arrivals), asyncio.get_running_loop().create_future())
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
        """Lets in whoever may go now, and comes back when a pause ends."""
        now = self._clock()
        while self._waiters and self.limit.admits(now):
            waiter = heapq.heappop(self._waiters)
            if not waiter.admitted.done():
                self.limit.started()
                waiter.admitted.set_result(None)
        if self._waiters and now < self.limit.paused_until and self._timer is None:
            delay_s = self.limit.paused_until - now
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._pause_over)

    def _pause_over(self) -> None:
        self._timer = None
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
