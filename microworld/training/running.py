"""A stage of training within a number of minutes: it can be killed at any time and goes on from where it was saved.

The learning rate and the curriculum follow the time that is used up, not the number of steps: the same command then
serves a slow machine and a fast one, and each gets a whole course. The price is that two machines do not make the same
weights; what was made is recorded, step by step.

The matrices of transformer layers are taught by Muon (Jordan et al., 2024), all else by AdamW: after 90 seconds of one
core a vision transformer had a loss of 1.5 on the easiest scenes so. By AdamW alone one that was given the next level
after 54 seconds had a loss of 5 by then; each was tried once.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import nn

B = TypeVar("B")
_AHEAD = 3  # batches made beside the training
_SAVE_EVERY_S = 60.0
_WARM_UP, _LEAST_RATE = 0.02, 0.02  # of the time; of the highest rate
_MAX_GRADIENT = 1.0
_BETAS, _DECAY = (0.9, 0.98), 0.01
_MATRIX_RATE = 2.5  # of Muon, as a multiple of AdamW's
_GENTLE = 0.15

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Course(Generic[B]):
    """What a stage does. `make` runs in a thread of its own; `progress` is the share of the time used up, 0-1."""

    name: str
    learner: "nn.Module"  # all that is saved and restored
    make: Callable[[int, float], B]  # (step, progress) to a batch
    loss: "Callable[[B], torch.Tensor]"
    rate: float  # the highest learning rate, of AdamW
    matrices: "Sequence[nn.Parameter]" = ()  # those of transformer layers, taught by Muon
    at: Callable[[int, float], None] = lambda _step, _progress: None  # called after each step
    gently: "Sequence[nn.Parameter]" = ()  # by AdamW too, at a `_GENTLE` part of the rate: what knows most already


@dataclass(frozen=True, slots=True)
class Ran:
    """How a stage went. Losses are means over the first and the last twentieth of its steps."""

    name: str
    steps: int
    minutes: float
    first_loss: float
    last_loss: float


def run_course(course: Course[B], minutes: float, folder: Path) -> Ran:
    """Trains until `minutes` are used up, those of earlier calls on the same folder counted."""
    import torch

    trained = [parameter for parameter in course.learner.parameters() if parameter.requires_grad]
    optimizers = _make_optimizers(course, trained)
    saved = _restore(course, optimizers, folder)
    steps, before_s, losses = saved.steps, saved.elapsed_s, list(saved.losses)
    started_s = saved_s = time.monotonic()
    batches = _ahead(course, steps, lambda: min(1.0, (before_s + time.monotonic() - started_s) / (60 * minutes)))
    for batch in batches:
        used_s = before_s + time.monotonic() - started_s
        progress = used_s / (60 * minutes)
        if progress >= 1:
            break
        loss = course.loss(batch)
        course.learner.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(trained, _MAX_GRADIENT)
        for one in optimizers.values():
            for group in one.param_groups:
                group["lr"] = group["initial_lr"] * rate_at(progress)
            one.step()
        steps += 1
        losses.append(float(loss.detach()))
        if steps % 50 == 0:
            _log.info("%s: step %d, %.0f %%, loss %.4f", course.name, steps, 100 * progress, _mean(losses[-50:]))
        course.at(steps, progress)
        if time.monotonic() - saved_s > _SAVE_EVERY_S:
            saved_s = time.monotonic()
            _save(course, optimizers, folder, _Saved(steps, before_s + saved_s - started_s, losses))
    batches.close()
    elapsed_s = max(before_s, before_s + time.monotonic() - started_s if steps > saved.steps else before_s)
    _save(course, optimizers, folder, _Saved(steps, elapsed_s, losses))
    part = max(1, len(losses) // 20)
    return Ran(course.name, steps, elapsed_s / 60, _mean(losses[:part]), _mean(losses[-part:]))


def _make_optimizers(course: Course[B], trained: "Sequence[nn.Parameter]") -> "dict[str, torch.optim.Optimizer]":
    import torch

    matrices, gently = ({id(one) for one in some} for some in (course.matrices, course.gently))
    groups = [{"params": [one for one in trained if id(one) not in matrices | gently], "lr": course.rate}]
    if course.gently:
        groups.append({"params": list(course.gently), "lr": _GENTLE * course.rate})
    made: dict[str, torch.optim.Optimizer] = {"adamw": torch.optim.AdamW(groups, betas=_BETAS, weight_decay=_DECAY)}
    if course.matrices:
        rate = _MATRIX_RATE * course.rate
        made["muon"] = torch.optim.Muon(
            list(course.matrices), lr=rate, weight_decay=_DECAY, adjust_lr_fn="match_rms_adamw"
        )
    for one in made.values():
        for group in one.param_groups:
            group["initial_lr"] = group["lr"]
    return made


def matrices_of(*modules: "nn.Module") -> "list[nn.Parameter]":
    """The weight matrices of linear layers in `modules`."""
    from torch import nn

    found = [part.get_parameter("weight") for one in modules for part in one.modules() if isinstance(part, nn.Linear)]
    return [weight for weight in found if weight.requires_grad]


def rate_at(progress: float) -> float:
    """The learning rate at a share of the time, as a share of the highest: a short rise, then a half cosine down."""
    if progress < _WARM_UP:
        return max(progress / _WARM_UP, 0.02)
    down = (progress - _WARM_UP) / (1 - _WARM_UP)
    return _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(down, 1.0)))


def _ahead(course: Course[B], first: int, progress: Callable[[], float]) -> Generator[B, None, None]:
    """Batches from step `first` on, a few of them made ahead."""
    with ThreadPoolExecutor(1) as worker:
        waiting: list[Future[B]] = []
        step = first
        try:
            while True:
                while len(waiting) < _AHEAD:
                    waiting.append(worker.submit(course.make, step, progress()))
                    step += 1
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


@dataclass(frozen=True, slots=True)
class _Saved:
    steps: int = 0
    elapsed_s: float = 0.0
    losses: list[float] | tuple[float, ...] = ()


def _save(course: Course[B], optimizers: "Mapping[str, torch.optim.Optimizer]", folder: Path, state: _Saved) -> None:
    """Weights and moments in one file, which takes the place of the last one when it is complete."""
    from safetensors.torch import save_file

    from ostensive.files import replacing

    tensors = {f"weights.{name}": _copied(tensor) for name, tensor in course.learner.state_dict().items()}
    for kind, optimizer in optimizers.items():
        for place, kept in optimizer.state_dict()["state"].items():
            tensors |= {f"{kind}.{place}.{name}": _copied(tensor) for name, tensor in kept.items()}
    with replacing(_path(course.name, folder)) as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(asdict(state))})


def _copied(tensor: "torch.Tensor") -> "torch.Tensor":
    """A copy in the plain order of memory, which safetensors asks for; convolutions may be kept channels last."""
    import torch

    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _restore(course: Course[B], optimizers: "Mapping[str, torch.optim.Optimizer]", folder: Path) -> _Saved:
    from safetensors import safe_open

    path = _path(course.name, folder)
    if not path.exists():
        return _Saved()
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["state"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    course.learner.load_state_dict(_under("weights.", tensors))
    for kind, optimizer in optimizers.items():
        moments: dict[int, dict[str, Any]] = {}  # Any: tensors, as torch wants them
        for name, tensor in _under(f"{kind}.", tensors).items():
            place, _, key = name.partition(".")
            moments.setdefault(int(place), {})[key] = tensor
        if moments:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    _log.info("%s: goes on at step %d", course.name, state["steps"])
    return _Saved(**state)


def _under(prefix: str, tensors: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name}.checkpoint.safetensors"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
