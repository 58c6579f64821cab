"""What the recipes share after their candidates are made: repeats go, critics score and judge, unanswerable items come.

A recipe derives its settings from `FilteredRecipe` and ends its stages with `filtering_stages`.
"""

from collections.abc import Mapping, Sequence
from typing import Any  # Any: what YAML gives

from pydantic import Field, field_validator

from builders.dedupe import DedupeSettings, DedupeStage
from builders.unanswerable import UnanswerableSettings, UnanswerableStage
from critics.critic import CriticContext
from critics.rules import RulesSettings
from critics.stage import ScoreStage, judge_stage
from critics.table import CriticSettings, leaves
from ostensive.chat.access import ChatSettings
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.stage import AnyStage


class FilteredRecipe(Recipe):
    """A recipe whose candidates are filtered."""

    dedupe: DedupeSettings = DedupeSettings()
    critics: tuple[CriticSettings, ...] = Field(default=(RulesSettings(),), min_length=1)
    unanswerable: UnanswerableSettings = UnanswerableSettings()

    @field_validator("critics", mode="before")
    @classmethod
    def _rules_of_the_recipe(cls, given: Any) -> Any:
        """Critics of kind `rules` begin with the rules that suit the recipe; what is given of them stands."""
        default = cls.model_fields["critics"].default
        own = next((one for one in default if isinstance(one, RulesSettings)), RulesSettings())
        return _with_rules(given, own.model_dump(exclude_unset=True))

    @property
    def round_number(self) -> int:
        """Which round it carries out; 0 for a recipe without rounds. Rows of earlier ones count as no repeats."""
        return 0

    @property
    def chats(self) -> tuple[ChatSettings, ...]:
        """The models of teacher and critics."""
        return (*super().chats, *(chat for critic in leaves(self.critics) for chat in critic.chats))


def _with_rules(critics: Any, rules: Mapping[str, Any]) -> Any:
    """`critics`, those of kind `rules` with `rules` for what they leave open, in combinations too."""
    if not isinstance(critics, Sequence) or isinstance(critics, str):
        return critics
    found = []
    for one in critics:
        if isinstance(one, Mapping) and one.get("kind") == "rules":
            found.append({**rules, **one, "limits": _with_limits(one.get("limits", {}), rules.get("limits", {}))})
        elif isinstance(one, Mapping) and "critics" in one:
            found.append({**one, "critics": _with_rules(one["critics"], rules)})
        else:
            found.append(one)
    return found


def _with_limits(given: Any, own: Mapping[str, Mapping[str, int]]) -> Any:
    """Limits by part: what is given of a part, and the recipe's own for what it leaves open."""
    if not isinstance(given, Mapping):
        return given
    whole = {part: {**own.get(part, {}), **one} if isinstance(one, Mapping) else one for part, one in given.items()}
    return {**own, **whole}


def filtering_stages(recipe: FilteredRecipe, kind: RecipeKind) -> tuple[AnyStage, ...]:
    """Dedupe, score, judge, and add unanswerable items where some are asked for.

    Raises `SettingsError` where the recipe cannot do a part.
    """
    asked = recipe.unanswerable.share > 0
    return (
        DedupeStage(recipe.dedupe, kind, round_number=recipe.round_number),
        ScoreStage(recipe.critics, CriticContext(kind, recipe.teacher, recipe.seed)),
        judge_stage(recipe.critics, kind.candidate),
        *((UnanswerableStage(recipe.unanswerable, kind, recipe.seed),) if asked else ()),
    )
