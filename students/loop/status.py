"""How far a loop has come, read from its folder alone; safe to ask while it is at work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.user_paths import PathLike, shown_path, user_path
from students.loop.folder import LoopFolder
from students.loop.records import LoopPlan, RoundRecord, ending_of


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """A loop and its rounds."""

    path: Path
    plan: LoopPlan
    outcome: str  # "done", "unfinished", or why the last command stopped
    message: str
    ending: str | None  # why there is nothing more to do
    rounds: tuple[RoundRecord, ...]
    figures: Mapping[int | None, Sequence[Mapping[str, Any]]]
    """What each round's student, and None for the base, came to on the benchmark, of those that were evaluated."""
    to_evaluate: tuple[int | None, ...]
    """Those that are not yet."""
    process: Mapping[str, Any] | None = None  # that is at work, see `ostensive.run.processes`; None where none is noted

    @property
    def model(self) -> Path | None:
        """The merged model of the last student; None where there is none yet."""
        trained = [one.number for one in self.rounds if one.trained is not None]
        return LoopFolder(self.path).model_path(trained[-1]) if trained else None

    @property
    def at(self) -> tuple[int | None, Literal["build", "train", "evaluate"]] | None:
        """The round, or None for the base, and what is done or to be done with it; None at the end."""
        if self.to_evaluate:
            return self.to_evaluate[0], "evaluate"
        if self.ending is not None:
            return None
        if not self.rounds or self.rounds[-1].trained is not None:
            return len(self.rounds), "build"
        return self.rounds[-1].number, "build" if self.rounds[-1].built is None else "train"


def loop_status(out: PathLike) -> LoopStatus:
    """The state of the loop in `out`; raises `SettingsError` when there is none."""
    folder = LoopFolder(user_path(out, "loop"))
    plan = folder.read_plan()
    if plan is None:
        raise SettingsError(
            f"{shown_path(folder.path)}: there is no loop here; give the folder that was --out of `ostensive loop`"
        )
    rounds, due = folder.rounds(), tuple(folder.to_evaluate(plan))
    figures = {number: folder.figures(number) for number in (None, *range(len(rounds)))}
    return LoopStatus(
        folder.path,
        plan,
        *folder.read_state(),
        ending=None if due else ending_of(plan, rounds),
        rounds=tuple(rounds),
        figures={number: found for number, found in figures.items() if found is not None},
        to_evaluate=due,
        process=folder.read_process(),
    )
