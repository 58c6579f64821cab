"""The loop of a training: steps, evaluations, checkpoints, and going on after a kill as if there had been none.

What a batch is, its loss, what is measured and when to stop is handed in. All that is drawn follows from the step, so
that a training by steps that was killed ends with the very weights of one that was not. One by the clock gets a whole
course of learning rates on a slow machine and on a fast one; two machines do not make the same weights then.

`transformers.Trainer` has no course by the clock, no Muon beside AdamW and no smaller parts when memory is full, and it
goes on silently with other data or another learning rate.
"""

import itertools
import logging
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol, TypeVar

from ostensive.errors import Interrupted, OstensiveError
from ostensive.models.batching import BatchSize
from ostensive.models.checkpoints import Evaluation, TrainingState, load_checkpoint, save_checkpoint
from ostensive.models.devices import give_back_memory, is_out_of_memory

if TYPE_CHECKING:
    import torch
    from torch import nn

PartT = TypeVar("PartT")
BatchT = TypeVar("BatchT")
_AHEAD: Final = 3  # batches prepared beside the one that is worked on
_LOG_EVERY: Final = 50  # steps

_log = logging.getLogger(__name__)


class TrainingDivergedError(OstensiveError):
    """The loss of a training is no number any more."""


class Schedule(Protocol):
    """How long a training takes, and its learning rate on the way; `seconds` are those that it has taken so far."""

    def progress(self, step: int, seconds: float) -> float:
        """The share of the training that is over before a step; at 1 it ends."""
        ...

    def rate(self, step: int, seconds: float) -> float:
        """The learning rate of a step as a share of the highest: a straight rise, then half a cosine down."""
        ...


@dataclass(frozen=True, slots=True)
class StepSchedule:
    """A training of so many steps, whose rate falls to nothing."""

    steps: int
    warmup_share: float

    def progress(self, step: int, seconds: float) -> float:  # noqa: ARG002 - of the protocol
        return step / self.steps

    def rate(self, step: int, seconds: float) -> float:  # noqa: ARG002 - of the protocol
        warmup = self.warmup_share * self.steps
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, self.steps - warmup)))


@dataclass(frozen=True, slots=True)
class ClockSchedule:
    """A training of so many seconds, whose rate begins and ends at `min_rate`."""

    seconds: float
    warmup_share: float = 0.02
    min_rate: float = 0.02

    def progress(self, step: int, seconds: float) -> float:  # noqa: ARG002 - of the protocol
        return seconds / self.seconds

    def rate(self, step: int, seconds: float) -> float:
        progress = self.progress(step, seconds)
        if progress < self.warmup_share:
            return max(progress / self.warmup_share, self.min_rate)
        down = min(1.0, (progress - self.warmup_share) / (1 - self.warmup_share))
        return self.min_rate + (1 - self.min_rate) * 0.5 * (1 + math.cos(math.pi * down))


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that learn alike. Muon (Jordan et al., 2024) is for matrices."""

    parameters: "tuple[nn.Parameter, ...]"
    learning_rate: float  # the highest
    optimizer: Literal["adamw", "muon"] = "adamw"


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """How the groups learn, all of which are clipped together."""

    groups: tuple[ParameterGroup, ...]
    betas: tuple[float, float]  # of AdamW
    weight_decay: float
    max_gradient_norm: float = 1.0


@dataclass(frozen=True, slots=True)
class Training(Generic[PartT, BatchT]):
    """What is trained and how. A step's gradient is added up over its parts, whose losses are shares of the step's."""

    name: str
    weights: "Mapping[str, torch.Tensor]"  # all that is kept in checkpoints, as the model holds it
    optimizer: OptimizerSettings
    schedule: Schedule
    parts: Callable[[int, float, int], Sequence[PartT]]  # (step, progress, most rows) to what it is made of
    prepare: Callable[[PartT], BatchT]  # in a thread of its own, some parts ahead
    loss: "Callable[[BatchT], torch.Tensor]"
    step_seed: Callable[[int], int]  # of torch's generators at a step
    size: BatchSize  # of a part; halved when memory runs out
    checkpoint: Path
    checkpoint_every_s: float
    made_from: str  # the fingerprint of all that the outcome depends on
    device: str = "cpu"
    after_step: Callable[[int, float], None] = lambda _steps, _progress: None
    evaluate: Callable[[], Mapping[str, float]] = dict
    evaluate_every: int | None = None  # steps
    after_evaluation: Callable[[Sequence[Evaluation]], None] = lambda _evaluations: None
    is_over: Callable[[Sequence[Evaluation]], bool] = lambda _evaluations: False
    should_stop: Callable[[], bool] = lambda: False  # asked after each step but the last; a checkpoint is written first
    tell: Callable[[str], None] = _log.info


def use_eager_attention(model: Any) -> None:  # Any: transformers types its models in part
    """Plain attention, for training on a CPU, where the backward pass of the default one is slow.

    A tiny model took 16 ms a row in bfloat16 so, and 27 with the default; in float32 both took 30.
    """
    model.set_attn_implementation("eager")


def train(training: Training[PartT, BatchT]) -> TrainingState:
    """Trains until the schedule or `is_over` says that it is enough, from the checkpoint on where there is one.

    Raises `TrainingDivergedError`, `Interrupted` when it should stop, and `SettingsError` for a checkpoint that was
    made from something else.
    """
    import torch

    devices = [torch.device(training.device)] if training.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        return _Trainer(training).run()


class _Trainer(Generic[PartT, BatchT]):
    def __init__(self, training: Training[PartT, BatchT]) -> None:
        self._training = training
        self._parameters = [parameter for group in training.optimizer.groups for parameter in group.parameters]
        self._optimizers = _make_optimizers(training.optimizer)
        state = load_checkpoint(training.checkpoint, training.made_from, training.weights, self._optimizers)
        if state.step:
            training.tell(f"goes on at step {state.step + 1}")
        self._step, self._losses, self._evaluations = state.step, list(state.losses), list(state.evaluations)
        self._saved, self._saved_s = state, time.monotonic()
        self._offset_s = state.seconds - self._saved_s

    def run(self) -> TrainingState:
        training = self._training
        every = training.evaluate_every
        while self._progress < 1 and not training.is_over(self._evaluations):
            stop = sys.maxsize if every is None else (self._step // every + 1) * every
            self._take_steps(stop)
            if self._step == stop:
                self._evaluate()
                self._save_if_due()
        if self._step != self._saved.step:
            self._save()
        return self._saved

    @property
    def _seconds(self) -> float:
        return self._offset_s + time.monotonic()

    @property
    def _progress(self) -> float:
        return self._training.schedule.progress(self._step, self._seconds)

    def _take_steps(self, stop: int) -> None:
        """Steps up to the one before `stop`, or as many as there is time for."""
        size = self._training.size
        while True:  # once, unless memory runs out: then from the same step on in smaller parts
            batches = _prepared(self._parts(self._step, stop), self._prepare)
            try:
                while self._step < stop and (progress := self._progress) < 1 and self._take_step(batches):
                    self._training.after_step(self._step, progress)
                    if self._step < stop:
                        self._save_if_due()
                return
            except Exception as error:
                if not is_out_of_memory(error) or size.rows == 1:
                    raise
                size.halve(size.rows)
            finally:
                batches.close()
            self._zero_gradients()
            give_back_memory()

    def _parts(self, first: int, stop: int) -> Iterator[tuple[PartT, bool]]:
        """The parts of the steps, and of each whether it is the last of its step."""
        for step in range(first, stop):
            progress = self._training.schedule.progress(step, self._seconds)
            if progress >= 1:
                return
            parts = self._training.parts(step, progress, self._training.size.rows)
            yield from ((part, number == len(parts)) for number, part in enumerate(parts, 1))

    def _prepare(self, item: tuple[PartT, bool]) -> tuple[BatchT, bool]:
        part, is_last = item
        return self._training.prepare(part), is_last

    def _take_step(self, batches: Iterator[tuple[BatchT, bool]]) -> bool:
        """Whether there was a step left: by the clock, time may end between the last look at it and the next batch."""
        import torch

        training, step = self._training, self._step
        rate = training.schedule.rate(step, self._seconds)
        # Drawn anew for each step, so that it does not matter what was drawn before a kill.
        torch.manual_seed(training.step_seed(step))
        total, is_last = 0.0, False
        while not is_last:
            prepared = next(batches, None)
            if prepared is None:
                return False
            batch, is_last = prepared
            loss = training.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total += float(loss.detach())
        if not math.isfinite(total):
            raise TrainingDivergedError(
                f"{training.name}: the loss of step {step + 1} is {total}; set a lower learning rate"
            )
        torch.nn.utils.clip_grad_norm_(self._parameters, training.optimizer.max_gradient_norm)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * rate
            optimizer.step()
        self._zero_gradients()
        self._step += 1
        self._losses.append(total)
        if self._step % _LOG_EVERY == 0:
            mean = sum(self._losses[-_LOG_EVERY:]) / _LOG_EVERY
            _log.info("%s: step %d, %.0f %%, loss %.4f", training.name, self._step, 100 * self._progress, mean)
        return True

    def _zero_gradients(self) -> None:
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def _evaluate(self) -> None:
        last = self._evaluations[-1].step if self._evaluations else 0
        losses, before_s = self._losses[last:], sum(one.seconds for one in self._evaluations)
        metrics = self._training.evaluate()
        mean = sum(losses) / len(losses)
        self._evaluations.append(Evaluation(self._step, mean, metrics, self._seconds - before_s))
        self._training.after_evaluation(self._evaluations)

    def _save_if_due(self) -> None:
        stops = self._progress < 1 and self._training.should_stop()
        if stops or time.monotonic() - self._saved_s >= self._training.checkpoint_every_s:
            self._save()
        if stops:
            raise Interrupted

    def _save(self) -> None:
        training = self._training
        self._saved = TrainingState(self._step, self._seconds, tuple(self._losses), tuple(self._evaluations))
        save_checkpoint(training.checkpoint, training.made_from, self._saved, training.weights, self._optimizers)
        self._saved_s = time.monotonic()


def _make_optimizers(settings: OptimizerSettings) -> "list[torch.optim.Optimizer]":
    """One for the groups of each kind; `initial_lr` of a group is its highest rate, as torch's schedulers have it."""
    import torch

    def groups(kind: str) -> list[dict[str, object]]:
        return [
            {"params": list(group.parameters), "lr": group.learning_rate, "initial_lr": group.learning_rate}
            for group in settings.groups
            if group.optimizer == kind and group.parameters
        ]

    made: list[torch.optim.Optimizer] = []
    if adamw := groups("adamw"):
        made.append(torch.optim.AdamW(adamw, betas=settings.betas, weight_decay=settings.weight_decay))
    if muon := groups("muon"):
        decay = settings.weight_decay
        made.append(torch.optim.Muon(muon, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return made


def _prepared(parts: Iterator[PartT], prepare: Callable[[PartT], BatchT]) -> Generator[BatchT, None, None]:
    """What `prepare` makes of the parts, in order, some of them ahead of those that are asked for."""
    with ThreadPoolExecutor(1, thread_name_prefix="prepare") as pool:
        waiting: deque[Future[BatchT]] = deque()
        try:
            while True:
                waiting.extend(pool.submit(prepare, part) for part in itertools.islice(parts, _AHEAD - len(waiting)))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
