"""The wheel holds everything and nothing else, and what it installs works where there is no checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("ostensive", "verbalizers", "builders", "critics", "cards", "students", "microworld")
UV = os.environ.get("UV") or shutil.which("uv")


def run(command: Sequence[str | Path], *, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command that succeeds."""
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT)
    (path,) = folder.iterdir()
    return path


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_what_the_program_reads(wheel: Path) -> None:
    names = names_in(wheel)
    in_checkout = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert {name for name in names if ".dist-info/" not in name} == in_checkout
    assert names >= {f"{room}/py.typed" for room in ROOMS}
    assert names >= {
        "builders/localized/recipe.yaml",
        "builders/profiles/offline.yaml",
        "builders/localized/wordings.yaml",
        "ostensive/chat/prices.yaml",
    }
    assert sum(name.startswith("builders/localized/templates/localized/") for name in names) >= 3
    assert any(name.startswith("cards/templates/") for name in names)


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        assert archive.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert "ostensive = ostensive.cli:main" in archive.read(f"{folder}/entry_points.txt").decode()
        metadata = archive.read(f"{folder}/METADATA").decode()
        archived = b"\n".join(archive.read(name) for name in archive.namelist() if name.endswith((".py", ".yaml")))
    assert "License-Expression: Apache-2.0" in metadata
    assert str(ROOT).encode() not in archived, "nothing in it names this machine's folders"


def fresh_environment(folder: Path) -> Path:
    """The interpreter of an empty virtual environment."""
    run([sys.executable, "-m", "venv", "--without-pip", folder], cwd=folder.parent)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def libraries_of(python: Path, cwd: Path) -> Path:
    where = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], cwd=cwd)
    return Path(where.strip())


def bare_environment(home: Path) -> dict[str, str]:
    """Nothing of this process's environment that could lead back to the checkout, to a key, or to a cache."""
    home.mkdir()
    return {"PATH": os.defpath, "HOME": str(home), "HF_HUB_OFFLINE": "1"}


def assert_the_demo_runs(python: Path, folder: Path) -> None:
    environment = bare_environment(folder / "home")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    where = run(
        [
            python,
            "-c",
            f"import {', '.join(ROOMS)}; print({', '.join(f'{room}.__file__' for room in ROOMS)}, sep='\\n')",
        ],
        cwd=elsewhere,
        environment=environment,
    )
    for line in where.splitlines():
        assert Path(line).is_relative_to(python.parent.parent), f"{line} is not what was installed"
    command = python.parent / "ostensive"
    started = [command] if command.exists() else [python, "-m", "ostensive"]
    said = run([*started, "demo", "--out", "made", "--quiet", "--json"], cwd=elsewhere, environment=environment)
    values = json.loads(said)
    assert values["rows"] > 0
    assert values["images"] == 10
    assert (elsewhere / "made" / "run" / "corpus" / "README.md").is_file()


@pytest.mark.slow
def test_the_installed_wheel_runs_the_demo_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """Only the wheel is installed; the libraries are those of the running environment, without what is editable there.

    A `.pth` file adds one folder and reads no `.pth` file in it, so that this checkout cannot be imported.
    """
    python = fresh_environment(tmp_path / "environment")
    libraries = libraries_of(python, tmp_path)
    if UV:
        run([UV, "pip", "install", "--python", python, "--offline", "--no-deps", wheel], cwd=tmp_path)
        assert (python.parent / "ostensive").exists()
    else:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(libraries)
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (libraries / "libraries-of-the-tests.pth").write_text("\n".join(paths))
    assert_the_demo_runs(python, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_wheel_installs_with_its_dependencies_into_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    if not UV:
        pytest.skip("uv is not installed")
    python = fresh_environment(tmp_path / "environment")
    install = [UV, "pip", "install", "--python", str(python)]
    reached = subprocess.run(
        [*install, "--dry-run", "--refresh-package", "typer", "typer"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    if reached.returncode:
        pytest.skip("no package index is within reach")
    run([*install, wheel], cwd=tmp_path)
    assert_the_demo_runs(python, tmp_path)
