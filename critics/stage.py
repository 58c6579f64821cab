"""The stages `scored` and `judged`: every critic scores every candidate; then thresholds say which of them go on.

All scores are kept beside the candidate, also where the first critic finds fault already: a threshold that is moved
later needs them. The two are apart because the first may take a GPU a night, and the second takes seconds: critics that
score are the leaves of a tree (`critics.table.leaves`), and `all_of` and `any_of` are ways to decide on the scores
of their members, each at its own threshold, for the overlap of texts and the probability of a trained critic are not on
one scale. Their probability is the least or the greatest of their members'.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar  # Any: settings, candidates and record classes of any kind, JSON values

from critics.critic import Critic, CriticContext, NoScore, Score, ScoringSettings
from critics.table import CRITICS, AllOfSettings, AnyOfSettings, CriticSettings, check_critics, leaves, with_critic
from critics.trained.settings import TrainedSettings
from ostensive.fingerprint import fingerprint
from ostensive.recipe import Recipe
from ostensive.records import NO_SPEND, CandidateT, CriticScore, Judged, Judgement, Scored
from ostensive.run.services import Services
from ostensive.settings import validate
from ostensive.stage import Dropped, Evidence, Failed, FunctionStage, Kept, Outcome, Stage

SCORED: Final = "scored"
JUDGED: Final = "judged"
_SCORE_STAGE_VERSION = 1
_JUDGE_STAGE_VERSION = 2

T = TypeVar("T")
Rebuild = Callable[[Callable[[Recipe], Recipe], str], T]
"""Makes a finished run anew from a stage on, with its recipe changed."""


class ScoreStage(Stage[Any, Scored[Any]]):
    """From candidates to scored candidates."""

    name = SCORED
    images_at_once = 64  # large enough batches for a model or a server, small enough to be watched and stopped

    def __init__(self, critics: Sequence[CriticSettings], context: CriticContext) -> None:
        """Stores and validates; raises `SettingsError` for critics that cannot be made."""
        check_critics(critics, context.kind)
        candidate = context.kind.candidate
        self.record_in, self.record_out = candidate, Scored[candidate]  # type: ignore[valid-type]  # known at run time
        # What came in beside an image is what is known of it where a recipe puts no image into words.
        self.uses_annotations = context.kind.reads_annotations
        self.critics = tuple(CRITICS[type(one)](one, context) for one in leaves(critics))

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"version": _SCORE_STAGE_VERSION, "critics": [[critic.name, critic.version] for critic in self.critics]}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with ExitStack() as resources:
            for critic in self.critics:
                resources.enter_context(critic.opened(services))
            yield self

    def process(self, rows: Sequence[Any], evidence: Evidence) -> list[Outcome[Scored[Any]]]:
        by_critic = []
        for critic in self.critics:
            found = critic.score(rows, evidence)
            assert len(found) == len(rows), f"{critic.name} gave {len(found)} scores for {len(rows)} rows"
            by_critic.append(found)
        return [scored(row, self.critics, found) for row, found in zip(rows, zip(*by_critic, strict=True), strict=True)]


def scored(
    candidate: CandidateT, critics: Sequence[Critic[Any]], found: Sequence[Score | NoScore]
) -> Outcome[Scored[CandidateT]]:
    """Kept beside what each of `critics` found; failed for the first that found nothing, with the scores there are."""
    scores = tuple(
        CriticScore(critic.name, critic.version, one.accept_probability, one.reason, one.detail)
        for critic, one in zip(critics, found, strict=True)
        if isinstance(one, Score)
    )
    spend = sum((one.spend for one in found), NO_SPEND)
    record = Scored(candidate, scores)
    for critic, one in zip(critics, found, strict=True):
        if isinstance(one, NoScore):
            detail = f"{critic.name}: {one.detail}" if one.detail else critic.name
            return Kept((), (Failed(one.reason, detail, record),), spend)
    return Kept((record,), (), spend)


def judge_stage(
    critics: Sequence[CriticSettings], candidate: type[CandidateT]
) -> FunctionStage[Scored[CandidateT], Judged[CandidateT]]:
    """The stage from scored candidates of a class to judged ones: thresholds alone."""
    return FunctionStage(
        JUDGED,
        partial(_judge_rows, tuple(critics)),
        record_in=Scored[candidate],  # type: ignore[valid-type]  # known at run time
        record_out=Judged[candidate],  # type: ignore[valid-type]  # likewise
        identity={"version": _JUDGE_STAGE_VERSION, "thresholds": [critic.decision() for critic in critics]},
    )


def _judge_rows(
    critics: Sequence[CriticSettings], rows: Sequence[Scored[CandidateT]], _evidence: Evidence
) -> list[Outcome[Judged[CandidateT]]]:
    return [judged(row.candidate, judgements(critics, row.scores)) for row in rows]


def judged(candidate: CandidateT, made: Sequence[Judgement]) -> Outcome[Judged[CandidateT]]:
    """Kept when every judgement accepts, else dropped for the reason of the first that does not."""
    record = Judged(candidate, tuple(made))
    rejection = next((judgement for judgement in made if not judgement.accepted), None)
    if rejection is None:
        return Kept((record,))
    return Dropped(rejection.reason, f"{rejection.critic} {rejection.accept_probability:.3f}", record)


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


def apply_critic(
    model: Path, *, name: str | None = None, min_accept_probability: float | None = None, rebuild: Rebuild[T]
) -> T:
    """Scores the candidates of a finished run with the trained critic in the folder `model`, beside its others.

    The critic joins the run's recipe, in place of a trained one of the same name; then `rebuild` makes `scored` and
    what follows anew. Raises `SettingsError` for a folder that holds no critic, before the run is touched.
    """
    from critics.trained.folder import read_critic

    folder = model.absolute()
    read_critic(folder)
    values: dict[str, Any] = {"kind": "trained", "model": str(folder), "name": name}
    if min_accept_probability is not None:
        values["min_accept_probability"] = min_accept_probability
    critic = validate(TrainedSettings, values, "critic")
    return rebuild(lambda recipe: with_critic(recipe, critic), SCORED)
