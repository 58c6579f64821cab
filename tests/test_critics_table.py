"""A critic is its module and a line of the table: what the table says is whole, and nothing else lists critics."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from builders.filtering import FilteredRecipe
from builders.table import load
from critics.critic import Critic, ScoringSettings
from critics.rules import RulesSettings
from critics.table import CRITICS, AllOfSettings, AnyOfSettings, CriticSettings, leaves
from critics.trained.read_critics import READ_CRITICS

READ_SETTINGS = [type(settings) for settings, _ in READ_CRITICS.values()]  # whose scores a trained critic may read
ROOT = Path(__file__).parent.parent
ROOMS = ("ostensive", "verbalizers", "critics", "builders", "cards", "students", "microworld")


def test_a_recipe_takes_the_settings_of_every_critic_and_of_the_combinations_and_no_others() -> None:
    assert set(get_args(get_args(CriticSettings)[0])) == {*CRITICS, AllOfSettings, AnyOfSettings}


@pytest.mark.parametrize(("settings", "critic"), CRITICS.items(), ids=lambda one: one.__name__)
def test_a_critic_has_its_settings_with_it_and_only_the_table_knows_it(
    settings: type[ScoringSettings], critic: type[Critic[Any]]
) -> None:
    assert Critic[settings] in critic.__orig_bases__, "settings of another critic"  # type: ignore[valid-type, attr-defined]
    own = critic.__module__
    folder = own.rpartition(".")[0]
    assert settings.__module__ == own or (folder != "critics" and settings.__module__ == f"{folder}.settings")
    naming = re.compile(rf"\b{critic.__name__}\b")
    paths = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    found = {path.relative_to(ROOT).as_posix() for path in paths if naming.search(path.read_text())}
    read = {"critics/trained/read_critics.py"} if settings in READ_SETTINGS else set()
    assert found == {"critics/table.py", f"{own.replace('.', '/')}.py", *read}


@pytest.mark.parametrize("name", ["rationales", "preferences", "instructions", "explanations", "localized"])
def test_rules_begin_with_those_of_the_recipe(name: str) -> None:
    def rules(*critics: str) -> list[RulesSettings]:
        corpus = ["corpus.license=cc0-1.0", "corpus.source=a test", "corpus.intended_use=to test"]
        recipe = load(name, assignments=[*corpus, *(f"critics={one}" for one in critics)])
        assert isinstance(recipe, FilteredRecipe)
        return [one for one in leaves(recipe.critics) if isinstance(one, RulesSettings)]

    (own,) = rules()
    assert rules("[{kind: rules}]") == [own]
    assert rules("[{kind: any_of, critics: [{kind: rules}]}]")[0] == own
    (changed,) = rules("[{kind: rules, speaks_of_source: true, limits: {answer: {max_words: 3}}}]")
    assert changed.speaks_of_source
    assert changed.limits["answer"].max_words == 3
    assert changed.limits["answer"].max_sentences == own.limits["answer"].max_sentences
    assert {part: limit for part, limit in changed.limits.items() if part != "answer"} == {
        part: limit for part, limit in own.limits.items() if part != "answer"
    }
    assert changed.hedging == own.hedging
