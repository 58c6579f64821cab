"""The stage `judged`: every critic judges every candidate, and those that all accept go on.

All judgements are kept beside the candidate, also those after the first that rejects: a threshold that is moved later
needs them. Stopping at the first rejection was given up; where a critic is dear, a stage can stand before it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from critics.critic import Critic
from critics.rules import RulesCritic
from critics.settings import CriticSettings
from ostensive.records import Judged, Judgement, Qar
from ostensive.stage import Dropped, Evidence, Kept, Outcome

CRITICS: dict[str, Callable[[Any], Critic[Qar]]] = {"rules": RulesCritic}  # Any: each takes the settings of its kind
"""Every critic by its `kind`."""

_STAGE_VERSION = 1


def make_critics(settings: Sequence[CriticSettings]) -> tuple[Critic[Qar], ...]:
    """The critics of a recipe, in its order; nothing is loaded yet."""
    return tuple(CRITICS[one.kind](one) for one in settings)


def outcome(candidate: Qar, judgements: Sequence[Judgement]) -> Outcome[Judged[Qar]]:
    """Kept when every judgement accepts, else dropped for the reason of the first that does not."""
    judged = Judged(candidate, tuple(judgements))
    rejection = next((judgement for judgement in judgements if not judgement.accepted), None)
    if rejection is None:
        return Kept((judged,))
    return Dropped(rejection.reason, f"{rejection.critic} {rejection.accept_probability:.3f}", judged)


class JudgeStage:
    """`ostensive.stage.Stage` from candidates to judged candidates."""

    def __init__(self, critics: Sequence[CriticSettings]) -> None:
        self._critics = make_critics(critics)
        self._resources = ExitStack()

    @property
    def name(self) -> str:
        return "judged"

    @property
    def record_in(self) -> type[Qar]:
        return Qar

    @property
    def record_out(self) -> type[Judged[Qar]]:
        return Judged[Qar]

    @property
    def identity(self) -> Mapping[str, Any]:  # Any: JSON values of any depth
        return {"version": _STAGE_VERSION, "critics": [[critic.name, critic.version] for critic in self._critics]}

    @property
    def partitions_at_once(self) -> int:
        return 1

    @property
    def images_at_once(self) -> int | None:
        return None

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

    def process(self, rows: Sequence[Qar], evidence: Evidence) -> list[Outcome[Judged[Qar]]]:
        by_critic = [critic.judge(rows, evidence) for critic in self._critics]
        return [outcome(row, judgements) for row, judgements in zip(rows, zip(*by_critic, strict=True), strict=True)]
