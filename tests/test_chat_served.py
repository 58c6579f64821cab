"""The served client against the scripted server, over real HTTP."""

import contextlib
import itertools
import logging
import re
import socket
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ostensive.chat.access import open_chat
from ostensive.chat.budget import Budget
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.faults import FAULT_KINDS, Faults
from ostensive.chat.journal import Journal
from ostensive.chat.pictures import EncodedImage
from ostensive.chat.prices import Price, PriceSettings, load_prices
from ostensive.chat.records import Chat, Conversation, Exchange, Message, NoReply, Reply, Sampling
from ostensive.chat.retry import Backoff
from ostensive.chat.scripted import ScriptedChat, ScriptedTeacherSettings
from ostensive.chat.served import ServedChat
from ostensive.chat.server import ServerSettings, ServerThread
from ostensive.errors import (
    AccessRefusedError,
    BudgetReached,
    Interrupted,
    SettingsError,
    StorageError,
)
from ostensive.models.generator import GeneratorPool

KEY = "sk-test-0123456789abcdef"
QUICK = Backoff(base_s=0.01, cap_s=0.05)


def echo(messages: Sequence[Message], seed: int) -> str:
    return f"{len(messages)} messages, last {messages[-1].text!r} after {seed % 10_000}"


def talk(text: str, *follow_ups: str, sampling: Sampling = Sampling()) -> Conversation:  # noqa: B008 - frozen
    messages = (Message("system", "Be brief."), Message("user", text))
    return Conversation(messages, tuple(Message("user", follow_up) for follow_up in follow_ups), sampling)


def talks(count: int, turns: int = 1) -> list[Conversation]:
    return [talk(f"question {number}", *(f"more {turn}" for turn in range(1, turns))) for number in range(count)]


def teacher(base_url: str, **changes: Any) -> ServedTeacherSettings:  # Any: values of settings
    return ServedTeacherSettings.model_validate({"model": "scripted", "base_url": base_url, **changes})


def run(
    base_url: str,
    path: Path,
    conversations: Sequence[Conversation],
    *,
    budget: Budget | None = None,
    price: Price | None = None,
    stop: threading.Event | None = None,
    stop_grace_s: float = 30.0,
    backoff: Backoff = QUICK,
    **changes: Any,  # Any: values of settings
) -> list[Exchange]:
    with (
        Journal(path, "r") as journal,
        ServedChat(
            teacher(base_url, **changes),
            journal=journal,
            budget=budget or Budget(),
            stop=stop or threading.Event(),
            price=price,
            environment={},
            backoff=backoff,
            stop_grace_s=stop_grace_s,
        ) as chat,
    ):
        return chat.chat(conversations)


def texts(exchanges: Sequence[Exchange]) -> list[list[str]]:
    return [[reply.text for reply in exchange.replies if isinstance(reply, Reply)] for exchange in exchanges]


# The scripted teacher in process and the same one behind HTTP pass the same checks.


@pytest.fixture(params=["in process", "served"])
def both(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[Sequence[Conversation]], list[Exchange]]]:
    def ask(conversations: Sequence[Conversation]) -> list[Exchange]:
        with (
            Journal(tmp_path / "both.sqlite", "r") as journal,
            open_chat(
                ScriptedTeacherSettings() if request.param == "in process" else teacher(server.base_url),
                journal=journal,
                budget=Budget(),
                stop=threading.Event(),
                script=echo,
                prices=load_prices(),
                generators=GeneratorPool(),
            ) as chat,
        ):
            return chat.chat(conversations)

    with ServerThread(echo) as server:
        yield ask


def test_both_teachers_say_the_same_in_the_same_form(
    both: Callable[[Sequence[Conversation]], list[Exchange]], tmp_path: Path
) -> None:
    picture = EncodedImage(b"\x89PNG", "image/png")
    conversations = [
        talk("ä \u2028 \U0001f600", "b", "c"),
        talk("d"),
        Conversation((Message("user", "what?", (picture, picture)),), (Message("user", "and?"),)),
        talk("long", sampling=Sampling(max_tokens=2)),
        talk("seeded", sampling=Sampling(seed=7)),
    ]
    exchanges = both(conversations)
    with (
        Journal(tmp_path / "reference.sqlite", "r") as journal,
        ScriptedChat(
            echo, ScriptedTeacherSettings(), journal=journal, budget=Budget(), stop=threading.Event()
        ) as reference,
    ):
        expected = reference.chat(conversations)
    for exchange, wanted in zip(exchanges, expected, strict=True):
        for reply, model_reply in zip(exchange.replies, wanted.replies, strict=True):
            assert isinstance(reply, Reply)
            assert isinstance(model_reply, Reply)
            assert replace(reply, request_key="") == replace(model_reply, request_key="")
            assert re.fullmatch("[0-9a-f]{64}", reply.request_key)
    cut = exchanges[3].replies[0]
    assert isinstance(cut, Reply)
    assert cut.finish_reason == "length"


def test_both_teachers_answer_from_the_journal_the_second_time(
    both: Callable[[Sequence[Conversation]], list[Exchange]],
) -> None:
    assert both(talks(4, 2)) == both(talks(4, 2))
    assert both([]) == []


# Faults: everything is answered or a NoReply with a reason.


@pytest.mark.parametrize("kind", [kind for kind in FAULT_KINDS if kind not in ("length", "content_filter")])
def test_every_fault_that_passes_is_survived(kind: str, tmp_path: Path) -> None:
    times = 1 if kind == "rate_limited_date" else 2  # a date cannot ask for less than a second
    faults = replace(Faults(most_per_request=times, retry_after_s=0.05), **{kind: 1.0})  # type: ignore[arg-type]  # names of fields
    with ServerThread(echo, ServerSettings(faults=faults)) as server:
        exchanges = run(server.base_url, tmp_path / "j", talks(4, 2), read_timeout_s=0.3)
    assert [len(replies) for replies in texts(exchanges)] == [2] * 4
    assert server.stats.faults[kind] == times * 8
    assert (server.stats.received, server.stats.sent_after_answer) == ((times + 1) * 8, 0)


@pytest.mark.parametrize(
    ("kind", "reason", "detail"),
    [
        ("server_error", "server error", "status 500: the server had an error; 3 attempts"),
        ("close_midway", "connection failed", "ContentLengthError: 400, message: Not enough data"),
        ("hang", "timeout", "the server was silent for 0.2 s (teacher.read_timeout_s); 3 attempts"),
        ("bad_json", "malformed reply", "not JSON; 3 attempts"),
        ("no_choices", "malformed reply", "no choices; 3 attempts"),
    ],
)
def test_a_fault_that_stays_is_a_row_without_reply_and_a_reason(
    kind: str, reason: str, detail: str, tmp_path: Path
) -> None:
    faults = replace(Faults(most_per_request=99, retry_after_s=0.01), **{kind: 1.0})  # type: ignore[arg-type]  # names of fields
    with ServerThread(echo, ServerSettings(faults=faults)) as server:
        [exchange, _] = run(server.base_url, tmp_path / "j", talks(2, 3), max_attempts=3, read_timeout_s=0.2)
    [reply] = exchange.replies
    assert isinstance(reply, NoReply)
    assert reply.reason == reason
    assert detail in reply.detail or kind == "close_midway"
    assert server.stats.received == 6
    assert server.stats.answered == 0


@pytest.mark.parametrize(
    ("kind", "reason", "detail"),
    [
        ("rate_limited", "rate limited", "status 429: slow down; "),
        ("unavailable", "server error", "status 503: the server is overloaded; "),
    ],
)
def test_a_server_that_stays_busy_uses_up_time_and_no_attempts(
    kind: str, reason: str, detail: str, tmp_path: Path
) -> None:
    faults = replace(Faults(most_per_request=99, retry_after_s=0.1), **{kind: 1.0})  # type: ignore[arg-type]  # names of fields
    start = time.perf_counter()
    with ServerThread(echo, ServerSettings(faults=faults)) as server:
        [exchange, _] = run(server.base_url, tmp_path / "j", talks(2, 3), max_attempts=1, total_timeout_s=1.5)
    [reply] = exchange.replies
    assert isinstance(reply, NoReply)
    assert reply.reason == reason
    assert detail in reply.detail
    assert server.stats.received > 2
    assert time.perf_counter() - start < 10
    assert server.stats.answered == 0


def test_a_mixture_of_all_faults_loses_nothing(tmp_path: Path) -> None:
    # Not the date form, which cannot ask for less than a second: it has tests of its own.
    kinds = [kind for kind in FAULT_KINDS if kind != "rate_limited_date"]
    faults = replace(Faults(most_per_request=3, retry_after_s=0.05), **dict.fromkeys(kinds, 0.06))  # type: ignore[arg-type]  # names of fields
    with ServerThread(echo, ServerSettings(faults=faults)) as server:
        exchanges = run(server.base_url, tmp_path / "j", talks(60, 3), read_timeout_s=0.3, max_in_flight=32)
        assert run(server.base_url, tmp_path / "j", talks(60, 3), read_timeout_s=0.3) == exchanges
    assert set(server.stats.faults) == set(kinds)
    for exchange in exchanges:
        last = exchange.replies[-1]
        assert len(exchange.replies) == 3 or (isinstance(last, NoReply) and last.reason == "filtered reply")
    assert server.stats.sent_after_answer == 0


def test_a_cut_reply_is_not_taken_for_a_whole_one_and_is_not_bought_twice(tmp_path: Path) -> None:
    with ServerThread(echo, ServerSettings(faults=Faults(length=1.0))) as server:
        [exchange] = run(server.base_url, tmp_path / "j", talks(1))
        assert run(server.base_url, tmp_path / "j", talks(1)) == [exchange]
    [reply] = exchange.replies
    assert isinstance(reply, Reply)
    assert reply.finish_reason == "length"
    assert server.stats.received == 1


def test_a_filtered_reply_is_none_and_ends_the_conversation(tmp_path: Path) -> None:
    with ServerThread(echo, ServerSettings(faults=Faults(content_filter=1.0))) as server:
        [exchange] = run(server.base_url, tmp_path / "j", talks(1, 3))
        assert run(server.base_url, tmp_path / "j", talks(1, 3)) == [exchange]
    [reply] = exchange.replies
    assert isinstance(reply, NoReply)
    assert (reply.reason, reply.detail) == ("filtered reply", "finish reason content_filter")
    assert server.stats.received == 1


def test_a_rejected_request_costs_no_neighbour(tmp_path: Path) -> None:
    conversations = [talk("a"), talk("b", "c", sampling=Sampling(max_tokens=0)), talk("d")]
    with ServerThread(echo) as server:
        exchanges = run(server.base_url, tmp_path / "j", conversations)
    assert [len(replies) for replies in texts(exchanges)] == [1, 0, 1]
    [reply] = exchanges[1].replies
    assert isinstance(reply, NoReply)
    assert reply.reason == "request rejected"
    assert reply.detail == "status 400: max_tokens: a whole number of at least 1 is expected; 1 attempt"
    assert server.stats.received == 3


@pytest.mark.parametrize(("kind", "count", "pauses"), [("rate_limited", 3, 2), ("rate_limited_date", 1, 1)])
def test_retry_after_holds_back_every_send(kind: str, count: int, pauses: int, tmp_path: Path) -> None:
    moments = []

    def script(messages: Sequence[Message], seed: int) -> str:
        moments.append(time.perf_counter())
        return "yes"

    faults = replace(Faults(most_per_request=1, retry_after_s=0.5), **{kind: 1.0})  # type: ignore[arg-type]  # names of fields
    with ServerThread(script, ServerSettings(faults=faults)) as server:
        start = time.perf_counter()
        run(server.base_url, tmp_path / "j", talks(count), max_in_flight=2)
    # A third request waits with the two that were refused, is refused itself, and waits once more.
    assert len(moments) == count
    assert min(moments) - start >= 0.5
    assert max(moments) - start >= 0.5 * pauses
    assert server.stats.received == 2 * count


def test_a_wait_beyond_the_deadline_is_not_begun(tmp_path: Path) -> None:
    faults = Faults(rate_limited=1.0, retry_after_s=30.0)
    with ServerThread(echo, ServerSettings(faults=faults)) as server:
        start = time.perf_counter()
        [exchange] = run(server.base_url, tmp_path / "j", talks(1), total_timeout_s=2.0)
        assert time.perf_counter() - start < 1.5
    [reply] = exchange.replies
    assert isinstance(reply, NoReply)
    assert reply.reason == "rate limited"
    assert server.stats.received == 1


def test_the_total_deadline_covers_all_attempts(tmp_path: Path) -> None:
    faults = Faults(server_error=1.0, most_per_request=10**6)
    with ServerThread(echo, ServerSettings(faults=faults)) as server:
        start = time.perf_counter()
        [exchange] = run(
            server.base_url,
            tmp_path / "j",
            talks(1),
            total_timeout_s=0.5,
            max_attempts=10**6,
            backoff=Backoff(base_s=0.05, cap_s=0.1),
        )
        seconds = time.perf_counter() - start
    [reply] = exchange.replies
    assert isinstance(reply, NoReply)
    assert reply.reason in ("server error", "timeout")  # the second if the deadline falls into an attempt
    assert seconds < 2.0
    assert server.stats.received > 2


def test_a_reply_that_takes_too_long_in_all_is_a_timeout(tmp_path: Path) -> None:
    with ServerThread(echo, ServerSettings(latency_s=5.0)) as server:
        [exchange] = run(server.base_url, tmp_path / "j", talks(1), total_timeout_s=0.3)
    [reply] = exchange.replies
    assert isinstance(reply, NoReply)
    assert reply.reason == "timeout"
    assert "(teacher.total_timeout_s)" in reply.detail


# Paying once.


def test_no_answer_is_bought_twice_by_another_run_with_the_same_journal(tmp_path: Path) -> None:
    with ServerThread(echo) as server:
        first = run(server.base_url, tmp_path / "j", talks(5, 3))
        assert run(server.base_url, tmp_path / "j", talks(5, 3)) == first
        run(server.base_url, tmp_path / "j", [talk("question 0", "more 1", "something else")])
    assert (server.stats.received, server.stats.distinct) == (16, 16)


def test_equal_requests_at_the_same_time_are_one(tmp_path: Path) -> None:
    with ServerThread(echo, ServerSettings(latency_s=0.1)) as server:
        exchanges = run(server.base_url, tmp_path / "j", [talk("a", "b")] * 20 + [talk("a", "c")])
    assert server.stats.received == 3
    assert len(set(exchanges[:20])) == 1


def test_two_runs_at_once_send_what_neither_has_only_while_neither_has_it(tmp_path: Path) -> None:
    with ServerThread(echo, ServerSettings(latency_s=0.1)) as server, ThreadPoolExecutor(2) as pool:
        forwards = pool.submit(run, server.base_url, tmp_path / "j", talks(6), max_in_flight=1)
        backwards = pool.submit(run, server.base_url, tmp_path / "j", talks(6)[::-1], max_in_flight=1)
        assert forwards.result() == backwards.result()[::-1]
    assert server.stats.distinct == 6
    assert server.stats.received <= 7  # the two may meet once in the middle
    assert server.stats.sent_after_answer <= 1


def test_another_endpoint_or_model_is_asked_anew(tmp_path: Path) -> None:
    with ServerThread(echo) as one, ServerThread(echo) as two:
        run(one.base_url, tmp_path / "j", talks(1))
        run(two.base_url, tmp_path / "j", talks(1))
        run(two.base_url, tmp_path / "j", talks(1), model="other")
    assert (one.stats.received, two.stats.received) == (1, 2)


def test_a_named_endpoint_is_known_again_at_another_address(tmp_path: Path) -> None:
    with ServerThread(echo) as first:
        before = run(first.base_url, tmp_path / "j", talks(2), endpoint_name="ours")
    with ServerThread(echo) as second:
        assert run(second.base_url, tmp_path / "j", talks(2), endpoint_name="ours") == before
        assert second.stats.received == 0


def test_calls_from_several_threads_share_the_places(tmp_path: Path) -> None:
    with (
        ServerThread(echo, ServerSettings(latency_s=0.05)) as server,
        Journal(tmp_path / "j", "r") as journal,
        ServedChat(
            teacher(server.base_url, max_in_flight=7),
            journal=journal,
            budget=Budget(),
            stop=threading.Event(),
            price=None,
            environment={},
        ) as chat,
        ThreadPoolExecutor(3) as pool,
    ):
        batches = [[talk(f"{name}{number}", "more") for number in range(8)] for name in "abc"]
        together = list(pool.map(chat.chat, batches))
        assert journal.totals("r").requests == 48
    assert all(len(replies) == 2 for exchanges in together for replies in texts(exchanges))
    assert server.stats.max_open == 7


@pytest.mark.slow
def test_more_than_a_hundred_are_in_flight_where_the_user_says_so(tmp_path: Path) -> None:
    with ServerThread(echo, ServerSettings(latency_s=3.0)) as server:  # 100 is the transport's own limit
        run(server.base_url, tmp_path / "j", talks(150), max_in_flight=150)
    assert server.stats.max_open == 150


def test_tokens_and_cost_are_those_of_the_purchase(tmp_path: Path) -> None:
    price = Price(prompt=1000.0, completion=2000.0)
    with ServerThread(lambda messages, seed: "one two three") as server:
        [exchange] = run(server.base_url, tmp_path / "j", talks(1), price=price)
        assert run(server.base_url, tmp_path / "j", talks(1), price=None) == [exchange]
    [reply] = exchange.replies
    assert isinstance(reply, Reply)
    assert (reply.spend.requests, reply.spend.prompt_tokens, reply.spend.completion_tokens) == (1, 4, 3)
    assert reply.spend.usd == pytest.approx(0.004 + 0.006)


def test_images_are_sent_whole_and_journaled_by_their_hash(tmp_path: Path) -> None:
    seen = []

    def script(messages: Sequence[Message], seed: int) -> str:
        seen.append(messages[0].images)
        return "a picture"

    picture = EncodedImage(bytes(range(256)) * 40, "image/jpeg")
    with ServerThread(script) as server:
        run(server.base_url, tmp_path / "j", [Conversation((Message("user", "what?", (picture,)),))])
    assert seen == [(picture,)]
    with sqlite3.connect(tmp_path / "j") as connection:
        [(request,)] = connection.execute("SELECT request FROM answers").fetchall()
    connection.close()
    assert "sha256:" in request
    assert "base64" not in request
    assert len(request) < 500


# Limits, wishes and refusals.


def test_a_limit_of_requests_is_kept_exactly_and_the_run_goes_on_later(tmp_path: Path) -> None:
    with ServerThread(echo, ServerSettings(latency_s=0.05)) as server:
        with pytest.raises(BudgetReached, match="--max-requests: 10 of 10 requests are sent") as caught:
            run(server.base_url, tmp_path / "j", talks(20, 2), budget=Budget(max_requests=10), max_in_flight=4)
        assert "\n" not in str(caught.value)
        with Journal(tmp_path / "j", "r") as journal:
            spent = journal.totals("r")
        assert (server.stats.received, spent.requests) == (10, 10)
        exchanges = run(server.base_url, tmp_path / "j", talks(20, 2), budget=Budget(max_requests=40, spent=spent))
    assert [len(replies) for replies in texts(exchanges)] == [2] * 20
    assert (server.stats.received, server.stats.distinct) == (40, 40)


def test_retries_count_as_requests(tmp_path: Path) -> None:
    faults = Faults(server_error=1.0, most_per_request=99)
    with ServerThread(echo, ServerSettings(faults=faults)) as server, pytest.raises(BudgetReached):
        run(server.base_url, tmp_path / "j", talks(3), budget=Budget(max_requests=5), max_attempts=99)
    assert server.stats.received == 5


def test_a_sum_is_never_passed_and_nearly_used_up(tmp_path: Path) -> None:
    price = Price(prompt=0.0, completion=1_000_000.0)  # a dollar a word
    with ServerThread(lambda messages, seed: "one two") as server:
        with pytest.raises(BudgetReached, match=r"--max-cost: \$\d+\.0000 of \$25\.0000 is spent"):
            run(
                server.base_url,
                tmp_path / "j",
                [talk(str(number), sampling=Sampling(max_tokens=4)) for number in range(40)],
                budget=Budget(max_usd=25.0),
                price=price,
            )
        with Journal(tmp_path / "j", "r") as journal:
            spent = journal.totals("r")
    assert spent.usd is not None
    assert 25.0 - 4.0 < spent.usd <= 25.0
    assert spent.requests == server.stats.received


@pytest.mark.parametrize(("kind", "sent"), [("close_midway", 2), ("bad_json", 2), ("server_error", 5)])
def test_an_attempt_that_may_have_been_billed_counts_in_full(kind: str, sent: int, tmp_path: Path) -> None:
    price = Price(prompt=0.0, completion=1_000_000.0)
    faults = replace(Faults(most_per_request=99), **{kind: 1.0})  # type: ignore[arg-type]  # names of fields
    ends = contextlib.nullcontext() if kind == "server_error" else pytest.raises(BudgetReached, match=r"\$8\.0000 of")
    with ServerThread(echo, ServerSettings(faults=faults)) as server, ends:
        run(
            server.base_url,
            tmp_path / "j",
            [talk("a", sampling=Sampling(max_tokens=4))],
            budget=Budget(max_usd=9.0),
            price=price,
            max_attempts=5,
        )
    assert server.stats.received == sent


def test_a_limited_cost_needs_a_price_before_anything_is_sent(tmp_path: Path) -> None:
    with ServerThread(echo) as server, Journal(tmp_path / "j", "r") as journal:
        settings = teacher(server.base_url, model="nobody/knows")
        priced = settings.model_copy(update={"price": PriceSettings(prompt=0, completion=0)})
        with pytest.raises(SettingsError, match=re.escape("--set teacher.price.prompt=USD")):
            access(settings, journal, Budget(max_usd=1.0))
        with access(priced, journal, Budget(max_usd=1.0)) as chat:
            assert len(chat.chat(talks(2))) == 2
    assert server.stats.received == 2


def access(settings: ServedTeacherSettings, journal: Journal, budget: Budget) -> Chat:
    return open_chat(
        settings,
        journal=journal,
        budget=budget,
        stop=threading.Event(),
        script=echo,
        prices=load_prices(),
        generators=GeneratorPool(),
    )


def test_a_wish_to_stop_keeps_what_is_in_flight_and_sends_no_more(tmp_path: Path) -> None:
    stop = threading.Event()
    with ServerThread(echo, ServerSettings(latency_s=1.0)) as server:
        threading.Timer(0.8, stop.set).start()  # after the trial
        with pytest.raises(Interrupted, match="stopped while asking a model; the same command continues"):
            run(server.base_url, tmp_path / "j", talks(20, 2), max_in_flight=5, stop=stop)
        with Journal(tmp_path / "j", "r") as journal:
            assert journal.totals("r").requests == server.stats.received == 5
        exchanges = run(server.base_url, tmp_path / "j", talks(20, 2))
    assert [len(replies) for replies in texts(exchanges)] == [2] * 20
    assert (server.stats.received, server.stats.distinct) == (40, 40)


def test_a_wish_to_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    stop = threading.Event()
    with ServerThread(echo, ServerSettings(faults=Faults(hang=1.0))) as server:
        threading.Timer(0.2, stop.set).start()
        start = time.perf_counter()
        with pytest.raises(Interrupted):
            run(server.base_url, tmp_path / "j", talks(3), stop=stop, stop_grace_s=0.3)
        assert time.perf_counter() - start < 5


def test_a_wish_to_stop_ends_the_waiting_between_attempts(tmp_path: Path) -> None:
    stop = threading.Event()
    with ServerThread(echo, ServerSettings(faults=Faults(unavailable=1.0))) as server:
        threading.Timer(0.2, stop.set).start()
        start = time.perf_counter()
        with pytest.raises(Interrupted):
            run(server.base_url, tmp_path / "j", talks(3), stop=stop, backoff=Backoff(base_s=60, cap_s=60))
        assert time.perf_counter() - start < 5


def test_a_refused_key_stops_the_run_and_is_nowhere_to_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        ServerThread(echo, ServerSettings(required_key="another")) as server,
        pytest.raises(AccessRefusedError) as caught,
    ):
        run(server.base_url, tmp_path / "j", talks(30), api_key=KEY, max_in_flight=4)
    assert str(caught.value) == (
        f"{server.base_url}, model 'scripted': key refused (status 401: Incorrect API key provided: Bearer [key]);"
        " check teacher.model, teacher.base_url and OPENAI_API_KEY"
    )
    assert server.stats.unauthorized <= 4
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert KEY not in caplog.text
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_a_key_echoed_in_an_answer_or_an_error_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ServerThread(lambda messages, seed: f"You are {KEY}.") as server:
        exchanges = run(server.base_url, tmp_path / "j", talks(3), api_key=KEY)
    assert texts(exchanges) == [["You are [key]."]] * 3
    assert KEY not in caplog.text
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_the_key_is_sent(tmp_path: Path) -> None:
    with ServerThread(echo, ServerSettings(required_key=KEY)) as server:
        assert texts(run(server.base_url, tmp_path / "j", talks(1), api_key=KEY)) != [[]]


def test_a_wrong_address_stops_the_run(tmp_path: Path) -> None:
    with ServerThread(echo) as server, pytest.raises(AccessRefusedError) as caught:
        run(f"{server.base_url}/nowhere", tmp_path / "j", talks(3))
    assert "model or address not found (status 404: 404: Not Found); check teacher.model" in str(caught.value)


def test_a_server_that_is_not_there_stops_the_run_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(AccessRefusedError) as caught:
        run(base_url, tmp_path / "j", talks(3), max_attempts=2)
    message = str(caught.value)
    assert message.startswith(f"{base_url} cannot be reached (")
    assert message.endswith("2 attempts); check teacher.base_url or OPENAI_BASE_URL, and that the server is up")
    assert "\n" not in message


@pytest.fixture
def left_alone(tmp_path: Path) -> Iterator[Callable[..., tuple[ServedChat, int]]]:
    """Makes a client that has had one answer of a server that is gone since, and says at what port that was."""
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(Journal(tmp_path / "j", "r"))

        def make(budget: Budget, **changes: Any) -> tuple[ServedChat, int]:  # Any: values of settings
            with ServerThread(echo) as server:
                chat = stack.enter_context(
                    ServedChat(
                        teacher(server.base_url, **changes),
                        journal=journal,
                        budget=budget,
                        stop=threading.Event(),
                        price=None,
                        environment={},
                        backoff=QUICK,
                    )
                )
                assert texts(chat.chat(talks(1))) != [[]]
            port = urlsplit(server.base_url).port
            assert port is not None
            return chat, port

        yield make


def test_a_server_that_goes_away_later_costs_only_the_rows_it_owed(
    left_alone: Callable[..., tuple[ServedChat, int]],
) -> None:
    chat, _ = left_alone(Budget(), max_attempts=1, total_timeout_s=0.5)
    [exchange] = chat.chat([talk("too late")])
    [reply] = exchange.replies
    assert isinstance(reply, NoReply)
    assert reply.reason == "connection failed"
    attempts = re.search(r"; (\d+) attempts$", reply.detail)
    assert attempts is not None
    assert int(attempts[1]) > 5, "what does not reach the server uses up time and no attempt"


def test_a_server_may_take_its_time_to_come_back(
    left_alone: Callable[..., tuple[ServedChat, int]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="ostensive.chat.sending")
    chat, port = left_alone(Budget(max_requests=3), max_attempts=2)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(chat.chat, [talk("late", "later")])
        end = time.monotonic() + 30
        while sum("connection failed" in record.message for record in caplog.records) < 6:
            assert not late.done(), late.result()
            assert time.monotonic() < end
            time.sleep(0.01)
        with ServerThread(echo, port=port) as server:
            [replies] = texts(late.result(timeout=30))
    assert len(replies) == 2, "neither attempts nor requests of the budget went to a server that was not there"
    assert server.stats.received == 2


def test_a_broken_journal_stops_the_run(tmp_path: Path) -> None:
    asked = itertools.count()

    def script(messages: Sequence[Message], seed: int) -> str:
        if next(asked) == 2:
            stranger = sqlite3.connect(tmp_path / "j")
            stranger.execute("DROP TABLE answers")
            stranger.close()
        return "yes"

    with ServerThread(script) as server, pytest.raises(StorageError, match="no such table: answers"):
        run(server.base_url, tmp_path / "j", talks(50), max_in_flight=1)
    assert server.stats.received < 10


def test_a_missing_key_is_named_before_anything_else(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", "r") as journal, pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        ServedChat(
            ServedTeacherSettings(model="gpt-4o"),
            journal=journal,
            budget=Budget(),
            stop=threading.Event(),
            price=None,
            environment={},
        )


def test_an_adaptive_client_gets_through_to_a_server_that_takes_few_at_a_time(tmp_path: Path) -> None:
    faults = Faults(rate_limited=1.0, most_per_request=1, retry_after_s=0.05)
    with ServerThread(echo, ServerSettings(latency_s=0.01, faults=faults)) as server:
        exchanges = run(server.base_url, tmp_path / "j", talks(64), max_in_flight=64)
    assert all(len(replies) == 1 for replies in texts(exchanges))


def test_how_replies_are_drawn_comes_from_the_recipe() -> None:
    settings = ServedTeacherSettings(model="m", temperature=0.1, top_p=0.9, max_tokens=5)
    assert settings.sampling(seed=3) == Sampling(0.1, 0.9, 5, None)
    assert settings.model_copy(update={"send_seed": True}).sampling(seed=3) == Sampling(0.1, 0.9, 5, 3)
    assert ScriptedTeacherSettings().sampling() == Sampling()
