"""The three heads of a critic, what they say, and their loss, each against its own label.

Accept is a linear layer to two classes, 1 being accept; the ratings are small networks to a number on the scale of the
labels, 0 to 3 (LSKD, section on the critic; sizes from its repository). Each head reads every place of a state, and
what it says there is averaged. The published code trains the rationale head on the QA label; here targets are named
fields, and a test sees which head learns from which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from critics.labels import Label
from critics.trained.settings import HeadWeights

if TYPE_CHECKING:
    import torch
    from torch import nn

ACCEPT, QA, RATIONALE = "accept", "qa", "rationale"


class Said(NamedTuple):
    """What the heads say of a batch; a tuple because torch hands tensors on in them."""

    accept: "torch.Tensor"  # (rows, 2) float32 logits; class 1 is accept
    qa: "torch.Tensor"  # (rows,) float32, on the scale of the labels
    rationale: "torch.Tensor"  # (rows,) float32, likewise


@dataclass(frozen=True, slots=True)
class Balance:
    """What a triple of each class counts in the accept head's loss."""

    rejected: float = 1.0
    accepted: float = 1.0

    def of(self, label: Label) -> float:
        """The weight of a label's class."""
        return self.accepted if label.accepted else self.rejected


@dataclass(frozen=True, slots=True)
class Whole:
    """What the terms of a step are divided by, so that a batch in parts has the loss of the batch."""

    class_weight: float
    rows: int


def make_heads(width: int, seed: int, accept: "tuple[torch.Tensor, torch.Tensor] | None") -> "nn.ModuleDict":
    """Heads in float32, by name; `accept` are the weights and the bias that the first begins with, else random."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heads = nn.ModuleDict(
            {
                ACCEPT: nn.Linear(width, 2),
                QA: nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)),
                RATIONALE: nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)),
            }
        )
    if accept is not None:
        heads[ACCEPT].load_state_dict({"weight": accept[0], "bias": accept[1]})
    return heads


def say(heads: "nn.ModuleDict", states: "torch.Tensor") -> Said:
    """What the heads make of `states`, `(rows, places, width)`."""
    states = states.float()
    return Said(
        heads[ACCEPT](states).mean(1),
        heads[QA](states).squeeze(-1).mean(1),
        heads[RATIONALE](states).squeeze(-1).mean(1),
    )


def balance_of(labels: Sequence[Label]) -> Balance:
    """Weights by which both classes, of which there has to be one label at least, count the same in sum."""
    accepted = sum(label.accepted for label in labels)
    return Balance(len(labels) / (2 * (len(labels) - accepted)), len(labels) / (2 * accepted))


def whole_of(labels: Sequence[Label], balance: Balance) -> Whole:
    """What the loss of a step over `labels` is divided by."""
    return Whole(sum(balance.of(label) for label in labels), len(labels))


def loss_of(
    said: Said, labels: Sequence[Label], *, weights: HeadWeights, balance: Balance, whole: Whole
) -> "torch.Tensor":
    """The share of `labels` in the loss of the step that `whole` describes: a scalar, to be added up."""
    import torch
    from torch.nn import functional

    device = said.accept.device
    accepted = torch.tensor([int(label.accepted) for label in labels], device=device)
    counts = torch.tensor([balance.of(label) for label in labels], device=device)
    qa = torch.tensor([label.target("qa") for label in labels], device=device)
    rationale = torch.tensor([label.target("rationale") for label in labels], device=device)
    entropy = functional.cross_entropy(said.accept, accepted, reduction="none")
    loss = weights.accept * (entropy * counts).sum() / whole.class_weight
    if weights.qa:
        loss = loss + weights.qa * (said.qa - qa).square().sum() / whole.rows
    if weights.rationale:
        loss = loss + weights.rationale * (said.rationale - rationale).square().sum() / whole.rows
    return loss
