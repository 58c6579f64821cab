"""Waiting for requests that another process has under way (see `claims.py`): on an event loop, and in a thread.

A process that is stopped holds its claims, for as long as it is. Whoever has waited longer than an answer can take
passes it over; if it goes on after that, its answer comes second and is kept as spoiled, like any second answer.
Time in which the one who waits did not run does not count: the other may not have run either.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from ostensive.chat.journal import Journal

logger = logging.getLogger(__name__)

_POLL_S = 0.2
"""Between two looks at the claims of others."""
_MOST_A_POLL_S = 1.0
"""What a poll counts at most."""
NOTICE_S = 60.0
"""After how long a wait is spoken of."""
_NOTICE = "%s: another process has asked %d of the same requests for some time; waiting for its answers"
IDLE_S = 3600.0
"""How long no answer at all may come into a journal until a model in another process counts as stopped."""


@dataclass(slots=True)
class _Waiter:
    woken: "asyncio.Future[None]"
    waited_s: float = 0.0


class Waiting:
    """Those who wait for claims on keys of `journal`, for `patience_s` at most, and no longer than until `halted`."""

    def __init__(self, journal: Journal, halted: asyncio.Event, patience_s: float, notice_s: float = NOTICE_S) -> None:
        self._journal = journal
        self._halted = halted
        self._patience_s = patience_s
        self._notice_s = notice_s
        self._waiters: dict[str, _Waiter] = {}
        self._poller: asyncio.Task[None] | None = None
        self._noticed = False

    async def until_settled(self, key: str) -> None:
        """Returns when the key is answered or free to be claimed, and when `halted` is set.

        Raises `StorageError` if the journal cannot be read any more. One at a time waits for a key.
        """
        waiter = self._waiters[key] = _Waiter(asyncio.get_running_loop().create_future())
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            await waiter.woken
        finally:
            self._waiters.pop(key, None)

    async def _poll(self) -> None:
        # One look for all that wait, however many: each has a system call or two, and they share a query.
        clock = asyncio.get_running_loop().time
        looked_at = clock()
        while self._waiters:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._halted.wait(), _POLL_S)
            passed_s, looked_at = min(clock() - looked_at, _MOST_A_POLL_S), clock()
            try:
                for key in self._over(passed_s):
                    self._end(self._waiters.pop(key))
            except Exception as error:  # noqa: BLE001 - those who wait have to hear of it, whatever it is
                while self._waiters:
                    self._end(self._waiters.popitem()[1], error)

    def _over(self, passed_s: float) -> set[str]:
        """The keys that are waited for no longer."""
        if self._halted.is_set():
            return set(self._waiters)
        over = self._journal.settled(list(self._waiters))
        late = 0
        for key in self._waiters.keys() - over:
            waiter = self._waiters[key]
            waiter.waited_s += passed_s
            late += waiter.waited_s >= self._notice_s
            if waiter.waited_s >= self._patience_s:
                self._journal.pass_over([key])
                over.add(key)
        if late and not self._noticed:
            self._noticed = True
            logger.warning(_NOTICE, self._journal.path, late)
        return over

    @staticmethod
    def _end(waiter: _Waiter, error: Exception | None = None) -> None:
        if not waiter.woken.done():
            if error is None:
                waiter.woken.set_result(None)
            else:
                waiter.woken.set_exception(error)


def wait_for_others(
    journal: Journal,
    keys: Sequence[str],
    stop: threading.Event,
    *,
    idle_s: float = IDLE_S,
    notice_s: float = NOTICE_S,
) -> None:
    """Returns when one of `keys` is answered or free to be claimed, and when `stop` is set.

    A model has claimed all that it was asked at once and may come to `keys` last, hours later. So it is passed over
    only when nothing at all has come into the journal for `idle_s`.
    """
    waited_s = silent_s = 0.0
    row = journal.last_row()
    while not stop.is_set() and not journal.settled(keys):
        stop.wait(_POLL_S)
        before, row = row, journal.last_row()
        silent_s = silent_s + _POLL_S if row == before else 0.0
        waited_s += _POLL_S
        if waited_s - _POLL_S < notice_s <= waited_s:
            logger.warning(_NOTICE, journal.path, len(keys))
        if silent_s >= idle_s:
            journal.pass_over(keys)
            return
