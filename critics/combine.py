"""From scores to decisions: the one place where a threshold is applied. Pure; costs no model.

Only what the settings call a critic of its own has scores (`leaves`); `all_of` and `any_of` are ways to decide on the
scores of their members, each at its own threshold, and so can be changed as freely as a threshold. Their probability is
the least or the greatest of their members'. Comparing that one number with one threshold was given up: the overlap of
texts and the probability of a trained critic are not on one scale.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from critics.settings import CriticSettings, ScoringSettings
from ostensive.records import CriticScore, Judgement


def leaves(critics: Iterable[CriticSettings]) -> Iterator[ScoringSettings]:
    """The settings of every critic that scores, in order."""
    yield from critics


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
    return decide(scores[critic.title], critic.min_accept_probability)
