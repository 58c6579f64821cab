"""Features on disk: found again, and worked out again when their file is not what was written."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from verbalizers.clip.text_features import Features, remembered


def features(seed: int = 0, count: int = 5) -> Features:
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


class Counted:
    """Works features out and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Features:
        self.calls += 1
        return features()


def ask(folder: Path, compute: Counted, identity: object = "a", count: int = 5) -> Features:
    return remembered(folder, {"of": identity}, count, compute)


def the_file(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


def test_what_was_worked_out_is_found_again_to_the_bit(tmp_path: Path) -> None:
    compute, folder = Counted(), tmp_path / "deep" / "cache"
    for _ in range(3):
        assert np.array_equal(ask(folder, compute), features())
    assert compute.calls == 1
    ask(folder, compute, identity="b")
    assert compute.calls == 2
    assert len(list(folder.glob("*.safetensors"))) == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "bit", "rubbish", "other"])
def test_a_damaged_file_is_worked_out_again(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    compute = Counted()
    ask(tmp_path, compute)
    path = the_file(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[-3] ^= 1
    if damage == "other":  # a whole file of something else
        ask(tmp_path / "other", compute, identity="b")
        data = bytearray(the_file(tmp_path / "other").read_bytes())
    path.write_bytes(bytes({"empty": b"", "cut": data[:-7], "rubbish": b"\xff" * 99}.get(damage, data)))
    calls = compute.calls
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(ask(tmp_path, compute), features())
    assert compute.calls == calls + 1
    assert f"{path} is damaged and will be worked out again: " in caplog.text
    ask(tmp_path, compute)
    assert compute.calls == calls + 1, "it was written anew"


def test_features_of_another_number_of_texts_are_not_taken(tmp_path: Path) -> None:
    compute = Counted()
    ask(tmp_path, compute)
    ask(tmp_path, compute, count=6)
    assert compute.calls == 2


def test_a_cache_that_cannot_be_written_costs_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    compute = Counted()
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(ask(blocked / "cache", compute), features())
    assert "text features are not kept: cannot write" in caplog.text
    assert compute.calls == 1


def test_two_at_a_time_work_it_out_once(tmp_path: Path) -> None:
    compute, started = Counted(), threading.Barrier(4)

    def work() -> None:
        started.wait()
        ask(tmp_path, compute)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compute.calls == 1
    assert not list(tmp_path.glob(".partial-*"))
