"""A critic's model: a backbone that looks at a picture and reads a text, heads on its states, and their loss.

Accept is a linear layer to two classes, 1 being accept; the rating of each criterion is a small network to a number on
the scale of the labels, 0 to 3 (LSKD, section on the critic; sizes from its repository). Each head reads every place of
a state, and what it gives there is averaged. The published code trains the rationale head on the QA label; here targets
have names, and a test sees which head learns from which.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol  # Any: what a backbone prepares is its own

import PIL.Image

from critics.labels import Label
from critics.trained.blip2 import load_blip2
from critics.trained.inputs import CriticInput
from critics.trained.read_critics import FittedScores, score_features
from critics.trained.settings import BackboneName, HeadWeights, TrainSettings
from critics.trained.vlm import load_vlm

if TYPE_CHECKING:
    import torch
    from torch import nn

BFLOAT16, FLOAT32 = "bfloat16", "float32"
ACCEPT: Final = "accept"
RATINGS: Final = "ratings"
SCORES: Final = "scores"


class Backbone(Protocol):
    """An image-text model on its device, in evaluation mode when it is loaded.

    Which model is behind it, how it pads and where its states lie is nobody else's business.
    """

    @property
    def model(self) -> "nn.Module":
        """All that may be trained and is saved, the unused included."""
        ...

    @property
    def image_tower(self) -> "nn.Module":
        """The part of `model` that sees."""
        ...

    @property
    def width(self) -> int:
        """Of a state."""
        ...

    @property
    def max_tokens(self) -> int | None:
        """Most tokens of a text, special ones and those of the image included; None where not limited."""
        ...

    def token_count(self, text: str, picture: PIL.Image.Image) -> int:
        """How many of `max_tokens` a row takes."""
        ...

    def prepare(self, pictures: Sequence[PIL.Image.Image], texts: Sequence[str]) -> Any:
        """What `states` takes, in main memory; may be called from another thread."""
        ...

    def states(self, inputs: Any) -> "torch.Tensor":
        """`(rows, places, width)`: what the heads read, at one place or several."""
        ...

    def first_accept_weights(self) -> "tuple[torch.Tensor, torch.Tensor] | None":
        """Weights and bias that the accept head begins with, `(2, width)` and `(2,)`; None where there are none."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the model and its processor as their library does."""
        ...


def load_backbone(name: BackboneName, model: str, revision: str | None, *, dtype: str, device: str) -> Backbone:
    """The backbone of that name with the weights of `model`, a folder or a name on the Hub, in `dtype` on `device`.

    Raises `SettingsError` in one line where its model cannot be had or does not fit.
    """
    return _LOADERS[name](model, revision, dtype=dtype, device=device)


class _Loader(Protocol):
    def __call__(self, model: str, revision: str | None, *, dtype: str, device: str) -> Backbone: ...


_LOADERS: dict[BackboneName, _Loader] = {"blip2": load_blip2, "vlm": load_vlm}


class HeadOutputs(NamedTuple):
    """What the heads give for a batch; a tuple because torch hands tensors on in them."""

    accept_logits: "torch.Tensor"  # (rows, 2) float32; class 1 is accept
    ratings: "tuple[torch.Tensor, ...]"  # of each criterion (rows,) float32, on the scale of the labels


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch on its way into the model."""

    inputs: Any  # what the backbone prepared
    score_features: "torch.Tensor"  # (rows, 2 * critics that are read) float32


@dataclass(frozen=True, slots=True)
class CriticModel:
    """What is trained, saved, and asked. `precision` is that of the backbone's arithmetic; heads are float32."""

    backbone: Backbone
    heads: "nn.ModuleDict"
    criteria: tuple[str, ...]  # what is rated, in the order of the ratings
    device: str
    precision: str

    def prepare(self, pictures: Sequence[PIL.Image.Image], rows: Sequence[CriticInput]) -> Prepared:
        """What `forward` takes, in main memory; may be called from another thread."""
        import torch

        features = torch.tensor([score_features(row.scores) for row in rows], dtype=torch.float32)
        return Prepared(self.backbone.prepare(pictures, [row.text for row in rows]), features)

    def forward(self, prepared: Prepared) -> HeadOutputs:
        """What the heads give for a batch that was prepared."""
        import torch

        is_half = self.precision == BFLOAT16
        kind = self.device.partition(":")[0]
        with torch.autocast(kind, torch.bfloat16) if is_half else contextlib.nullcontext():
            states = self.backbone.states(prepared.inputs)
        return head_outputs(self.heads, states, prepared.score_features.to(states.device))

    @property
    def trainable(self) -> "dict[str, nn.Parameter]":
        """What is learned, by name, in a fixed order."""
        modules = (("model", self.backbone.model), ("heads", self.heads))
        return {
            f"{name}.{key}": parameter
            for name, module in modules
            for key, parameter in module.named_parameters()
            if parameter.requires_grad
        }

    def freeze(self, settings: TrainSettings) -> None:
        """Leaves out of training what the settings say."""
        backbone = self.backbone
        tower = {id(parameter) for parameter in backbone.image_tower.parameters()}
        for parameter in backbone.model.parameters():
            part = settings.image_tower if id(parameter) in tower else settings.language
            parameter.requires_grad_(part == "trained")

    def set_training(self, settings: TrainSettings, *, on: bool) -> None:
        """Dropout on in what is trained, if it is wanted, or off."""
        self.backbone.model.train(on and settings.dropout and settings.language == "trained")
        self.backbone.image_tower.train(on and settings.dropout and settings.image_tower == "trained")
        self.heads.train(on)


def resolve_precision(asked: str, device: str) -> str:
    """The precision that `auto` comes to on a device: bfloat16 where a GPU has it, else float32."""
    import torch

    if asked != "auto":
        return asked
    return BFLOAT16 if device.startswith("cuda") and torch.cuda.is_bf16_supported() else FLOAT32


def make_heads(
    width: int, criteria: int, seed: int, accept: "tuple[torch.Tensor, torch.Tensor] | None", scores: int = 0
) -> "nn.ModuleDict":
    """Heads in float32; `accept` are the weights and the bias that the first begins with, else random.

    `scores` is how many critics are read; what they say begins without weight.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = nn.Linear(width, 2)
        ratings = [
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)) for _criterion in range(criteria)
        ]
    if accept is not None:
        first.load_state_dict({"weight": accept[0], "bias": accept[1]})
    made = {ACCEPT: first, RATINGS: nn.ModuleList(ratings)}
    if scores:
        beside = nn.Linear(2 * scores, 1)
        nn.init.zeros_(beside.weight)
        nn.init.zeros_(beside.bias)
        made[SCORES] = beside
    return nn.ModuleDict(made)


def put_scores(heads: "nn.ModuleDict", fitted: FittedScores) -> None:
    """Begins with what scores that are read are worth by themselves."""
    import torch

    heads[SCORES].load_state_dict({"weight": torch.tensor([fitted.weights]), "bias": torch.tensor([fitted.bias])})


def head_outputs(
    heads: "nn.ModuleDict", states: "torch.Tensor", score_features: "torch.Tensor | None" = None
) -> HeadOutputs:
    """What the heads make of `states`, `(rows, places, width)`, and where scores are read of `(rows, 2 * critics)`."""
    import torch

    states = states.float()
    networks: Any = heads[RATINGS]
    # In this order, in which autograd adds up what they ask of the states.
    accept = heads[ACCEPT](states).mean(1)
    ratings = tuple(network(states).squeeze(-1).mean(1) for network in networks)
    if SCORES in heads:
        half = heads[SCORES](score_features) / 2
        accept = accept + torch.cat([-half, half], dim=1)
    return HeadOutputs(accept, ratings)


@dataclass(frozen=True, slots=True)
class ClassWeights:
    """What a row of each class counts in the accept head's loss."""

    rejected: float = 1.0
    accepted: float = 1.0

    def of(self, label: Label) -> float:
        """The weight of a label's class."""
        return self.accepted if label.accepted else self.rejected


@dataclass(frozen=True, slots=True)
class LossNormalizer:
    """What the terms of a step's loss are divided by, so that a batch in parts has the loss of the batch."""

    class_weight: float
    rows: int


def balanced_weights(labels: Sequence[Label]) -> ClassWeights:
    """Weights by which both classes, of which there has to be one label at least, count the same in sum."""
    accepted = sum(label.accepted for label in labels)
    return ClassWeights(len(labels) / (2 * (len(labels) - accepted)), len(labels) / (2 * accepted))


def loss_normalizer(labels: Sequence[Label], classes: ClassWeights) -> LossNormalizer:
    """What the loss of a step over `labels` is divided by."""
    return LossNormalizer(sum(classes.of(label) for label in labels), len(labels))


@dataclass(frozen=True, slots=True)
class CriticLoss:
    """The loss of all heads, each against its own label."""

    criteria: tuple[str, ...]
    weights: HeadWeights
    classes: ClassWeights

    def of(self, outputs: HeadOutputs, labels: Sequence[Label], normalizer: LossNormalizer) -> "torch.Tensor":
        """The share of `labels` in the loss of the step that `normalizer` is of: a scalar, to be added up."""
        import torch
        from torch.nn import functional

        device = outputs.accept_logits.device
        accepted = torch.tensor([int(label.accepted) for label in labels], device=device)
        counts = torch.tensor([self.classes.of(label) for label in labels], device=device)
        entropy = functional.cross_entropy(outputs.accept_logits, accepted, reduction="none")
        loss = self.weights.accept * (entropy * counts).sum() / normalizer.class_weight
        for name, ratings in zip(self.criteria, outputs.ratings, strict=True):
            if weight := self.weights.of(name):
                targets = torch.tensor([label.target(name) for label in labels], device=device)
                loss = loss + weight * (ratings - targets).square().sum() / normalizer.rows
        return loss
