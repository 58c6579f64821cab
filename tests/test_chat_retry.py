"""Retry-After, backoff, and what becomes of a failed attempt."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.retry import Action, Backoff, Pressure, decide_on_status, retry_after_s

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sunday, 01-Mar-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun Mar  1 12:00:30 2026"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 14:00:30 +0200"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:59:00 GMT"}, 0.0),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Mon, 99 Foo 2026 12:00:30 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers, NOW) == expected


@given(st.integers(0, 10**6))
def test_seconds_and_date_say_the_same(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_s({"retry-after": date}, NOW) == retry_after_s({"retry-after": str(seconds)}, NOW) == seconds


@given(st.text(st.characters(codec="latin-1"), max_size=40))
def test_no_header_breaks_it(value: str) -> None:
    wait = retry_after_s({"retry-after": value}, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    ("status", "code", "action", "reason", "pressure"),
    [
        (401, None, Action.REFUSE, "key refused", Pressure.NONE),
        (402, None, Action.REFUSE, "payment required", Pressure.NONE),
        (403, None, Action.GIVE_UP, "request rejected", Pressure.NONE),
        (404, "model_not_found", Action.DOUBT, "model or address not found", Pressure.NONE),
        (501, None, Action.DOUBT, "the server has no such function", Pressure.NONE),
        (429, "insufficient_quota", Action.REFUSE, "no credit left", Pressure.NONE),
        (429, "credit_balance_exhausted", Action.REFUSE, "no credit left", Pressure.NONE),
        (429, "rate_limit_exceeded", Action.RETRY, "rate limited", Pressure.BUSY),
        (429, None, Action.RETRY, "rate limited", Pressure.BUSY),
        (503, None, Action.RETRY, "server error", Pressure.BUSY),
        (529, None, Action.RETRY, "server error", Pressure.BUSY),
        (500, None, Action.RETRY, "server error", Pressure.TROUBLE),
        (502, None, Action.RETRY, "server error", Pressure.TROUBLE),
        (504, None, Action.RETRY, "timeout", Pressure.TROUBLE),
        (524, None, Action.RETRY, "timeout", Pressure.TROUBLE),
        (498, None, Action.RETRY, "rate limited", Pressure.BUSY),
        (301, None, Action.DOUBT, "the server redirects elsewhere", Pressure.NONE),
        (308, None, Action.DOUBT, "the server redirects elsewhere", Pressure.NONE),
        (429, "billing_not_active", Action.REFUSE, "no credit left", Pressure.NONE),
        (408, None, Action.RETRY, "timeout", Pressure.TROUBLE),
        (409, None, Action.RETRY, "server error", Pressure.NONE),
        (400, None, Action.GIVE_UP, "request rejected", Pressure.NONE),
        (413, None, Action.GIVE_UP, "request rejected", Pressure.NONE),
        (422, None, Action.GIVE_UP, "request rejected", Pressure.NONE),
    ],
)
def test_verdicts(status: int, code: str | None, action: Action, reason: str, pressure: Pressure) -> None:
    decision = decide_on_status(status, code)
    assert (decision.action, decision.reason, decision.pressure) == (action, reason, pressure)


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_backoff_doubles_up_to_its_cap(failures: int, seed: int) -> None:
    wait = Backoff(base_s=0.5, cap_s=30.0).wait_s(failures, random.Random(seed))
    ceiling = min(30.0, 0.5 * 2 ** min(failures - 1, 10))
    assert ceiling / 2 <= wait <= ceiling


def test_backoff_is_spread() -> None:
    rng = random.Random(1)
    assert len({Backoff().wait_s(3, rng) for _ in range(50)}) == 50
