"""Critics whose scores a trained critic reads beside what it sees: cheap ones, which score without a model or a file."""

from collections.abc import Mapping, Sequence
from typing import Any, Final  # Any: critics of any settings

from critics.critic import Critic, CriticContext, NoScore, Score, ScoringSettings
from critics.evidence import EvidenceCritic, EvidenceSettings
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Candidate
from ostensive.stage import Evidence

READ_CRITICS: Final[Mapping[str, tuple[type[ScoringSettings], type[Critic[Any]]]]] = {
    "evidence": (EvidenceSettings, EvidenceCritic),
}
"""By their kind; each with its own default settings."""


def reading_critics(kinds: Sequence[str], kind: RecipeKind) -> tuple[Critic[Any], ...]:
    """The critics of these kinds for candidates of `kind`; raises `SettingsError` where these lack what one requires."""
    made = []
    for name in kinds:
        settings_class, critic_class = READ_CRITICS[name]
        settings = settings_class()
        if lacking := settings.lacking(kind):
            raise SettingsError(
                f"scores_of: {name} requires {lacking}; {kind.one} of the recipe {kind.name} has no such thing"
            )
        made.append(critic_class(settings, CriticContext(kind, ScriptedTeacherSettings(), 0)))
    return tuple(made)


def read_scores(
    critics: Sequence[Critic[Any]], rows: Sequence[Candidate], evidence: Evidence
) -> list[tuple[float, ...] | NoScore]:
    """Of each row the scores of `critics`, 0-1, in their order; `NoScore` of the first that has none."""
    by_critic = [critic.score(rows, evidence) for critic in critics]
    made: list[tuple[float, ...] | NoScore] = []
    for found in zip(*by_critic, strict=True) if by_critic else ((),) * len(rows):
        lost = next((one for one in found if isinstance(one, NoScore)), None)
        scores = tuple(one.accept_probability for one in found if isinstance(one, Score))
        made.append(scores if lost is None else lost)
    return made
