"""Devices and cache folders: what is set, what is there, and what is said when it is not."""

from pathlib import Path

import pytest

from ostensive.errors import SettingsError
from ostensive.models.caches import cache_folder
from ostensive.models.devices import best_device, resolve_device

torch = pytest.importorskip("torch")


def test_a_cache_lies_where_the_user_says() -> None:
    assert cache_folder("x", {"OSTENSIVE_CACHE": "/own", "XDG_CACHE_HOME": "/shared"}) == Path("/own/x")
    assert cache_folder("x", {"XDG_CACHE_HOME": "/shared"}) == Path("/shared/ostensive/x")
    assert cache_folder("x", {"OSTENSIVE_CACHE": "", "XDG_CACHE_HOME": ""}) == Path.home() / ".cache/ostensive/x"


def test_devices() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == best_device()
    assert best_device() in ("cuda", "mps", "cpu")
    with pytest.raises(
        SettingsError, match=r"^device: 'gpu' is no device; auto, cpu, mps, cuda or cuda:1 is expected$"
    ):
        resolve_device("gpu")
    with pytest.raises(SettingsError, match=r"^device: this machine has no cuda:99; expected is \w+, or auto to take"):
        resolve_device("cuda:99")
