"""A backbone and its heads as one thing: what is trained, saved, and asked."""

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from critics.trained.backbone import Backbone
from critics.trained.heads import Said, say
from critics.trained.settings import TrainSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

BFLOAT16, FLOAT32 = "bfloat16", "float32"


@dataclass(frozen=True, slots=True)
class Learner:
    """A critic's model. `precision` is that of the backbone's arithmetic, float32 or bfloat16; heads are float32."""

    backbone: Backbone
    heads: "nn.ModuleDict"
    device: str
    precision: str

    def say(self, inputs: Any) -> Said:  # Any: what the backbone prepared
        """What the heads say of a batch that the backbone prepared."""
        import torch

        is_half = self.precision == BFLOAT16
        kind = self.device.partition(":")[0]
        with torch.autocast(kind, torch.bfloat16) if is_half else contextlib.nullcontext():
            states = self.backbone.states(inputs)
        return say(self.heads, states)

    @property
    def trained(self) -> "dict[str, torch.nn.Parameter]":
        """What is learned, by name, in a fixed order."""
        modules = (("model", self.backbone.model), ("heads", self.heads))
        return {
            f"{name}.{key}": parameter
            for name, module in modules
            for key, parameter in module.named_parameters()
            if parameter.requires_grad
        }

    def hasten_on_cpu(self) -> None:
        """Plain attention for training: the backward pass of the default one is slow on a CPU.

        A tiny model took 16 ms a triple in bfloat16 so, and 27 with the default; in float32 both took 30.
        """
        model: Any = self.backbone.model  # Any: transformers types its models in part
        model.set_attn_implementation("eager")

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

    def restore(self, tensors: "dict[str, torch.Tensor]") -> None:
        """Takes back what `trained` held, in place."""
        import torch

        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(tensors[name])


def precision_on(asked: str, device: str) -> str:
    """The precision that `auto` comes to on a device: bfloat16 where a GPU has it, else float32."""
    import torch

    if asked != "auto":
        return asked
    return BFLOAT16 if device.startswith("cuda") and torch.cuda.is_bf16_supported() else FLOAT32
