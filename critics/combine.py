"""From scores to decisions: the one place where a threshold is applied. Pure; costs no model.

Critics that score are the leaves of a tree (`critics.settings.leaves`); `all_of` and `any_of` are ways to decide on the
scores of their members, each at its own threshold, and so can be changed as freely as a threshold. Their probability is
the least or the greatest of their members'. Comparing that one number with one threshold was given up: the overlap of
texts and the probability of a trained critic are not on one scale.
"""

from collections.abc import Iterable, Mapping, Sequence

from critics.scoring_settings import ScoringSettings
from critics.settings import AllOfSettings, AnyOfSettings, CriticSettings
from ostensive.fingerprint import fingerprint
from ostensive.records import CriticScore, Judgement


def judgements(critics: Sequence[CriticSettings], scores: Iterable[CriticScore]) -> tuple[Judgement, ...]:
    """The judgement of each of `critics`, in order, that follows from the scores of one candidate."""
    by_name = {score.critic: score for score in scores}
    return tuple(_judgement(critic, by_name) for critic in critics)


def decide(score: CriticScore, min_accept_probability: float) -> Judgement:
    """The judgement that follows from a score: accepted from `min_accept_probability` (0-1) on, that value included."""
    accepted = score.accept_probability >= min_accept_probability
    reason = "" if accepted else score.reason
    return Judgement(score.critic, score.critic_version, score.accept_probability, accepted, reason)


def _judgement(critic: CriticSettings, scores: Mapping[str, CriticScore]) -> Judgement:
    if isinstance(critic, AllOfSettings | AnyOfSettings):
        return _combined(critic, [_judgement(member, scores) for member in critic.critics])
    assert isinstance(critic, ScoringSettings), f"{critic.kind} neither scores nor combines"
    return decide(scores[critic.title], critic.min_accept_probability)


def _combined(critic: AllOfSettings | AnyOfSettings, members: Sequence[Judgement]) -> Judgement:
    """The reason is that of the first member that rejects: all have to accept, or none does."""
    needs_all = isinstance(critic, AllOfSettings)
    accepted = (all if needs_all else any)(member.accepted for member in members)
    probability = (min if needs_all else max)(member.accept_probability for member in members)
    version = fingerprint([critic.kind, [[member.critic, member.critic_version] for member in members]])[:12]
    reason = "" if accepted else next(member.reason for member in members if not member.accepted)
    return Judgement(critic.title, version, probability, accepted, reason)
