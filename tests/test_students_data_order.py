"""The order of an epoch, and who reads what of it: all by arithmetic, before anything is read."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from students.data.order import BufferShuffle, stretches

COUNTS = st.lists(st.integers(0, 12), max_size=8)


def places_of(
    counts: list[int], reader: int, readers: int, *, epoch: int = 0, is_even: bool = False
) -> list[tuple[int, int]]:
    found = stretches(counts, seed=1, epoch=epoch, reader=reader, readers=readers, is_even=is_even)
    return [(one.shard, place) for one in found for place in range(one.first, one.end)]


@given(COUNTS, st.integers(1, 9), st.integers(0, 3))
def test_each_sample_is_read_once_however_many_read(counts: list[int], readers: int, epoch: int) -> None:
    """Also where there are fewer shards than readers, and fewer samples."""
    parts = [places_of(counts, reader, readers, epoch=epoch) for reader in range(readers)]
    everything = [(shard, place) for shard, count in enumerate(counts) for place in range(count)]
    assert sorted(place for part in parts for place in part) == everything
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert [place for part in parts for place in part] == places_of(counts, 0, 1, epoch=epoch)


@given(COUNTS, st.integers(1, 4), st.integers(1, 4))
def test_processes_differ_by_one_sample_whatever_their_workers(counts: list[int], processes: int, workers: int) -> None:
    sizes = [
        sum(len(places_of(counts, rank * workers + worker, processes * workers)) for worker in range(workers))
        for rank in range(processes)
    ]
    assert max(sizes) - min(sizes) <= 1


@given(COUNTS, st.integers(1, 9), st.integers(0, 3))
def test_even_parts_leave_out_fewer_than_there_are_readers(counts: list[int], readers: int, epoch: int) -> None:
    parts = [places_of(counts, reader, readers, epoch=epoch, is_even=True) for reader in range(readers)]
    assert len({len(part) for part in parts}) == 1
    read = Counter(place for part in parts for place in part)
    assert not read or max(read.values()) == 1
    assert sum(counts) - len(read) < readers


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    counts = [1] * 20
    orders = {
        tuple(one.shard for one in stretches(counts, seed=seed, epoch=epoch, reader=0, readers=1))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


@given(st.integers(0, 60), st.integers(1, 20), st.integers())
def test_a_buffer_gives_each_once_and_reads_no_further_than_it_is_large(count: int, buffer: int, seed: int) -> None:
    found = list(BufferShuffle(count, buffer, Random(seed)))
    assert sorted(found) == list(range(count))
    for given_out, place in enumerate(found):
        assert place < given_out + buffer
    assert found == list(BufferShuffle(count, buffer, Random(seed)))
    if buffer == 1:
        assert found == list(range(count))


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 60))
def test_a_buffer_goes_on_in_the_middle(count: int, buffer: int, done: int) -> None:
    whole = list(BufferShuffle(count, buffer, Random(7)))
    later = BufferShuffle(count, buffer, Random(7))
    done = min(done, count)
    later.skip(done)
    # What is to be read again, and from where on reading goes on.
    assert {*later.held, *range(later.unread, count)} == set(whole[done:])
    assert list(later) == whole[done:]


def test_a_buffer_mixes() -> None:
    found = list(BufferShuffle(1000, 100, Random(0)))
    moved = [abs(place - given_out) for given_out, place in enumerate(found)]
    assert 50 < sum(moved) / len(moved) < 150
