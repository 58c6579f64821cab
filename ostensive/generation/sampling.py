"""Draws each row's tokens from the row's own seed, so that a text does not depend on what is in the batch with it.

`generate` samples all rows of a batch from one global generator, which ties each text to its neighbours. Here a logits
processor draws and leaves one token possible, and `generate` runs greedily. The uniform numbers are Python's own
(Mersenne Twister, the same on every device and in every version), one a row and step; each is turned into a token
through the cumulated probabilities in the order of the vocabulary. That order, and not that of the probabilities, for
the rounding of another batch size then moves a boundary by about 1e-7 and swaps no tokens.
"""

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from ostensive.generation.records import Draw

if TYPE_CHECKING:
    import torch


def sample_seed(seed: int, sample: int) -> str:
    """What the generator of one sample of a request is seeded with."""
    return f"{seed}/{sample}"


class RowSampler:
    """A logits processor for one call of `generate`: rows with temperature 0 pass as they are."""

    def __init__(self, draws: Sequence[Draw], samples: Sequence[int]) -> None:
        """`draws` and `samples` (which sample of its request) of each row, in order."""
        self._draws = list(draws)
        self._generators = [
            Random(sample_seed(draw.seed, sample))  # noqa: S311 - wording, not secrets
            for draw, sample in zip(draws, samples, strict=True)
        ]

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":  # noqa: ARG002 - transformers passes it
        """`scores` (rows, vocabulary) with -inf for all but the drawn token of each row."""
        import torch

        assert len(scores) == len(self._draws), "a sampler is made for the rows of one batch"
        rows = [row for row, draw in enumerate(self._draws) if draw.temperature > 0]
        if not rows:
            return scores
        kind = torch.float32 if scores.device.type == "mps" else torch.float64  # Apple's devices have no float64

        def column(values: list[float]) -> "torch.Tensor":
            return torch.tensor(values, dtype=kind, device=scores.device)[:, None]

        temperatures = column([self._draws[row].temperature for row in rows])
        top_p = column([self._draws[row].top_p for row in rows])
        uniform = column([self._generators[row].random() for row in rows])
        tokens = draw_tokens(scores[rows].to(kind) / temperatures, top_p, uniform)
        drawn = scores.clone()
        drawn[rows] = -torch.inf
        drawn[rows, tokens] = 0.0
        return drawn


def draw_tokens(logits: "torch.Tensor", top_p: "torch.Tensor", uniform: "torch.Tensor") -> "torch.Tensor":
    """The tokens `(rows,)` int64 that `uniform` (rows, 1) in [0, 1) picks from the nucleus of `logits`.

    `logits` are (rows, vocabulary). The nucleus is the least set of likeliest tokens whose probabilities reach `top_p`
    (rows, 1) in (0, 1] (Holtzman et al., 2020); it always holds the likeliest.
    """
    import torch

    probabilities = logits.softmax(-1)
    falling, order = probabilities.sort(stable=True, dim=-1, descending=True)
    inside = falling.cumsum(-1) - falling < top_p
    inside[:, 0] = True
    kept = torch.zeros_like(inside).scatter(-1, order, inside) & (probabilities > 0)
    cumulated = torch.where(kept, probabilities, 0.0).cumsum(-1)
    picked = torch.searchsorted(cumulated, uniform * cumulated[:, -1:], right=True)[:, 0]
    # Rounding may put the number on the last boundary itself, past every token.
    last = (kept * torch.arange(kept.shape[-1], device=kept.device)).amax(-1)
    return torch.minimum(picked, last)
