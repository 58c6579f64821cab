"""How far a loop has come, read from its folder alone; safe to ask while it is at work."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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

    @property
    def model(self) -> Path | None:
        """The merged model of the last student; None where there is none yet."""
        trained = [one.number for one in self.rounds if one.trained is not None]
        return LoopFolder(self.path).model_path(trained[-1]) if trained else None

    @property
    def at(self) -> tuple[int, Literal["build", "train"]] | None:
        """The round, and what is done or to be done in it; None at the end."""
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
    rounds = folder.rounds()
    return LoopStatus(folder.path, plan, *folder.read_state(), ending_of(plan, rounds), tuple(rounds))
