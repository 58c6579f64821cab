"""The `localized` recipe: its settings, and the stages they make."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from builders.dedupe import DedupeSettings, DedupeStage
from builders.localized.scripted import make_script
from builders.localized.settings import LocalizedSettings
from builders.localized.stage import CandidatesStage
from critics.settings import CriticSettings, RulesSettings
from critics.stage import JudgeStage
from ostensive.recipe import Recipe, ScriptedTeacherSettings
from ostensive.services import Services
from ostensive.stage import Stage
from verbalizers.settings import VerbalizeSettings
from verbalizers.stage import VerbalizeStage


class LocalizedRecipe(Recipe):
    """Questions, answers and rationales about numbered regions (LSKD)."""

    recipe: Literal["localized"]
    verbalize: VerbalizeSettings = VerbalizeSettings()
    localized: LocalizedSettings = LocalizedSettings()
    dedupe: DedupeSettings = DedupeSettings()
    critics: tuple[CriticSettings, ...] = Field(default=(RulesSettings(),), min_length=1)


RECIPE = LocalizedRecipe


def make_stages(recipe: LocalizedRecipe, services: Services) -> Sequence[Stage[Any, Any]]:  # Any: different records
    """Verbalize, ask the teacher, dedupe, judge."""
    error_rate = recipe.teacher.error_rate if isinstance(recipe.teacher, ScriptedTeacherSettings) else 0.0
    script = make_script(error_rate)
    return (
        VerbalizeStage(recipe.verbalize, services.images.load, seed=recipe.seed, threads=services.threads),
        CandidatesStage(
            recipe.localized, teacher=recipe.teacher, chat=lambda: services.open_chat(script), seed=recipe.seed
        ),
        DedupeStage(recipe.dedupe),
        JudgeStage(recipe.critics),
    )
