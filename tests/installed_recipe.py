"""The recipe of `captions_recipe` as if its package were installed: found by its entry point alone."""

from pathlib import Path

import pytest

from builders import table

TESTS = Path(__file__).parent
NAME = "captions"


def write_distribution(folder: Path, *, name: str = NAME, value: str = "captions_recipe.recipe:KIND") -> Path:
    """The metadata by which an installed package is known, in `folder`, which is to be on the path."""
    info = folder / f"{name.replace('-', '_')}_for_tests-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-for-tests\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{table.ENTRY_POINTS}]\n{name} = {value}\n")
    return folder


@pytest.fixture
def captions_installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that makes the recipe known to this process, and to others by PYTHONPATH with `TESTS` beside it."""
    folder = write_distribution(tmp_path_factory.mktemp("site"))
    monkeypatch.syspath_prepend(str(folder))
    return folder
