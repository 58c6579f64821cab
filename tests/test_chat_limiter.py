"""Adaptive concurrency: the arithmetic with a clock of our own, and the gate on a real event loop."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.limiter import ROUND_TRIPS_TO_RECOVER, AdaptiveLimit, Gate, Sent
from ostensive.chat.retry import Pressure
from ostensive.errors import BudgetReached


def sent(at: float, ahead: int = 0, answers: int = 0) -> Sent:
    return Sent(at, ahead, answers)


def test_it_starts_at_the_limit_the_user_gave() -> None:
    limit = AdaptiveLimit(3)
    for _ in range(3):
        assert limit.admits(0.0)
        limit.started()
    assert not limit.admits(0.0)
    limit.ended()
    assert limit.admits(0.0)


def test_one_burst_is_one_cut() -> None:
    limit = AdaptiveLimit(64)
    for k in range(64):  # all were sent at 0 and refused one after the other
        limit.failed(Pressure.BUSY, sent(0.0), now=1.0 + k / 100)
    assert limit.limit == 32
    limit.failed(Pressure.BUSY, sent(2.0), now=3.0)
    assert limit.limit == 16


def test_trouble_cuts_less_than_a_busy_server_and_nothing_cuts_nothing() -> None:
    limit = AdaptiveLimit(100)
    limit.failed(Pressure.NONE, sent(0.0), 1.0)
    assert limit.limit == 100
    limit.failed(Pressure.TROUBLE, sent(0.0), 1.0)
    assert limit.limit == pytest.approx(90)


def test_it_never_falls_below_one() -> None:
    limit = AdaptiveLimit(4)
    for k in range(20):
        limit.failed(Pressure.BUSY, sent(k), now=k + 0.5)
    assert limit.limit == 1
    assert limit.admits(100.0)


def test_it_climbs_back_by_the_same_amount_each_round_trip() -> None:
    limit = AdaptiveLimit(64)
    limit.failed(Pressure.BUSY, sent(0.0), 1.0)
    heights = [limit.limit]
    for _ in range(ROUND_TRIPS_TO_RECOVER // 2):
        for _ in range(int(limit.limit)):
            limit.succeeded(sent(1.0), 2.0)
        heights.append(limit.limit)
    gains = [after - before for before, after in itertools.pairwise(heights)]
    assert all(3.3 < gain <= 4.01 for gain in gains)
    for _ in range(200):
        limit.succeeded(sent(1.0), 2.0)
    assert limit.limit == 64


def test_a_pause_lets_nobody_in_and_never_shortens_another() -> None:
    limit = AdaptiveLimit(2)
    limit.pause(10.0)
    limit.pause(5.0)
    assert not limit.admits(9.99)
    assert limit.admits(10.0)


PRESSURES = {"busy": Pressure.BUSY, "trouble": Pressure.TROUBLE, "queued": Pressure.QUEUED, "none": Pressure.NONE}


@given(st.integers(1, 300), st.lists(st.sampled_from([*PRESSURES, "ok"]), max_size=200))
def test_the_limit_stays_between_one_and_the_maximum(most: int, events: list[str]) -> None:
    limit = AdaptiveLimit(most)
    for now, event in enumerate(events):
        if event == "ok":
            limit.succeeded(sent(now), now)
        else:
            limit.failed(PRESSURES[event], sent(now), now)
        assert 1 <= limit.limit <= most


def test_the_gate_lets_in_by_rank_then_by_arrival() -> None:
    async def scenario() -> list[str]:
        gate = Gate(AdaptiveLimit(1), asyncio.get_running_loop().time)
        entered: list[str] = []

        async def enter(name: str, rank: tuple[int, ...]) -> None:
            await gate.acquire(rank)
            entered.append(name)
            await asyncio.sleep(0)
            gate.release()

        ranks = {"first": (1, 0), "late": (1, 2), "b": (1, 1), "c": (1, 1), "retry": (0, 9)}
        async with asyncio.TaskGroup() as group:
            for name, rank in ranks.items():
                group.create_task(enter(name, rank))
        assert gate.limit.in_flight == 0
        return entered

    assert asyncio.run(scenario()) == ["first", "retry", "b", "c", "late"]


def test_the_gate_opens_by_itself_after_a_pause() -> None:
    async def scenario() -> float:
        clock = asyncio.get_running_loop().time
        gate = Gate(AdaptiveLimit(2), clock)
        start = clock()
        gate.limit.pause(start + 0.1)
        await asyncio.wait_for(asyncio.gather(gate.acquire((0,)), gate.acquire((0,))), timeout=5)
        return clock() - start

    assert asyncio.run(scenario()) >= 0.1


def test_a_pause_that_grows_while_somebody_waits_is_kept() -> None:
    async def scenario() -> float:
        clock = asyncio.get_running_loop().time
        gate = Gate(AdaptiveLimit(1), clock)
        start = clock()
        gate.limit.pause(start + 0.05)
        waiter = asyncio.create_task(gate.acquire((0,)))
        await asyncio.sleep(0.01)
        gate.limit.pause(start + 0.15)
        await asyncio.wait_for(waiter, timeout=5)
        return clock() - start

    assert asyncio.run(scenario()) >= 0.15


def test_a_closed_gate_turns_everybody_away() -> None:
    async def scenario() -> None:
        gate = Gate(AdaptiveLimit(1), asyncio.get_running_loop().time)
        await gate.acquire((0,))
        waiter = asyncio.create_task(gate.acquire((0,)))
        await asyncio.sleep(0)
        gate.close(BudgetReached("enough"))
        for late in (waiter, asyncio.create_task(gate.acquire((0,)))):
            with pytest.raises(BudgetReached, match="enough"):
                await late
        gate.release()
        assert gate.limit.in_flight == 0

    asyncio.run(scenario())


def test_whoever_is_cancelled_while_waiting_keeps_no_place() -> None:
    async def scenario() -> None:
        gate = Gate(AdaptiveLimit(1), asyncio.get_running_loop().time)
        await gate.acquire((0,))
        waiting, admitted = asyncio.create_task(gate.acquire((0,))), asyncio.create_task(gate.acquire((1,)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        gate.release()  # `admitted` has its place now, but has not run yet
        admitted.cancel()
        await asyncio.gather(waiting, admitted, return_exceptions=True)
        assert gate.limit.in_flight == 0
        await asyncio.wait_for(gate.acquire((0,)), timeout=5)

    asyncio.run(scenario())
