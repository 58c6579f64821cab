"""The table of critics: the settings of each `kind`, the class that scores by them, and how critics are combined.

A critic is a module with both of them, its test, and a line in `CRITICS` and in `CriticSettings`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal  # Any: JSON values, critics of any settings

from pydantic import Field

from critics.critic import Critic, CriticName, ScoringSettings
from critics.evidence import EvidenceCritic, EvidenceSettings
from critics.feedback import FeedbackCritic, FeedbackSettings
from critics.geometry.critic import GeometryCritic, GeometrySettings
from critics.judge import JudgeCritic, JudgeSettings
from critics.margin import MarginCritic, MarginSettings
from critics.overlap import OverlapCritic, OverlapSettings
from critics.rules import RulesCritic, RulesSettings
from critics.trained.critic import TrainedCritic
from critics.trained.settings import TrainedSettings
from ostensive.errors import SettingsError
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.settings import Settings


class _CombiningSettings(Settings):
    """A way to decide on the scores of several critics; it has no score and no threshold of its own."""

    kind: str
    name: CriticName | None = None
    """What judgements call it; None takes the kind."""
    critics: tuple["CriticSettings", ...] = Field(min_length=1)
    """Its members, each with its own threshold; they may be combinations themselves."""

    @property
    def title(self) -> str:
        """Its name, or its kind where it has none."""
        return self.name or self.kind

    def decision(self) -> list[Any]:
        """What decisions depend on besides the scores."""
        return [self.kind, self.title, [critic.decision() for critic in self.critics]]


class AllOfSettings(_CombiningSettings):
    """Accepts what every member accepts."""

    kind: Literal["all_of"] = "all_of"


class AnyOfSettings(_CombiningSettings):
    """Accepts what at least one member accepts."""

    kind: Literal["any_of"] = "any_of"


CRITICS: Final[Mapping[type[ScoringSettings], type[Critic[Any]]]] = {
    RulesSettings: RulesCritic,
    OverlapSettings: OverlapCritic,
    FeedbackSettings: FeedbackCritic,
    JudgeSettings: JudgeCritic,
    MarginSettings: MarginCritic,
    EvidenceSettings: EvidenceCritic,
    GeometrySettings: GeometryCritic,
    TrainedSettings: TrainedCritic,
}
"""Every critic that scores, by its settings."""
CriticSettings = Annotated[
    RulesSettings
    | OverlapSettings
    | FeedbackSettings
    | JudgeSettings
    | MarginSettings
    | EvidenceSettings
    | GeometrySettings
    | TrainedSettings
    | AllOfSettings
    | AnyOfSettings,
    Field(discriminator="kind"),
]
"""The settings of one critic, told apart by `kind`: those of `CRITICS` and the combinations."""

for _combining in (AllOfSettings, AnyOfSettings):
    _combining.model_rebuild()


def check_critics(critics: Sequence[CriticSettings], kind: RecipeKind) -> None:
    """Raises `SettingsError` for a name that is given twice, and for what candidates of `kind` lack of a critic."""
    names = titles(critics)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(
            f"critics: {names.count(twice)} critics are called {twice!r}; give each a `name` of its own, e.g."
            f" name: {twice}-2"
        )
    for critic in leaves(critics):
        if lacking := critic.lacking(kind):
            raise SettingsError(
                f"critics: {critic.title} requires {lacking}; {kind.one} of the recipe {kind.name} has no such thing"
                f" (its texts are {', '.join(kind.parts)})"
            )


def leaves(critics: Sequence[CriticSettings]) -> tuple[ScoringSettings, ...]:
    """The settings of every critic that scores, in order, those inside combinations too."""
    found: list[ScoringSettings] = []
    for critic in critics:
        if isinstance(critic, AllOfSettings | AnyOfSettings):
            found += leaves(critic.critics)
        else:
            found.append(critic)
    return tuple(found)


def titles(critics: Sequence[CriticSettings]) -> list[str]:
    """What every critic and every combination is called."""
    found = []
    for critic in critics:
        found.append(critic.title)
        if isinstance(critic, AllOfSettings | AnyOfSettings):
            found += titles(critic.critics)
    return found


def critics_of(recipe: Recipe) -> tuple[CriticSettings, ...]:
    """The critics of a recipe; raises `SettingsError` for one of a kind that has none."""
    critics: tuple[CriticSettings, ...] | None = getattr(recipe, "critics", None)
    if critics is None:
        raise SettingsError(f"the recipe {recipe.recipe} has no critics")
    return critics


def with_critic(recipe: Recipe, critic: TrainedSettings) -> Recipe:
    """`recipe` with one more critic, in place of a trained one of the same name."""
    critics = list(critics_of(recipe))
    same = [place for place, one in enumerate(critics) if one.kind == "trained" and one.title == critic.title]
    critics[slice(same[0], same[0] + 1) if same else slice(len(critics), None)] = [critic]
    return recipe.model_copy(update={"critics": tuple(critics)})


def with_threshold(recipe: Recipe, critic: str, min_accept_probability: float) -> Recipe:
    """`recipe` with another threshold of the critic of that name, wherever it stands."""

    def moved(one: CriticSettings) -> CriticSettings:
        if isinstance(one, AllOfSettings | AnyOfSettings):
            return one.model_copy(update={"critics": tuple(map(moved, one.critics))})
        changed = {"min_accept_probability": min_accept_probability} if one.title == critic else {}
        return one.model_copy(update=changed)

    return recipe.model_copy(update={"critics": tuple(map(moved, critics_of(recipe)))})
