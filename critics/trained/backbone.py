"""What every backbone offers, and the table of them.

A backbone makes of a picture and a text one or several states; heads read them (`critics.trained.heads`). Which model
is behind it, how it pads and where its states lie is nobody else's business.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import PIL.Image

from critics.trained.settings import BackboneName

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Source:
    """Where a backbone's weights are, and how they are to be held."""

    name: str  # a folder or a name on the Hub
    revision: str | None
    dtype: str  # of the weights: float32 or bfloat16
    device: str  # a device that this machine has


class Backbone(Protocol):
    """An image-text model on its device, in evaluation mode when it is loaded."""

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
        """How many of `max_tokens` a triple takes."""
        ...

    def prepare(self, pictures: Sequence[PIL.Image.Image], texts: Sequence[str]) -> Any:  # Any: tensors by name
        """What `states` takes, in main memory; may be called from another thread."""
        ...

    def states(self, inputs: Any) -> "torch.Tensor":  # Any: as above
        """`(rows, places, width)`: what the heads read, at one place or several."""
        ...

    def first_accept_weights(self) -> "tuple[torch.Tensor, torch.Tensor] | None":
        """Weights and bias that the accept head begins with, `(2, width)` and `(2,)`; None where there are none."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the model and its processor as their library does."""
        ...


def load_backbone(name: BackboneName, source: Source) -> Backbone:
    """The backbone of that name; raises `SettingsError` in one line where its model cannot be had or does not fit."""
    return _LOADERS[name](source)


def _blip2(source: Source) -> Backbone:
    from critics.trained.blip2 import load_blip2

    return load_blip2(source)


def _vlm(source: Source) -> Backbone:
    from critics.trained.vlm import load_vlm

    return load_vlm(source)


_LOADERS: dict[BackboneName, Callable[[Source], Backbone]] = {"blip2": _blip2, "vlm": _vlm}
