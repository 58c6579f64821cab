"""Draws each row's tokens from the row's own seed, so that a text does not depend on what is in the batch with it.

`generate` samples all rows of a batch from one global generator, which ties each text to its neighbours. Here a logits
processor draws and leaves one token possible, so that `generate` takes it whatever it does. The uniform numbers are
Python's own (Mersenne Twister, the same on every device and in every version); each is turned into a token through the
cumulated probabilities in the order of the vocabulary. That order, and not that of the probabilities, for the rounding
of another batch size then moves a boundary by about 1e-7 and swaps no tokens.

A token is drawn from the whole vocabulary and drawn anew while it lies outside the nucleus, which gives the nucleus'
own distribution. Whether it lies outside takes one sum over the likelier tokens; sorting the vocabulary at every step,
as others do to cut the nucleus out first, takes twenty times as long on a CPU.
"""

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from ostensive.chat.records import Sampling

if TYPE_CHECKING:
    import torch

_MAX_TRIES = 16
"""Then the nucleus is cut out after all. It is rarely needed: a try succeeds with a probability of `top_p` or more."""


class RowSampler:
    """A logits processor for one call of `generate`; with temperature 0 the likeliest token is taken."""

    def __init__(self, samplings: Sequence[Sampling]) -> None:
        """`samplings` of each row, in order, all with a seed; equal seeds draw apart by `draw`."""
        self._samplings = list(samplings)
        self._drawn = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
        drawn = [samplings[row] for row in self._drawn]
        self._generators = [Random(f"{one.seed}/{one.draw}") for one in drawn]  # noqa: S311 - wording, not secrets

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":  # noqa: ARG002 - transformers passes it
        """`scores` (rows, vocabulary) with -inf for all but the drawn token of each row."""
        import torch

        assert len(scores) == len(self._samplings), "a sampler is made for the rows of one batch"
        tokens = scores.argmax(-1)
        if self._drawn:
            kind = torch.float32 if scores.device.type == "mps" else torch.float64  # Apple's devices have no float64
            drawn = [self._samplings[row] for row in self._drawn]
            temperatures = torch.tensor([[one.temperature] for one in drawn], dtype=kind, device=scores.device)
            probabilities = (scores[self._drawn].to(kind) / temperatures).softmax(-1)
            for row, one in enumerate(drawn):
                if one.top_k is not None and one.top_k < probabilities.shape[-1]:
                    probabilities[row] = likeliest(probabilities[row], one.top_k)
            tokens[self._drawn] = draw_tokens(probabilities, [one.top_p for one in drawn], self._generators)
        return torch.full_like(scores, -torch.inf).scatter_(-1, tokens[:, None], 0.0)


def likeliest(probabilities: "torch.Tensor", count: int) -> "torch.Tensor":
    """`probabilities` (vocabulary,) of the `count` likeliest tokens and those as likely as the last, summing to 1."""
    import torch

    least = probabilities.topk(count).values[-1]
    kept = torch.where(probabilities >= least, probabilities, 0.0)
    return kept / kept.sum()


def draw_tokens(probabilities: "torch.Tensor", top_p: Sequence[float], generators: Sequence[Random]) -> "torch.Tensor":
    """A token `(rows,)` int64 from the nucleus of each row of `probabilities` (rows, vocabulary).

    The nucleus is the least set of likeliest tokens whose probabilities reach `top_p` in (0, 1], of equally likely
    ones the first (Holtzman et al., 2020); it always holds the likeliest. Each row uses its own generator alone.
    """
    import torch

    device, kind = probabilities.device, probabilities.dtype
    wanted = torch.tensor(top_p, dtype=kind, device=device)
    cumulated = probabilities.cumsum(-1)
    tokens = torch.zeros(len(probabilities), dtype=torch.int64, device=device)
    waiting = list(range(len(probabilities)))
    for _ in range(_MAX_TRIES):
        uniform = torch.tensor([[generators[row].random()] for row in waiting], dtype=kind, device=device)
        rows = slice(None) if len(waiting) == len(probabilities) else waiting
        picked = pick(cumulated[rows], uniform)
        tokens[rows] = picked
        inside = likelier(probabilities[rows], picked) < wanted[rows]
        waiting = [row for row, is_inside in zip(waiting, inside.tolist(), strict=True) if not is_inside]
        if not waiting:
            return tokens
    uniform = torch.tensor([[generators[row].random()] for row in waiting], dtype=kind, device=device)
    tokens[waiting] = pick(nucleus(probabilities[waiting], wanted[waiting][:, None]).cumsum(-1), uniform)
    return tokens


def pick(cumulated: "torch.Tensor", uniform: "torch.Tensor") -> "torch.Tensor":
    """The tokens `(rows,)` that `uniform` (rows, 1) in [0, 1) falls on; none of those with a probability of zero."""
    import torch

    picked = torch.searchsorted(cumulated, uniform * cumulated[:, -1:], right=True)
    # Rounding may put the number on the last boundary itself, past every token.
    last = torch.searchsorted(cumulated, cumulated[:, -1:].contiguous())
    return torch.minimum(picked, last)[:, 0]


def likelier(probabilities: "torch.Tensor", tokens: "torch.Tensor") -> "torch.Tensor":
    """What the tokens that come before `tokens` (rows,) in their nucleus have together, `(rows,)`."""
    import torch

    own = probabilities.gather(-1, tokens[:, None])
    places = torch.arange(probabilities.shape[-1], device=probabilities.device)
    before = (probabilities > own) | ((probabilities == own) & (places < tokens[:, None]))
    return torch.where(before, probabilities, 0.0).sum(-1)


def nucleus(probabilities: "torch.Tensor", top_p: "torch.Tensor") -> "torch.Tensor":
    """`probabilities` (rows, vocabulary) with zero for what is outside the nucleus of `top_p` (rows, 1)."""
    import torch

    falling, order = probabilities.sort(stable=True, dim=-1, descending=True)
    inside = falling.cumsum(-1) - falling < top_p
    inside[:, 0] = True
    return torch.where(torch.zeros_like(inside).scatter(-1, order, inside), probabilities, 0.0)
