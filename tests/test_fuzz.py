"""A short run of the fuzzers in `benchmarks/fuzz`: the same mutants each time, of every reader of foreign bytes."""

import time
from pathlib import Path

import pytest
from fuzz.mutating import mutant
from fuzz.running import input_of, watch
from fuzz.table import READERS, reader_named

SECONDS = 1.0


@pytest.mark.parametrize("name", READERS)
def test_no_mutant_is_a_fault(name: str, tmp_path: Path) -> None:
    reader = reader_named(name)
    seeds = reader.seeds()
    until = time.monotonic() + SECONDS
    for number in range(400):
        folder = tmp_path / str(number)
        folder.mkdir()
        reader.read(input_of(name, seeds, 1, number), folder)
        if time.monotonic() > until:
            assert number >= len(seeds), "the sound inputs alone take too long"
            break


def test_mutants_follow_from_the_seed() -> None:
    seeds = [bytes(range(256)), b"abc"]
    assert [input_of("tar", seeds, 3, number) for number in range(50)] == [
        input_of("tar", seeds, 3, number) for number in range(50)
    ]
    assert input_of("tar", seeds, 3, 40) != input_of("tar", seeds, 4, 40)
    assert input_of("tar", seeds, 3, 0) == seeds[0]


def test_no_mutant_is_large() -> None:
    import random

    assert max(len(mutant([bytes(1 << 20)], random.Random(seed))) for seed in range(50)) == 1 << 20


@pytest.mark.slow
def test_a_watched_reader_is_counted(tmp_path: Path) -> None:
    figures = watch("tar", 6, 0, tmp_path)
    assert figures.tried > 10
    assert not figures.ends
    assert "tar" in figures.line()
