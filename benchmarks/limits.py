"""How near the adaptive limit comes to the best that a slow, small or strict server allows, on a simulated clock.

    python benchmarks/limits.py [--json]

The requests are sent by the real `Sender`, gate and limit, with their default settings but for those named, on an event
loop whose clock jumps to the next event. Each server is a few lines that decide when a request is answered. Target: no
request lost, and the last answer at most a minute after the best that the server allows.
"""

import argparse
import asyncio
import json
import selectors
import statistics
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol  # Any: JSON values

from ostensive.chat.budget import Budget
from ostensive.chat.connection import FailedAttempt, Received
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.limiter import AdaptiveLimit, Gate
from ostensive.chat.records import Message, NoReply, Reply, Sampling
from ostensive.chat.refusals import Refusals
from ostensive.chat.retry import TIMED_OUT, Backoff, decide_on_status
from ostensive.chat.sending import Exits, Halt, Sender, Taken
from ostensive.chat.wire import Request
from ostensive.records import Spend

TARGET_S = 60.0


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait: where it would, its clock jumps."""

    def __init__(self) -> None:
        self.simulated_s = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Simulated seconds since it was made."""
        return self.simulated_s


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing ever comes from outside."""
        assert timeout is not None, "everybody waits for somebody else"
        self._loop.simulated_s += max(0.0, timeout)
        return super().select(0)


class Server(Protocol):
    """What answers: a 200 after `answer` returned None, otherwise a status."""

    async def answer(self) -> int | None:
        """Cancelled when the client is gone."""
        ...


class Slots:
    """Works on so many requests at a time, first come, first served; `drops` those whose client is gone."""

    def __init__(self, slots: int, service_s: float, *, drops: bool = True) -> None:
        self._places = asyncio.Semaphore(slots)
        self._service_s, self._drops = service_s, drops
        self._orphans: set[asyncio.Task[None]] = set()

    async def answer(self) -> None:
        if self._drops:
            await self._serve()
            return
        task = asyncio.create_task(self._serve())
        self._orphans.add(task)
        task.add_done_callback(self._orphans.discard)
        await asyncio.shield(task)

    async def _serve(self) -> None:
        async with self._places:
            await asyncio.sleep(self._service_s)


class Window:
    """Takes so many requests in each minute that begins with the first, and says 429 to all others, without a time."""

    def __init__(self, a_minute: int, service_s: float = 1.0) -> None:
        self._a_minute, self._service_s = a_minute, service_s
        self._taken: Counter[int] = Counter()
        self._began: float | None = None

    async def answer(self) -> int | None:
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        minute = int((now - self._began) // 60)
        if self._taken[minute] >= self._a_minute:
            await asyncio.sleep(0.2)
            return 429
        self._taken[minute] += 1
        await asyncio.sleep(self._service_s)
        return None


class Bucket:
    """Takes `a_minute` requests evenly, with no room for a burst, and says 429 to all others."""

    def __init__(self, a_minute: int, service_s: float = 1.0) -> None:
        self._every_s, self._service_s = 60 / a_minute, service_s
        self._next_at = 0.0

    async def answer(self) -> int | None:
        now = asyncio.get_running_loop().time()
        if now < self._next_at:
            await asyncio.sleep(0.2)
            return 429
        self._next_at = max(self._next_at, now - 1.0) + self._every_s
        await asyncio.sleep(self._service_s)
        return None


class Faulty:
    """So many requests at once take `service_s` each; any beyond, and all in the second after `burst_at`, get 503."""

    def __init__(self, places: int, service_s: float, *, burst_at: float = float("inf")) -> None:
        self._places, self._service_s, self._burst_at = places, service_s, burst_at
        self._open = 0

    async def answer(self) -> int | None:
        now = asyncio.get_running_loop().time()
        if self._open >= self._places or 0 <= now - self._burst_at < 1:
            await asyncio.sleep(0.1)
            return 503
        self._open += 1
        try:
            await asyncio.sleep(self._service_s)
        finally:
            self._open -= 1
        return None


@dataclass(frozen=True, slots=True)
class Case:
    """A server, what is asked of it, and when the last answer could come at best (seconds)."""

    name: str
    server: Callable[[], Server]
    requests: int
    best_s: float
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. Seconds are simulated."""

    seconds: float
    lost: int
    attempts: int
    answer_s: float  # median time of an answer, from its last sending


CASES = (
    Case("one slot of 1 s, read_timeout_s=6, total_timeout_s=30", lambda: Slots(1, 1.0), 192, 192.0,
         {"read_timeout_s": 6.0, "total_timeout_s": 30.0}),
    Case("one slot of 20 s", lambda: Slots(1, 20.0), 64, 1280.0, {}),
    Case("one slot of 2 s that works off what was given up", lambda: Slots(1, 2.0, drops=False), 256, 512.0, {}),
    Case("8 slots of 17 s", lambda: Slots(8, 17.0), 400, 850.0, {}),
    Case("64 slots of 100 s", lambda: Slots(64, 100.0), 640, 1000.0, {}),
    Case("4 a minute, no Retry-After", lambda: Window(4), 24, 301.0, {}),
    Case("4 a minute, no Retry-After, for hours", lambda: Window(4), 400, 5941.0, {}),
    Case("30 a minute, evenly", lambda: Bucket(30), 300, 599.0, {}),
    Case("1,000 slots of 5 s", lambda: Slots(1000, 5.0), 20_000, 100.0, {"max_in_flight": 1000}),
    Case("1,000 slots of 5 s, all refused for a second", lambda: Faulty(1000, 5.0, burst_at=20.0), 40_000, 200.0,
         {"max_in_flight": 1000}),
    Case("1,000 slots of 5 s, 503 beyond, 4,000 sent", lambda: Faulty(1000, 5.0), 40_000, 200.0,
         {"max_in_flight": 4000}),
)  # fmt: skip


async def carry_out(case: Case) -> Outcome:
    """Sends all requests of a case, together, and waits for the last."""
    loop = asyncio.get_running_loop()
    settings = ServedTeacherSettings(model="m", base_url="http://127.0.0.1/v1", **case.settings)
    timeout_s = min(settings.read_timeout_s, settings.total_timeout_s)
    refusals = Refusals(settings.stop_after_refusals)
    limit = AdaptiveLimit(settings.max_in_flight, trial=refusals.wanted, timeout_s=timeout_s, backoff=Backoff())
    gate, server = Gate(limit, loop.time), case.server()
    attempts, answer_s = Counter[str](), list[float]()

    async def post(_data: bytes, left_s: float) -> Received | FailedAttempt:
        attempts["sent"] += 1
        began = loop.time()
        try:
            async with asyncio.timeout(min(settings.read_timeout_s, left_s)):
                status = await server.answer()
        except TimeoutError:
            return FailedAttempt(TIMED_OUT, "silence")
        if status is not None:
            return FailedAttempt(decide_on_status(status), f"status {status}")
        answer_s.append(loop.time() - began)
        return Received(b"")

    async def take(request: Request, _received: Received) -> Taken:
        return Taken(Reply("yes", "stop", "m", request.key, Spend()), 0.0)

    exits = Exits(
        known=lambda _: None,
        let_go=lambda _: None,
        settled=lambda _: asyncio.sleep(0),
        data=lambda _: b"",
        bound_usd=lambda _: 0.0,
        post=post,
        take=take,
    )
    sender = Sender(
        settings,
        exits,
        address="simulated",
        gate=gate,
        halt=Halt(gate),
        budget=Budget(),
        refusals=refusals,
        backoff=Backoff(),
    )
    requests = [Request(str(n), (Message("user", "?"),), Sampling(), None) for n in range(case.requests)]
    results = await asyncio.gather(*(sender.send(request, (0, 0)) for request in requests))
    lost = sum(isinstance(result, NoReply) for result in results)
    return Outcome(loop.time(), lost, attempts["sent"], statistics.median(answer_s))


def simulate(coroutine: Coroutine[Any, Any, Outcome]) -> Outcome:
    """The result of `coroutine` on a simulated clock."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(coroutine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    outcomes = {case.name: simulate(carry_out(case)) for case in CASES}
    if options.json:
        print(json.dumps({name: {"seconds": o.seconds, "lost": o.lost} for name, o in outcomes.items()}))
        return
    print(f"{'server':<56}{'best':>9}{'took':>9}{'late':>8}{'lost':>6}{'sent':>8}")
    for case in CASES:
        outcome = outcomes[case.name]
        late = outcome.seconds - case.best_s
        met = "met" if late <= TARGET_S and not outcome.lost else "MISSED"
        figures = f"{case.best_s:>8.0f}s{outcome.seconds:>8.0f}s{late:>7.0f}s{outcome.lost:>6}{outcome.attempts:>8}"
        print(f"{case.name:<56}{figures}  {met}")


if __name__ == "__main__":
    main()
