"""The labels that are most like an image: top k by cosine, near-identical labels said once.

Labels are taken one by one: the likeliest, then the likeliest of those that mean something else, and so on. Which of
`dog` and `dogs` fits better depends on the image, so that lists are not merged beforehand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Cosines are compared in steps of this size, equal ones in the order of the list. The batch in which an image is
# encoded moves its cosines by about 1e-7 in single precision, so that only labels closer than that can change places.
COSINE_STEP = 1e-5
_MAX_CELLS = 4_000_000  # images x labels compared at a time: 16 MB of cosines and 32 MB of ranks
_NONE = -1


@dataclass(frozen=True, slots=True)
class LabelIndex:
    """The labels of a list as a model sees them, all tensors on one device."""

    features: "torch.Tensor"  # (labels, width) float32, unit length
    senses: "torch.Tensor"  # (labels,) int64: equal for labels that differ in case or number alone


def retrieve(
    images: "torch.Tensor", index: LabelIndex, top_k: int, max_cosine: float, barred: "torch.Tensor"
) -> "torch.Tensor":
    """Positions of the labels to name, `(images, top_k)` int64, likeliest first, -1 where there are no more.

    `images` is `(images, width)` float32 of unit length. No two labels of an image have the same sense or features with
    a cosine above `max_cosine`, and none has a sense of `barred`, `(images, any number)` int64.
    """
    import torch

    rows = max(1, _MAX_CELLS // max(1, len(index.senses)))
    parts = [
        _retrieve(images[start : start + rows], index, top_k, max_cosine, barred[start : start + rows])
        for start in range(0, len(images), rows)
    ]
    return torch.cat(parts) if parts else torch.zeros((0, top_k), dtype=torch.int64)


def _retrieve(
    images: "torch.Tensor", index: LabelIndex, top_k: int, max_cosine: float, barred: "torch.Tensor"
) -> "torch.Tensor":
    import torch

    count = len(index.senses)
    steps = torch.round((images @ index.features.T).double() / COSINE_STEP).long()
    # One whole number for each label that orders by cosine and then by place, so that no two are equal.
    ranks = steps * count + torch.arange(count - 1, -1, -1, device=steps.device)
    lowest = torch.iinfo(torch.int64).min
    for column in range(barred.shape[1]):
        ranks.masked_fill_(index.senses == barred[:, column, None], lowest)
    chosen = []
    for _ in range(top_k):
        best = ranks.argmax(dim=1)
        is_left = ranks.gather(1, best[:, None])[:, 0] > lowest
        chosen.append(torch.where(is_left, best, _NONE))
        features, senses = index.features[best], index.senses[best]
        ranks.masked_fill_(index.senses == senses[:, None], lowest)  # the label itself has its own sense
        if max_cosine < 1:
            ranks.masked_fill_(features @ index.features.T > max_cosine, lowest)
    return torch.stack(chosen, dim=1)


def senses_of(positions: "torch.Tensor", index: LabelIndex) -> "torch.Tensor":
    """The senses of retrieved labels, of the same shape; -1, which no label has, where there was none."""
    import torch

    return torch.where(positions >= 0, index.senses[positions.clamp(min=0)], _NONE)


def sense_numbers(keys: Sequence[str], known: dict[str, int]) -> list[int]:
    """A number for each key, the same for equal keys; `known` holds those given so far and takes the new ones."""
    return [known.setdefault(key, len(known)) for key in keys]
