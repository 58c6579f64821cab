"""Attempts, waits and ends of requests: the real sender, gate and limit on a simulated clock."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import CASES, SimulatedLoop, Slots, Window, carry_out, simulate

from ostensive.chat.budget import Budget
from ostensive.chat.connection import FailedAttempt, Received
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.limiter import AdaptiveLimit, Gate
from ostensive.chat.records import Message, NoReply, Reply, Sampling
from ostensive.chat.refusals import MANY_IN_A_ROW, Refusals
from ostensive.chat.retry import FILTERED_PROMPT, NO_TEXT, TIMED_OUT, UNREACHABLE, Backoff, decide_on_status
from ostensive.chat.sending import MOST_WAITS, Exits, Halt, Sender, Taken
from ostensive.chat.wire import Request
from ostensive.errors import AccessRefusedError
from ostensive.records import NO_SPEND

Behaviour = Callable[[str, int], Awaitable[FailedAttempt | None]]
"""What the server does with a request, by its name and how often it came; None is an answer."""


@dataclass
class Came:
    """What became of the requests of a run, by name."""

    results: dict[str, Reply | NoReply] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    at: dict[str, float] = field(default_factory=dict)  # when each ended
    counted: int = 0  # by the budget
    stopped: str = ""
    most_open: int = 0

    def reason(self, name: str) -> str:
        result = self.results[name]
        return result.reason if isinstance(result, NoReply) else "answered"


def send(names: Sequence[str], behaviour: Behaviour, *, answered_before: bool = False, **changes: Any) -> Came:
    """All requests together; `changes` are settings of the teacher."""
    asked = ServedTeacherSettings.model_validate({"model": "m", "base_url": "http://127.0.0.1/v1", **changes})
    came = Came()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        refusals = Refusals(asked.stop_after_refusals, answered_before)
        gate = Gate(
            AdaptiveLimit(asked.max_in_flight, trial=refusals.wanted, timeout_s=asked.read_timeout_s), loop.time
        )
        budget = Budget(max_requests=10**6)

        async def post(data: bytes, left_s: float) -> Received | FailedAttempt:
            name = data.decode()
            came.times[name] += 1
            came.most_open = max(came.most_open, gate.limit.in_flight)
            try:
                async with asyncio.timeout(min(asked.read_timeout_s, left_s)):
                    failed = await behaviour(name, came.times[name])
            except TimeoutError:
                return FailedAttempt(TIMED_OUT, "silence")
            return Received(data) if failed is None else failed

        async def take(request: Request, received: Received) -> Taken:
            if received.raw.startswith(b"empty"):
                return Taken(FailedAttempt(NO_TEXT, "empty"), 0.0)
            return Taken(Reply("yes", "stop", "m", request.key, NO_SPEND), 0.0)

        def known(request: Request) -> Reply | None:
            return Reply("no", "stop", "m", request.key, NO_SPEND) if request.key.startswith("known") else None

        exits = Exits(
            known=known,
            let_go=lambda _: None,
            settled=lambda _: asyncio.sleep(0),
            data=lambda request: request.key.encode(),
            bound_usd=lambda _: 0.0,
            post=post,
            take=take,
        )
        sender = Sender(
            asked,
            exits,
            address="http://x",
            gate=gate,
            halt=Halt(gate),
            budget=budget,
            refusals=refusals,
            backoff=Backoff(),
        )

        async def one(name: str) -> None:
            request = Request(name, (Message("user", name),), Sampling(), None)
            try:
                came.results[name] = await sender.send(request, (0, 0))
            except AccessRefusedError as error:
                came.stopped = str(error)
            came.at[name] = loop.time()

        await asyncio.gather(*map(one, names))
        assert gate.limit.in_flight == 0
        came.counted = budget._requests

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(scenario())
    return came


def refuse(status: int, detail: str = "no") -> FailedAttempt:
    return FailedAttempt(decide_on_status(status), detail)


def many(count: int, name: str = "r") -> list[str]:
    return [f"{name}{number}" for number in range(count)]


# Waiting is no fault of a request.


@pytest.mark.parametrize("case", CASES[:9], ids=lambda case: case.name)
def test_slow_small_and_strict_servers_lose_nothing_and_little_time(case: Any) -> None:
    outcome = simulate(carry_out(case))
    assert outcome.lost == 0
    assert outcome.seconds <= case.best_s + 60


@settings(max_examples=25)
@given(
    slots=st.integers(1, 12),
    service_s=st.sampled_from([0.3, 1.0, 4.0]),
    drops=st.booleans(),
    count=st.integers(1, 80),
    timeouts=st.sampled_from([(10.0, 40.0), (30.0, 60.0), (120.0, 600.0)]),
)
def test_no_server_that_answers_loses_a_row(
    slots: int, service_s: float, drops: bool, count: int, timeouts: tuple[float, float]
) -> None:
    read_s, total_s = timeouts

    places: dict[str, Slots] = {}

    async def behaviour(_name: str, _time: int) -> None:
        await places.setdefault("server", Slots(slots, service_s, drops=drops)).answer()

    came = send(many(count), behaviour, read_timeout_s=read_s, total_timeout_s=total_s)
    assert Counter(map(came.reason, came.results)) == {"answered": count}


@pytest.mark.parametrize(("slots", "service_s", "drops"), [(1, 1.0, True), (2, 1.0, True), (1, 0.5, False)])
def test_a_time_out_behind_others_uses_up_no_attempt(slots: int, service_s: float, drops: bool) -> None:
    places: dict[str, Slots] = {}

    async def behaviour(_name: str, _time: int) -> None:
        await places.setdefault("server", Slots(slots, service_s, drops=drops)).answer()

    came = send(many(192), behaviour, max_attempts=1, read_timeout_s=6.0, total_timeout_s=60.0)
    assert Counter(map(came.reason, came.results)) == {"answered": 192}
    assert max(came.times.values()) > 1, "some were given up and sent again"


def test_a_server_that_says_slower_for_long_is_waited_for_without_using_up_attempts() -> None:
    server: list[Window] = []

    async def behaviour(_name: str, _time: int) -> FailedAttempt | None:
        server[:] = server or [Window(3)]
        status = await server[0].answer()
        return None if status is None else refuse(status)

    came = send(many(30), behaviour, max_attempts=1, total_timeout_s=90.0)
    assert Counter(map(came.reason, came.results)) == {"answered": 30}
    assert came.counted == 30, "what was told to come later counts against no limit of requests"


@pytest.mark.parametrize("a_minute", [1, 2, 4, 20])
def test_a_server_that_counts_what_it_refuses_is_given_the_time_it_wants(a_minute: int) -> None:
    seen: list[float] = []

    async def behaviour(_name: str, _time: int) -> FailedAttempt | None:
        now = asyncio.get_running_loop().time()
        seen.append(now)
        full = sum(1 for at in seen[:-1] if at > now - 60) >= a_minute
        await asyncio.sleep(0.2)
        return refuse(429) if full else None

    came = send(many(40), behaviour)
    assert Counter(map(came.reason, came.results)) == {"answered": 40}


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_server_that_never_answers_is_given_up_after_the_total_time(status: int) -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt:
        return refuse(status)

    came = send(["a"], behaviour, total_timeout_s=100.0)
    assert came.reason("a") == decide_on_status(status).reason
    assert 60 < came.at["a"] <= 100
    assert came.times["a"] < 15, "pauses grow"


def test_a_retry_after_that_lies_is_not_believed_for_ever() -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt:
        return FailedAttempt(decide_on_status(429), "slow down", retry_after_s=0.0)

    came = send(["a"], behaviour, total_timeout_s=300.0)
    assert came.times["a"] < 25


def test_one_prompt_that_is_always_told_to_wait_ends_while_others_are_answered() -> None:
    async def behaviour(name: str, _time: int) -> FailedAttempt | None:
        await asyncio.sleep(1)
        return refuse(429, "too large") if name == "large" else None

    came = send([*many(300), "large"], behaviour, total_timeout_s=10**6, max_attempts=3)
    assert Counter(map(came.reason, came.results)) == {"answered": 300, "rate limited": 1}
    assert came.times["large"] <= MOST_WAITS + 3


def test_one_prompt_on_which_the_server_hangs_is_given_up_in_its_time() -> None:
    async def behaviour(name: str, _time: int) -> None:
        await asyncio.sleep(10_000 if name == "hangs" else 1)

    came = send([*many(20), "hangs", *many(3000, "s")], behaviour, read_timeout_s=5.0, total_timeout_s=20.0)
    assert came.reason("hangs") == "timeout"
    assert came.at["hangs"] <= 25.0
    assert Counter(map(came.reason, came.results))["answered"] == 3020


def test_faults_of_its_own_use_up_attempts_and_cost_no_neighbour() -> None:
    async def behaviour(name: str, _time: int) -> FailedAttempt | None:
        await asyncio.sleep(0.1)
        return refuse(500, "it crashed") if name.startswith("bad") else None

    came = send([*many(200), "bad", *many(200, "s")], behaviour, max_attempts=3)
    assert (came.times["bad"], came.reason("bad")) == (3, "server error")
    assert Counter(map(came.reason, came.results))["answered"] == 400


def test_the_total_time_holds_for_faults_of_its_own() -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt:
        await asyncio.sleep(1)
        return refuse(500)

    came = send(["a"], behaviour, max_attempts=10**6, total_timeout_s=50.0)
    assert 20 < came.at["a"] <= 50


def test_a_reply_without_text_is_asked_for_once_more() -> None:
    async def behaviour(_name: str, _time: int) -> None:
        await asyncio.sleep(1)

    came = send(["empty", *many(3)], behaviour, max_attempts=6)
    assert (came.times["empty"], came.reason("empty")) == (2, "reply without text")


def test_a_server_that_is_being_restarted_is_waited_for_and_nothing_counts() -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt | None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        return FailedAttempt(UNREACHABLE, "refused") if 3 < now < 300 else None

    came = send(many(400), behaviour, max_attempts=1)
    assert Counter(map(came.reason, came.results)) == {"answered": 400}
    assert came.counted == 400


# Refused alike.


def test_what_is_refused_alike_at_first_is_not_sent_to_the_end() -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt:
        await asyncio.sleep(0.2)
        return refuse(400, "status 400: no temperature 0.8 here")

    came = send(many(500), behaviour)
    assert sum(came.times.values()) == 4
    assert came.stopped == (
        "http://x, model 'm': the first 4 requests were all refused alike and none was answered: request rejected"
        " (status 400: no temperature 0.8 here); check teacher.model, teacher.base_url and OPENAI_API_KEY"
    )
    assert len(came.results) == 3, "those before the last; whoever asked for them gets the error too"


@pytest.mark.parametrize("most", [1, 2, 7])
def test_the_user_says_how_many_are_enough(most: int) -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt:
        return refuse(403)

    came = send(many(50), behaviour, stop_after_refusals=most)
    assert sum(came.times.values()) == most
    assert "none was answered" in came.stopped


def test_numbers_in_the_words_of_a_refusal_make_no_difference_and_other_words_do() -> None:
    def behaviour(words: Callable[[int], str]) -> Behaviour:
        counter = itertools.count()

        async def refusal(_name: str, _time: int) -> FailedAttempt:
            return refuse(400, words(next(counter)))

        return refusal

    assert send(many(9), behaviour(lambda n: f"{5000 + n} tokens are more than 4096")).stopped
    came = send(many(9), behaviour(lambda n: f"the word {'abcdefghi'[n]} is not allowed"))
    assert not came.stopped
    assert Counter(map(came.reason, came.results)) == {"request rejected": 9}


def test_requests_that_end_alike_after_all_their_attempts_stop_the_run_too() -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt:
        await asyncio.sleep(0.1)
        return refuse(500, "Unexpected endpoint")

    came = send(many(500), behaviour, max_attempts=3)
    assert sum(came.times.values()) == 12
    assert "server error (Unexpected endpoint)" in came.stopped


@pytest.mark.parametrize("status", [400, 403, 404, 501])
def test_a_flagged_prompt_fails_alone_where_others_are_answered(status: int) -> None:
    async def behaviour(name: str, _time: int) -> FailedAttempt | None:
        await asyncio.sleep(0.5 if name.startswith("r") else 1.0)
        return None if name.startswith("r") else refuse(status, "flagged")

    came = send([*many(40), *many(10, "flagged"), *many(40, "rest")], behaviour)
    assert Counter(map(came.reason, came.results)) == {"answered": 80, "request rejected": 10}


@pytest.mark.parametrize("status", [401, 402, 407])
def test_what_is_said_of_the_key_stops_the_run_whenever_it_is_said(status: int) -> None:
    async def behaviour(name: str, _time: int) -> FailedAttempt | None:
        await asyncio.sleep(1)
        return refuse(status) if name == "r90" else None

    assert decide_on_status(status).reason in send(many(200), behaviour).stopped


@pytest.mark.parametrize("status", [404, 501])
def test_a_wrong_address_stops_the_run_at_once(status: int) -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt:
        return refuse(status)

    came = send(many(9), behaviour)
    assert decide_on_status(status).reason in came.stopped
    assert sum(came.times.values()) <= 4


def test_prompts_that_a_filter_refuses_say_nothing_of_others() -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt:
        return FailedAttempt(FILTERED_PROMPT, "content management policy")

    came = send(many(30), behaviour)
    assert Counter(map(came.reason, came.results)) == {"request rejected": 30}


def test_a_key_that_is_revoked_midway_does_not_go_on_for_ever() -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt | None:
        await asyncio.sleep(1)
        return refuse(403, "revoked") if asyncio.get_running_loop().time() > 10 else None

    came = send(many(3000), behaviour, max_in_flight=8)
    assert f"the last {MANY_IN_A_ROW} requests were all refused alike" in came.stopped
    assert Counter(map(came.reason, came.results))["request rejected"] < 100


def test_what_was_flagged_in_an_earlier_process_ends_however_much_it_is() -> None:
    async def behaviour(_name: str, _time: int) -> FailedAttempt:
        return refuse(403, "flagged")

    came = send(many(200), behaviour, answered_before=True)
    assert Counter(map(came.reason, came.results)) == {"request rejected": 200}


def test_nothing_more_is_sent_at_a_time_than_the_user_says() -> None:
    async def behaviour(_name: str, _time: int) -> None:
        await asyncio.sleep(1)

    assert send(many(100), behaviour, max_in_flight=3).most_open == 3
    assert send(many(300), behaviour, max_in_flight=100).most_open == 100


def test_what_the_journal_has_by_then_takes_no_place_of_the_first_few() -> None:
    async def behaviour(_name: str, _time: int) -> None:
        await asyncio.sleep(1)

    came = send([*many(20, "known"), *many(20)], behaviour)
    assert Counter(map(came.reason, came.results)) == {"answered": 40}
    assert sum(came.times.values()) == 20
