"""A verbalizer is its module and a line of the table: what the table says is whole, and nothing else lists them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from ostensive.settings import Settings
from verbalizers import table
from verbalizers.table import VerbalizeSettings

ROOT = Path(__file__).parent.parent
ROOMS = ("ostensive", "verbalizers", "critics", "builders", "cards", "students", "microworld")
TABLES: Mapping[str, table.Table[Any]] = {
    "concepts": table.CONCEPTS,
    "narratives": table.NARRATIVES,
    "regions": table.REGIONS,
    "captions": table.CAPTIONS,
    "probes": table.PROBES,
}
LINES = [(settings, made_by) for one in TABLES.values() for settings, made_by in one.items()]


@pytest.mark.parametrize("part", TABLES)
def test_a_recipe_takes_the_settings_of_every_verbalizer_of_a_part_and_no_others(part: str) -> None:
    assert set(get_args(get_type_hints(VerbalizeSettings)[part])) == set(TABLES[part])


@pytest.mark.parametrize(("settings", "made_by"), LINES, ids=lambda one: one.__name__)
def test_a_verbalizer_has_its_settings_with_it_and_only_the_table_knows_it(
    settings: type[Settings], made_by: Any
) -> None:
    own = made_by.__module__
    assert settings.__module__.rpartition(".")[0] == own.rpartition(".")[0]
    naming = re.compile(rf"\b{made_by.__name__}\b")
    paths = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    found = {path.relative_to(ROOT).as_posix() for path in paths if naming.search(path.read_text())}
    assert found == {"verbalizers/table.py", f"{own.replace('.', '/')}.py"}
