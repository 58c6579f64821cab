"""Rates are arithmetic over times, and a process is known again: no run, no clock."""

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.run.processes import is_alive, this_process
from ostensive.run.rates import (
    Rates,
    Work,
    counted_rates,
    finished_since_start,
    last_start,
    last_time,
    rates_of,
    waiting,
)


def partition(t: float, index: int = 0, **values: Any) -> dict[str, Any]:
    return {"event": "partition", "t": t, "stage": "candidates", "index": index, "kept": 7, "seconds": 4.0, **values}


def test_work_is_counted_since_the_last_start() -> None:
    events = [{"event": "start", "t": 10.0}, partition(20), {"event": "start", "t": 100.0}, partition(110.5, 3)]
    [one] = finished_since_start(events)
    assert (one.stage, one.index, one.kept, one.began, one.ended) == ("candidates", 3, 7, 106.5, 110.5)
    assert (last_start(events), last_time(events)) == (100.0, 110.5)
    assert (list(finished_since_start(events[1:2])), last_start([]), last_time([])) == ([], None, None)


@pytest.mark.parametrize(
    "broken", [{"t": "soon"}, {"index": None}, {"seconds": "x"}, {"kept": []}, {"event": "other"}, {"t": None}]
)
def test_a_line_that_is_not_whole_is_passed_over(broken: dict[str, Any]) -> None:
    events = [{"event": "start", "t": 0.0}, {**partition(5), **broken}, {}, partition(9, 2)]
    assert [one.index for one in finished_since_start(events)] == [2]


def test_a_partition_counts_evenly_over_the_time_that_was_worked_on_it() -> None:
    # 240 images in 120 s, of which half lie in the last minute.
    assert rates_of([Work(0, 120, 240)], 0, 120) == Rates(2.0, 2.0)
    # The one before is outside of it.
    assert rates_of([Work(0, 30, 300), Work(100, 130, 60)], 0, 150) == Rates(60 / 60, 360 / 150)
    # A partition takes five minutes: of late means since it was begun, so that the rate does not fall to nothing.
    assert rates_of([Work(0, 300, 300)], 0, 400).lately == pytest.approx(300 / 400)
    assert rates_of([Work(5, 5, 3)], 0, 10) == Rates(0.3, 0.3)


def test_before_anything_is_done() -> None:
    assert rates_of([], None, 5) == rates_of([], 5, 5) == counted_rates(1, 1, None, 5) == Rates(None, None)
    assert rates_of([], 0, 5) == Rates(0.0, 0.0)


def test_requests_are_counted_one_by_one() -> None:
    assert counted_rates(30, 90, 0, 300) == Rates(0.5, 0.3)
    assert counted_rates(30, 30, 0, 10) == Rates(3.0, 3.0), "a minute has not passed yet"


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 100), st.integers(0, 9)), max_size=8), st.integers(1, 700)
)
def test_no_more_is_counted_than_was_done(pieces: list[tuple[int, int, int]], now: int) -> None:
    work = [Work(began, min(began + took, now), count) for began, took, count in pieces if began <= now]
    found = rates_of(work, 0, now)
    done = sum(one.count for one in work)
    assert found.overall == pytest.approx(done / now)
    assert found.lately is not None
    assert 0 <= found.lately * min(60, now) <= done + 1e-9 or found.lately <= done / min(60, now) + 1e-9


def test_partitions_wait_for_the_next_stage() -> None:
    done = [frozenset({0, 1, 2}), frozenset({1}), frozenset({1})]
    assert waiting(done, 5) == (2, 2, 0)
    assert waiting([], 5) == ()
    # Of an earlier recipe there may be more than are planned.
    assert waiting([frozenset({0, 1})], 1) == (0,)


def test_a_process_is_known_until_it_is_gone() -> None:
    here = this_process()
    assert is_alive(here) is True
    assert is_alive({**here, "began": (here["began"] or 0) + 1}) is False, "another that has the number now"
    assert is_alive({**here, "host": "elsewhere"}) is None
    assert is_alive(None) is is_alive({}) is is_alive({**here, "pid": "x"}) is None
    code = "import json, sys; from ostensive.run.processes import this_process; print(json.dumps(this_process()))"
    command = [sys.executable, "-c", f"{code}; sys.stdout.flush(); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        noted = json.loads(other.stdout.readline())
        assert is_alive(noted) is True
        other.kill()
        deadline = time.monotonic() + 10
        while is_alive(noted) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert is_alive(noted) is False, "killed, and nobody has waited for it yet"
    assert noted["pid"] != os.getpid()
    assert is_alive(noted) is False
