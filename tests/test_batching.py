"""Batches that halve on full memory, fail row by row, and are prepared beside the work."""

import logging
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.models.batching import BatchSize, Steps, each_in_batches, in_batches


class Device:
    """A model that has memory for `room` rows, fails for the rows in `bad`, and remembers its batches."""

    def __init__(self, room: int, bad: Sequence[int] = ()) -> None:
        self.room, self.bad = room, set(bad)
        self.batches: list[tuple[int, ...]] = []
        self.relieved = 0

    def steps(self) -> Steps[int, tuple[int, ...], Sequence[int]]:
        return Steps(self._prepare, self._work, self._relieve)

    def _prepare(self, rows: Sequence[int]) -> tuple[int, ...]:
        return tuple(rows)

    def _work(self, rows: tuple[int, ...]) -> Sequence[int]:
        import torch

        if len(rows) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.bad & set(rows):
            raise ValueError(f"bad row in {rows}")
        self.batches.append(rows)
        return [row * 10 for row in rows]

    def _relieve(self) -> None:
        self.relieved += 1


def test_size_halves_and_stays(caplog: pytest.LogCaptureFixture) -> None:
    device, size = Device(room=3), BatchSize(8, "some/model")
    with caplog.at_level(logging.WARNING):
        done = list(in_batches([list(range(10)), [10]], size, device.steps()))
    assert device.batches == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10,)]
    assert [value for part in done for value in part.result or []] == [row * 10 for row in range(11)]
    assert (size.rows, device.relieved) == (2, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "some/model: out of memory with 8 at a time; going on with 4",
        "some/model: out of memory with 4 at a time; going on with 2",
    ]


def test_one_that_never_fits_is_its_own_failure() -> None:
    device, size = Device(room=0), BatchSize(2, "some/model")
    done = list(in_batches([[1, 2, 3]], size, device.steps()))
    assert [part.rows for part in done] == [(1,), (2,), (3,)]
    assert all(part.result is None and type(part.error).__name__ == "OutOfMemoryError" for part in done)


@given(
    runs=st.lists(st.lists(st.integers(0, 99), max_size=9), max_size=5),
    size=st.integers(1, 7),
    room=st.integers(1, 7),
    bad=st.sets(st.integers(0, 99), max_size=5),
)
def test_every_row_once_and_bad_ones_alone(runs: list[list[int]], size: int, room: int, bad: set[int]) -> None:
    device = Device(room, sorted(bad))
    done = list(in_batches(runs, BatchSize(size, "m"), device.steps()))
    assert [row for part in done for row in part.rows] == [row for run in runs for row in run]
    for part in done:
        if part.error is None:
            assert part.result == [row * 10 for row in part.rows]
            assert not bad & set(part.rows)
            assert len(part.rows) <= min(size, room)
        else:
            assert len(part.rows) == 1
            assert part.rows[0] in bad


def test_the_next_batch_is_prepared_beside_the_work() -> None:
    begun = threading.Event()

    def prepare(rows: Sequence[int]) -> int:
        if rows[0] == 1:
            begun.set()
        return rows[0]

    def work(row: int) -> bool:
        return row == 1 or begun.wait(10)

    steps = Steps(prepare, work, lambda: None)
    assert [part.result for part in in_batches([[0, 1]], BatchSize(1, "m"), steps)] == [True, True]


def test_one_result_a_row_or_its_own_error() -> None:
    device = Device(room=2, bad=[3])
    results = each_in_batches(range(6), BatchSize(4, "m"), device.steps())
    assert [str(result) for result in results] == ["0", "10", "20", "bad row in (3,)", "40", "50"]
    assert each_in_batches([], BatchSize(4, "m"), device.steps()) == []
