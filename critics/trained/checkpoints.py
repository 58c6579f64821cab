"""The state of a training on disk: weights and moments in safetensors, counters in their metadata, there whole or not.

A checkpoint carries the fingerprint of what it was made from and is refused under another. The best weights so far are
a file of their own, written when they are found.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ostensive.errors import SettingsError
from ostensive.files import replacing

if TYPE_CHECKING:
    import torch

CHECKPOINT: Final = "checkpoint.safetensors"
BEST: Final = "best.safetensors"
_KEY: Final = "ostensive"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How well a round tells accepted from rejected rows of the held-out part."""

    average_precision: float  # by order alone
    cross_entropy: float  # of the accept head, with the temperature that suits it best


@dataclass(frozen=True, slots=True)
class Round:
    """How one round through the labels went."""

    epoch: int
    train_loss: float  # mean over its steps
    held_out: HeldOut
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training is: the next step is number `step` of round `epoch`, both from 0."""

    epoch: int = 0
    step: int = 0
    losses: tuple[float, ...] = ()  # of the steps of this round so far
    seconds: float = 0.0  # of this round so far
    rounds: tuple[Round, ...] = ()

    @property
    def best(self) -> Round | None:
        """The round with the best order of the held-out rows; of several, the surest of it, and of those the first.

        A few held-out rows are soon in perfect order, and a critic that still learns would be taken too early.
        """
        return max(
            self.rounds,
            key=lambda one: (one.held_out.average_precision, -one.held_out.cross_entropy, -one.epoch),
            default=None,
        )


def save_checkpoint(
    folder: Path,
    made_from: str,
    progress: Progress,
    weights: "Mapping[str, torch.Tensor]",
    optimizer: "torch.optim.Optimizer",
) -> None:
    """Replaces the checkpoint in `folder`; raises `StorageError`."""
    from safetensors.torch import save_file

    tensors = {f"weights/{name}": tensor.detach().contiguous() for name, tensor in weights.items()}
    for place, kept in optimizer.state_dict()["state"].items():
        tensors |= {f"moments/{place}/{name}": tensor.contiguous() for name, tensor in kept.items()}
    metadata = {_KEY: json.dumps({"made_from": made_from, "progress": asdict(progress)})}
    with replacing(folder / CHECKPOINT) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_checkpoint(
    folder: Path, made_from: str, optimizer: "torch.optim.Optimizer"
) -> "tuple[Progress, dict[str, torch.Tensor]] | None":
    """The progress and the weights of the checkpoint in `folder`, moments put into `optimizer`; None if there is none.

    Raises `SettingsError` for one that was made from other settings, labels or weights.
    """
    from safetensors import safe_open

    path = folder / CHECKPOINT
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()[_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    if state["made_from"] != made_from:
        raise SettingsError(
            f"{folder.parent} holds an unfinished training with other settings, labels or weights; go on with those,"
            " choose another --out, or remove the folder"
        )
    moments: dict[int, dict[str, Any]] = {}  # Any: tensors, as torch wants them
    for name, tensor in _under("moments/", tensors).items():
        place, _, key = name.partition("/")
        moments.setdefault(int(place), {})[key] = tensor
    if moments:
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    values = state["progress"]
    rounds = tuple(Round(**{**one, "held_out": HeldOut(**one["held_out"])}) for one in values.pop("rounds"))
    return Progress(**{**values, "losses": tuple(values["losses"]), "rounds": rounds}), _under("weights/", tensors)


def save_best(folder: Path, weights: "Mapping[str, torch.Tensor]") -> None:
    """Replaces the best weights in `folder`; raises `StorageError`."""
    from safetensors.torch import save_file

    with replacing(folder / BEST) as temporary:
        save_file({name: tensor.detach().contiguous() for name, tensor in weights.items()}, temporary)


def load_best(folder: Path) -> "dict[str, torch.Tensor]":
    """The best weights in `folder`."""
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = load_file(folder / BEST)
    return tensors


def _under(prefix: str, tensors: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
