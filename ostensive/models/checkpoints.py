"""The state of a training on disk: weights and moments in safetensors, counters in their metadata, there whole or not.

A checkpoint carries the fingerprint of what it was made from and is refused under another: `transformers.Trainer` goes
on silently with other data or another learning rate.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ostensive.errors import SettingsError
from ostensive.files import replacing
from ostensive.json_text import parse_json

if TYPE_CHECKING:
    import torch

_KEY: Final = "ostensive"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured after a number of steps."""

    step: int
    train_loss: float  # mean over the steps since the evaluation before
    metrics: Mapping[str, float]
    seconds: float  # since the evaluation before, its own included


@dataclass(frozen=True, slots=True)
class TrainingState:
    """How far a training has come, all its processes together."""

    step: int = 0  # steps taken
    seconds: float = 0.0
    losses: tuple[float, ...] = ()  # of each step
    evaluations: tuple[Evaluation, ...] = ()


def save_checkpoint(
    path: Path,
    made_from: str,
    state: TrainingState,
    weights: "Mapping[str, torch.Tensor]",
    optimizers: "Sequence[torch.optim.Optimizer]",
) -> None:
    """Replaces the checkpoint at `path`; raises `StorageError`."""
    tensors = {f"weights.{name}": tensor for name, tensor in weights.items()}
    for number, optimizer in enumerate(optimizers):
        for place, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"moments.{number}.{place}.{name}": tensor for name, tensor in moments.items()}
    save_weights(path, tensors, {_KEY: json.dumps({"made_from": made_from, "state": asdict(state)})})


def load_checkpoint(
    path: Path,
    made_from: str,
    weights: "Mapping[str, torch.Tensor]",
    optimizers: "Sequence[torch.optim.Optimizer]",
) -> TrainingState:
    """The state of the checkpoint at `path`, its weights and moments put in place; that of the start if there is none.

    Raises `SettingsError` for a checkpoint that was made from something else.
    """
    from safetensors import safe_open

    if not path.exists():
        return TrainingState()
    with safe_open(path, "pt") as file:
        kept = parse_json(file.metadata()[_KEY], strict=False)
        if kept["made_from"] != made_from:
            raise SettingsError(
                f"{path} is of a training with other settings, data or weights; go on with those, choose another"
                " folder, or remove the file to begin anew"
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    put_weights(weights, _under("weights.", tensors))
    for number, optimizer in enumerate(optimizers):
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _under(f"moments.{number}.", tensors).items():
            place, _, key = name.partition(".")
            moments.setdefault(int(place), {})[key] = tensor
        if moments:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    values: dict[str, Any] = kept["state"]  # Any: JSON values
    evaluations = tuple(Evaluation(**one) for one in values.pop("evaluations"))
    return TrainingState(**{**values, "losses": tuple(values["losses"]), "evaluations": evaluations})


def checkpoint_weights(path: Path, part: str) -> "dict[str, torch.Tensor]":
    """The weights in the checkpoint at `path` whose names begin with `part` and a dot, by the rest of their names."""
    return _under(f"weights.{part}.", load_weights(path))


def save_weights(path: Path, weights: "Mapping[str, torch.Tensor]", metadata: dict[str, str] | None = None) -> None:
    """Replaces the file at `path`; raises `StorageError`."""
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    places: set[tuple[object, int]] = set()
    for name, tensor in weights.items():
        # safetensors asks for the plain order of memory (convolutions may be kept channels last), and each name for
        # memory of its own (tied embeddings share theirs).
        plain = tensor.detach().contiguous()
        place = (plain.device, plain.untyped_storage().data_ptr())
        tensors[name] = plain.clone() if place in places else plain
        places.add(place)
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_weights(path: Path) -> "dict[str, torch.Tensor]":
    """The tensors in the file at `path`."""
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def put_weights(weights: "Mapping[str, torch.Tensor]", values: "Mapping[str, torch.Tensor]") -> None:
    """Copies `values` into `weights`, which have the same names."""
    import torch

    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(values[name])


def _under(prefix: str, tensors: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
