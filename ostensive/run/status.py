"""`ostensive status`: what is done, dropped and failed in a run, what it cost, and how long it will take."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # Any: JSON values

from ostensive.errors import StorageError
from ostensive.records import NO_SPEND, Spend
from ostensive.run import partitions
from ostensive.run.folder import RunFolder, existing_run
from ostensive.run.partitions import PartitionInfo
from ostensive.run.summary import StageSummary, publishing_summary


@dataclass(frozen=True, slots=True)
class StageStatus:
    """A stage's counts, and how many of the run's partitions it has finished."""

    summary: StageSummary
    partitions_done: int


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The state of a run, read from its folder alone; safe to ask while it is at work."""

    outcome: str  # "done", "unfinished", or why it stopped
    message: str
    images: int
    partitions: int
    stages: tuple[StageStatus, ...]
    seconds_left: float | None  # None when nothing tells
    notes: tuple[str, ...] = ()  # what its last end had to say, such as a threshold that keeps nothing

    @property
    def spend(self) -> Spend:
        """What the answers that the rows are made from cost."""
        return sum((stage.summary.spend for stage in self.stages), NO_SPEND)


@dataclass(slots=True)
class PartitionReader:
    """Reads what partitions say of themselves while a run is at work, each once: one that is there never changes."""

    _known: dict[str, dict[Path, PartitionInfo]] = field(default_factory=dict)  # by stage

    def infos(self, run: RunFolder, stage: str) -> list[PartitionInfo]:
        """The finished partitions of a stage, by index; raises `StorageError` for a file that is none."""
        before, found = self._known.get(stage, {}), dict[Path, PartitionInfo]()
        for path in run.partition_paths(stage):
            try:
                found[path] = before[path] if path in before else partitions.read_info(path)
            except StorageError:
                if path.exists():
                    raise
                # Another took its place since the folder was listed.
        self._known[stage] = found
        return list(found.values())

    def known(self, stage: str) -> tuple[PartitionInfo, ...]:
        """Those that were read last."""
        return tuple(self._known.get(stage, {}).values())


def status(out: Path | str) -> RunStatus:
    """The state of the run in `out`; raises `SettingsError` when there is none."""
    run = existing_run(out)
    return status_of(run, run.read_state(), run.read_log(), PartitionReader())


def status_of(run: RunFolder, state: dict[str, Any], log: list[dict[str, Any]], reader: PartitionReader) -> RunStatus:
    """The state of a run from what its folder says."""
    stages = []
    for name in state.get("stages", []):
        infos = reader.infos(run, name)
        summary = sum((info.summary for info in infos), StageSummary(name, 0, 0))
        stages.append(StageStatus(summary, len(infos)))
    planned = state.get("partitions", 0)
    lost, taken_down = state.get("unpublished", {}), state.get("taken_down", 0)
    if lost or taken_down:  # accepted rows that the corpus lacks, by reason
        stages.append(StageStatus(publishing_summary(state["published"], lost, taken_down), planned))
    left = None if state.get("outcome") == "done" else seconds_left(log, stages, planned)
    return RunStatus(
        state.get("outcome", "unfinished"),
        state.get("message", ""),
        state.get("images", 0),
        planned,
        tuple(stages),
        left,
        tuple(state.get("notes", ())),
    )


def seconds_left(log: list[dict[str, Any]], stages: list[StageStatus], partitions: int) -> float | None:
    """Time for the partitions that are missing at the pace since the last start, for the slowest stage.

    Stages overlap, so that the slowest alone decides. A stage that has finished nothing since then tells nothing.
    """
    starts = [position for position, event in enumerate(log) if event.get("event") == "start"]
    if not starts:
        return None
    events = log[starts[-1] :]
    began = float(str(events[0]["t"]))
    longest = None
    for stage in stages:
        finished = [float(str(e["t"])) for e in events if e.get("stage") == stage.summary.name]
        missing = partitions - stage.partitions_done
        if not missing or not finished:
            continue
        left = (max(finished) - began) / len(finished) * missing
        longest = left if longest is None else max(longest, left)
    return longest
