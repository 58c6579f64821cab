"""The stages `scored` and `judged`: every critic scores every candidate; then thresholds say which of them go on.

All scores are kept beside the candidate, also where the first critic finds fault already: a threshold that is moved
later needs them. Stopping at the first that does was given up for that; where a critic is dear, its own settings or a
stage before it have to spare it work. The two are apart because the first may take a GPU a night, and the second takes
seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from critics.combine import judgements
from critics.critic import Critic, CriticMeans, NoScore, Score
from critics.evidence import EvidenceCritic
from critics.feedback import FeedbackCritic
from critics.judge import JudgeCritic
from critics.overlap import OverlapCritic
from critics.rules import RulesCritic
from critics.settings import CriticSettings, leaves, titles
from critics.trained.critic import TrainedCritic
from ostensive.errors import SettingsError
from ostensive.records import NO_SPEND, CriticScore, Judged, Judgement, Qar, Scored
from ostensive.stage import Dropped, Evidence, Failed, Kept, Outcome

CRITICS: dict[str, Callable[[Any, CriticMeans], Critic[Qar]]] = {  # Any: each takes the settings of its kind
    "rules": lambda settings, _means: RulesCritic(settings),
    "overlap": lambda settings, _means: OverlapCritic(settings),
    "feedback": lambda settings, _means: FeedbackCritic(settings),
    "judge": JudgeCritic,
    "evidence": lambda settings, _means: EvidenceCritic(settings),
    "trained": lambda settings, means: TrainedCritic(settings, means.services.images.load),
}
"""Every critic that scores, by its `kind`."""

_SCORE_STAGE_VERSION = 1
_JUDGE_STAGE_VERSION = 2


def make_critics(settings: Sequence[CriticSettings], means: CriticMeans) -> tuple[Critic[Qar], ...]:
    """The critics of a recipe, in its order; nothing is loaded yet. Raises `SettingsError` for a name given twice."""
    names = titles(settings)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(
            f"critics: {names.count(twice)} critics are called {twice!r}; give each a `name` of its own, e.g."
            f" name: {twice}-2"
        )
    return tuple(CRITICS[one.kind](one, means) for one in leaves(settings))


def scored(candidate: Qar, critics: Sequence[Critic[Qar]], found: Sequence[Score | NoScore]) -> Outcome[Scored[Qar]]:
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


def outcome(candidate: Qar, made: Sequence[Judgement]) -> Outcome[Judged[Qar]]:
    """Kept when every judgement accepts, else dropped for the reason of the first that does not."""
    judged = Judged(candidate, tuple(made))
    rejection = next((judgement for judgement in made if not judgement.accepted), None)
    if rejection is None:
        return Kept((judged,))
    return Dropped(rejection.reason, f"{rejection.critic} {rejection.accept_probability:.3f}", judged)


class ScoreStage:
    """`ostensive.stage.Stage` from candidates to scored candidates."""

    def __init__(self, critics: Sequence[CriticSettings], means: CriticMeans) -> None:
        """Stores and validates; raises `SettingsError` for critics that cannot be made."""
        self._critics = make_critics(critics, means)
        self._resources = ExitStack()

    @property
    def name(self) -> str:
        return "scored"

    @property
    def record_in(self) -> type[Qar]:
        return Qar

    @property
    def record_out(self) -> type[Scored[Qar]]:
        return Scored[Qar]

    @property
    def identity(self) -> Mapping[str, Any]:  # Any: JSON values of any depth
        return {"version": _SCORE_STAGE_VERSION, "critics": [[critic.name, critic.version] for critic in self._critics]}

    @property
    def partitions_at_once(self) -> int:
        return 1

    @property
    def images_at_once(self) -> int | None:
        return 64  # large enough batches for a model or a server, small enough to be watched and stopped

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            for critic in self._critics:
                resources.enter_context(critic)
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def process(self, rows: Sequence[Qar], evidence: Evidence) -> list[Outcome[Scored[Qar]]]:
        by_critic = []
        for critic in self._critics:
            found = critic.score(rows, evidence)
            assert len(found) == len(rows), f"{critic.name} gave {len(found)} scores for {len(rows)} rows"
            by_critic.append(found)
        return [
            scored(row, self._critics, found) for row, found in zip(rows, zip(*by_critic, strict=True), strict=True)
        ]


class JudgeStage:
    """`ostensive.stage.Stage` from scored candidates to judged ones: thresholds alone."""

    def __init__(self, critics: Sequence[CriticSettings]) -> None:
        self._critics = tuple(critics)

    @property
    def name(self) -> str:
        return "judged"

    @property
    def record_in(self) -> type[Scored[Qar]]:
        return Scored[Qar]

    @property
    def record_out(self) -> type[Judged[Qar]]:
        return Judged[Qar]

    @property
    def identity(self) -> Mapping[str, Any]:  # Any: JSON values of any depth
        return {"version": _JUDGE_STAGE_VERSION, "thresholds": [critic.decision() for critic in self._critics]}

    @property
    def partitions_at_once(self) -> int:
        return 1

    @property
    def images_at_once(self) -> int | None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def process(self, rows: Sequence[Scored[Qar]], evidence: Evidence) -> list[Outcome[Judged[Qar]]]:  # noqa: ARG002 - of the protocol
        return [outcome(row.candidate, judgements(self._critics, row.scores)) for row in rows]
