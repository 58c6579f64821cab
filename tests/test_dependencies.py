"""The ranges in `pyproject.toml`: versions with known faults are out of them, and the known-good ones are in."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))
RANGES = {one.name: one.specifier for one in map(Requirement, PROJECT["project"]["dependencies"])}
FAULTY = {
    "aiohttp": "3.13.2",
    "filelock": "3.20.2",
    "h11": "0.15.0",
    "jinja2": "3.1.5",
    "pillow": "12.1.1",
    "pyarrow": "23.0.0",
    "starlette": "0.49.0",
    "torch": "2.9.1",
}


@pytest.mark.parametrize("name", FAULTY)
def test_versions_with_known_faults_are_left_out(name: str) -> None:
    assert FAULTY[name] not in RANGES[name]


def test_the_known_good_versions_are_in_the_ranges() -> None:
    pins = map(Requirement, PROJECT["tool"]["uv"]["constraint-dependencies"])
    good = {one.name: next(iter(one.specifier)).version for one in pins}
    assert [name for name, version in good.items() if name in RANGES and version not in RANGES[name]] == []
