"""What is to be trained and for how long, and what was trained so far.

A stage that ends when its time is used up counts the time of earlier calls: what later stages began with must not grow
under them.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args  # Any: JSON values

from microworld.training.pool import MAX_SCENES
from microworld.training.stage import StageTraining, train_stage

BatchT = TypeVar("BatchT")
SCRIPT_VERSION = "4"
Stage: TypeAlias = Literal["pool", "vision", "instructions", "regions", "clip", "blip2", "lessons", "teacher", "saving"]
STAGES: tuple[Stage, ...] = get_args(Stage)
MINUTES: Mapping[Stage, float] = {
    "pool": 8.0,
    "vision": 22.0,
    "instructions": 72.0,
    "regions": 50.0,
    "clip": 15.0,
    "blip2": 20.0,
    "lessons": 12.0,
    "teacher": 35.0,
}
"""How long each stage takes by default, on one core."""
SNAPSHOTS = (0.03, 0.06, 0.11, 0.18, 0.29)
"""Shares of the course of `instructions` after which the model is kept, to choose the base model from."""
BASE_AT = 0.06
MEASURED_SCENES = 400


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What to train, where and for how long. `base_at` is one of `SNAPSHOTS`."""

    out: Path
    stages: tuple[Stage, ...] = STAGES
    minutes: Mapping[Stage, float] = field(default_factory=lambda: dict(MINUTES))
    seed: int = 0
    max_scenes: int = MAX_SCENES
    base_at: float = BASE_AT
    measured_scenes: int = MEASURED_SCENES
    compiled: bool = False  # needs a C++ compiler
    threads: int | None = None  # None leaves it to torch

    @property
    def work(self) -> Path:
        """Where pools and checkpoints lie; may be deleted when all is saved."""
        return self.out / "work"


def read_records(options: TrainOptions) -> dict[str, Any]:
    """What `training.json` will hold of the stages that are done, stage by stage."""
    path = options.work / "records.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


class StageClock:
    """The minutes of a stage that ends when they are used up."""

    def __init__(self, options: TrainOptions, stage: Stage) -> None:
        self._most = options.minutes[stage]
        self._before = float(read_records(options).get(stage, {}).get("minutes", 0.0))
        self._started_s = time.monotonic()

    @property
    def minutes(self) -> float:
        """How many are used up."""
        return self._before + (time.monotonic() - self._started_s) / 60

    def is_time_left(self) -> bool:
        """Whether there are any left."""
        return self.minutes <= self._most


def trained(options: TrainOptions, name: Stage, stage: StageTraining[BatchT]) -> dict[str, Any]:
    """Carries a stage out; returns its record."""
    summary = asdict(train_stage(stage, options.minutes[name], options.work))
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in summary.items()}
