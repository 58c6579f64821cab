"""The `localized` recipe: its settings, and the stages they make."""

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from builders.dedupe import DedupeSettings, DedupeStage
from builders.localized.probing import TeacherAsker, load_probing_prompts
from builders.localized.scripted import make_script
from builders.localized.settings import LocalizedSettings
from builders.localized.stage import CandidatesStage
from critics.critic import CriticMeans
from critics.settings import CriticSettings, JudgeSettings, RulesSettings, leaves
from critics.stage import JudgeStage, ScoreStage
from ostensive.recipe import Recipe, ScriptedTeacherSettings, ServedModelSettings, ServedTeacherSettings
from ostensive.run.services import Services
from ostensive.stage import Stage
from verbalizers.parts import Models
from verbalizers.settings import VerbalizeSettings
from verbalizers.stage import VerbalizeStage


class LocalizedRecipe(Recipe):
    """Questions, answers and rationales about numbered regions (LSKD)."""

    recipe: Literal["localized"]
    verbalize: VerbalizeSettings = VerbalizeSettings()
    localized: LocalizedSettings = LocalizedSettings()
    dedupe: DedupeSettings = DedupeSettings()
    critics: tuple[CriticSettings, ...] = Field(default=(RulesSettings(),), min_length=1)

    @model_validator(mode="after")
    def _endpoint_is_known(self) -> Self:
        if self.verbalize.asks_endpoint and self.verbalizing_endpoint is None:
            raise ValueError(
                "verbalize has a part of kind served, and no server: name one with verbalize.endpoint.model (and"
                f" base_url), or a teacher of kind served, not {self.teacher.kind}"
            )
        return self

    @property
    def verbalizing_endpoint(self) -> ServedModelSettings | None:
        """The served model that looks at images: its own, or the teacher where that is a served one."""
        if self.verbalize.endpoint is not None:
            return self.verbalize.endpoint
        return self.teacher if isinstance(self.teacher, ServedTeacherSettings) else None

    @property
    def endpoints(self) -> tuple[ServedModelSettings, ...]:
        """The teacher's server and, where they are asked, those of the verbalizers and of critics."""
        own = self.verbalize.endpoint if self.verbalize.asks_endpoint else None
        critics = (critic.chat for critic in leaves(self.critics) if isinstance(critic, JudgeSettings))
        others = (own, *(chat for chat in critics if isinstance(chat, ServedTeacherSettings)))
        return (*super().endpoints, *(other for other in others if other is not None))


RECIPE = LocalizedRecipe


def make_stages(recipe: LocalizedRecipe, services: Services) -> Sequence[Stage[Any, Any]]:  # Any: different records
    """Verbalize, ask the teacher, dedupe, score, judge."""
    error_rate = recipe.teacher.error_rate if isinstance(recipe.teacher, ScriptedTeacherSettings) else 0.0
    script = make_script(error_rate)
    models = Models(
        generators=services.generators,
        endpoint=recipe.verbalizing_endpoint,
        open_chat=services.open_chat,
        make_asker=lambda prompt_set: TeacherAsker(
            load_probing_prompts(prompt_set), services.open_chat, teacher=recipe.teacher, seed=recipe.seed
        ),
    )
    return (
        VerbalizeStage(
            recipe.verbalize, services.images.load, seed=recipe.seed, threads=services.threads, models=models
        ),
        CandidatesStage(
            recipe.localized,
            teacher=recipe.teacher,
            chat=lambda: services.open_chat(recipe.teacher, script),
            seed=recipe.seed,
        ),
        DedupeStage(recipe.dedupe),
        ScoreStage(recipe.critics, CriticMeans(services, recipe.teacher, recipe.seed)),
        JudgeStage(recipe.critics),
    )
