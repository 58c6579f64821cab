"""Critics whose scores a trained critic reads beside what it sees: those that score without a model or a file.

Their scores are computed anew, by the same code from the candidate and what is known of its image, at training and
after it; a critic remembers with which versions of them it was trained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: critics of any settings

from critics.critic import Critic, CriticContext, NoScore, Score, ScoringSettings
from critics.evidence import EvidenceCritic, EvidenceSettings
from critics.geometry.critic import GeometryCritic, GeometrySettings
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Candidate
from ostensive.stage import Evidence

READ_CRITICS: Final[Mapping[str, tuple[ScoringSettings, type[Critic[Any]]]]] = {
    "evidence": (EvidenceSettings(), EvidenceCritic),
    "geometry": (GeometrySettings(), GeometryCritic),
}
"""By their kind; each with its own default settings."""


@dataclass(frozen=True, slots=True)
class ReadCritic:
    """A critic whose scores are read."""

    kind: str
    version: str


def reading_critics(kinds: Sequence[str], kind: RecipeKind) -> tuple[Critic[Any], ...]:
    """The critics of these kinds for candidates of `kind`; raises `SettingsError` where these lack what one needs."""
    made = []
    for name in kinds:
        settings, critic_class = READ_CRITICS[name]
        if lacking := settings.lacking(kind):
            raise SettingsError(
                f"scores_of: {name} requires {lacking}; {kind.one} of the recipe {kind.name} has no such thing. Train a"
                " critic that does not read its scores"
            )
        # Who teaches and what is drawn is nothing to critics that ask no model.
        made.append(critic_class(settings, CriticContext(kind, ScriptedTeacherSettings(), 0)))
    return tuple(made)


def check_versions(critics: Sequence[Critic[Any]], trained_with: Sequence[ReadCritic], where: str) -> None:
    """Raises `SettingsError` where one of `critics` scores by other code than that which a critic was trained with."""
    for critic, known in zip(critics, trained_with, strict=True):
        if critic.version != known.version:
            raise SettingsError(
                f"{where}: was trained on scores of {known.kind} in version {known.version}, and here that is"
                f" {critic.version}; train the critic anew, or apply it with the version of ostensive that trained it"
            )


def read_scores(
    critics: Sequence[Critic[Any]], rows: Sequence[Candidate], evidence: Evidence
) -> list[tuple[float, ...] | NoScore]:
    """Of each row the scores of `critics`, 0-1, in their order; `NoScore` for one that a critic has no score of."""
    by_critic = [critic.score(rows, evidence) for critic in critics]
    return [_of_row(critics, [found[place] for found in by_critic]) for place in range(len(rows))]


def _of_row(critics: Sequence[Critic[Any]], found: Sequence[Score | NoScore]) -> tuple[float, ...] | NoScore:
    scores = []
    for critic, one in zip(critics, found, strict=True):
        if isinstance(one, NoScore):
            return NoScore(one.reason, f"{critic.name}, whose score is read: {one.detail}".removesuffix(": "))
        scores.append(one.accept_probability)
    return tuple(scores)


def score_features(scores: Sequence[float]) -> list[float]:
    """Of the scores that a row is given, how far each is from 0.5, then the squares of that.

    By the squares what a critic cannot check, which is 0.5, may be worth something else than the middle of right and
    wrong.
    """
    off = [2 * score - 1 for score in scores]
    return [*off, *(one**2 for one in off)]


@dataclass(frozen=True, slots=True)
class FittedScores:
    """What the features of scores are worth: weights, in the order of the features, in the logit of accept."""

    weights: tuple[float, ...]
    bias: float


def fit_scores(
    scores: Sequence[tuple[float, ...]], accepted: Sequence[bool], row_weights: Sequence[float]
) -> FittedScores:
    """A logistic regression, with the usual penalty on its weights, of accepted or not on scores alone."""
    from sklearn.linear_model import LogisticRegression

    features = [score_features(row) for row in scores]
    fitted = LogisticRegression(max_iter=1000).fit(features, list(accepted), sample_weight=list(row_weights))
    return FittedScores(tuple(map(float, fitted.coef_[0])), float(fitted.intercept_[0]))
