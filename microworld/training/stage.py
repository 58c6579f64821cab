"""A stage of training within a number of minutes: it can be killed at any time and goes on from where it was saved.

The learning rate and the curriculum follow the time that is used up, not the number of steps: the same command then
serves a slow machine and a fast one. What was made is recorded, step by step.

The matrices of transformer layers are taught by Muon, all else by AdamW: after 90 seconds of one core a vision
transformer had a loss of 1.5 on the easiest scenes so. By AdamW alone one that was given the next level after 54
seconds had a loss of 5 by then; each was tried once.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from ostensive.fingerprint import fingerprint
from ostensive.models.batching import BatchSize
from ostensive.models.training import ClockSchedule, OptimizerSettings, ParameterGroup, Training, train

if TYPE_CHECKING:
    import torch
    from torch import nn

BatchT = TypeVar("BatchT")
_CHECKPOINT_EVERY_S = 60.0
_EVALUATE_EVERY = 400  # steps
_BETAS, _WEIGHT_DECAY = (0.9, 0.98), 0.01
_MUON_RATE = 2.5  # of AdamW's
_LOW_RATE = 0.15  # of AdamW's

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageTraining(Generic[BatchT]):
    """What a stage does. `make_batch` runs in a thread of its own; `progress` is the share of the time used up, 0-1."""

    name: str
    model: "nn.Module"  # all that is saved and restored
    make_batch: Callable[[int, float], BatchT]  # (step, progress) to a batch
    loss: "Callable[[BatchT], torch.Tensor]"
    learning_rate: float  # the highest, of AdamW
    made_from: str  # the fingerprint of its data and of the weights that it begins with
    muon: "Sequence[nn.Parameter]" = ()  # matrices of transformer layers
    low_rate: "Sequence[nn.Parameter]" = ()  # by AdamW too, at a lower rate: what knows most already
    accuracy: Callable[[], Mapping[str, float]] | None = None  # logged now and then
    after_step: Callable[[int, float], None] = lambda _steps, _progress: None


@dataclass(frozen=True, slots=True)
class StageSummary:
    """How a stage went. Losses are means over the first and the last twentieth of its steps."""

    name: str
    steps: int
    minutes: float
    first_loss: float
    last_loss: float


def train_stage(stage: StageTraining[BatchT], minutes: float, folder: Path) -> StageSummary:
    """Trains until `minutes` are used up, those of earlier calls on the same folder counted.

    Raises `SettingsError` for a checkpoint of other data, weights or another rate.
    """
    apart = {id(parameter) for parameter in (*stage.muon, *stage.low_rate)}
    others = [one for one in stage.model.parameters() if one.requires_grad and id(one) not in apart]
    groups = (
        ParameterGroup(tuple(others), stage.learning_rate),
        ParameterGroup(tuple(stage.low_rate), _LOW_RATE * stage.learning_rate),
        ParameterGroup(tuple(stage.muon), _MUON_RATE * stage.learning_rate, "muon"),
    )
    training = Training(
        name=stage.name,
        weights=stage.model.state_dict(),
        optimizer=OptimizerSettings(groups, _BETAS, _WEIGHT_DECAY),
        schedule=ClockSchedule(60 * minutes),
        parts=lambda step, progress, _most: [(step, progress)],
        prepare=lambda at: stage.make_batch(*at),
        loss=stage.loss,
        step_seed=lambda step: step,
        size=BatchSize(1, stage.name),
        checkpoint=checkpoint_path(stage.name, folder),
        checkpoint_every_s=_CHECKPOINT_EVERY_S,
        made_from=fingerprint([stage.made_from, stage.learning_rate]),
        after_step=stage.after_step,
        evaluate=stage.accuracy or dict,
        evaluate_every=None if stage.accuracy is None else _EVALUATE_EVERY,
        after_evaluation=lambda evaluations: _log.info("%s: %s", stage.name, rounded(evaluations[-1].metrics)),
        tell=lambda line: _log.info("%s: %s", stage.name, line),
    )
    state = train(training)
    part = max(1, state.step // 20)
    means = [sum(some) / len(some) if some else math.nan for some in (state.losses[:part], state.losses[-part:])]
    return StageSummary(stage.name, state.step, state.seconds / 60, *means)


def checkpoint_path(name: str, folder: Path) -> Path:
    """Where a stage keeps what it has learned."""
    return folder / f"{name}.checkpoint.safetensors"


def linear_weights(*modules: "nn.Module") -> "list[nn.Parameter]":
    """The weight matrices of linear layers in `modules` that are trained."""
    from torch import nn

    found = [part.get_parameter("weight") for one in modules for part in one.modules() if isinstance(part, nn.Linear)]
    return [weight for weight in found if weight.requires_grad]


def rounded(shares: Mapping[str, float]) -> dict[str, float]:
    """Shares as they are logged and recorded."""
    return {name: round(share, 3) for name, share in shares.items()}
