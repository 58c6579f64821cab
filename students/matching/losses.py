"""The three losses of BLIP-2's first stage (Li et al. 2023, section 3.1), of logits and of which rows are negatives.

Rows of one image are never each other's negatives: each may be true of the picture of the other. They are no positives
either, since a text speaks of the regions that are drawn on its own picture. (LSKD's repository gives every row an
image id of its own, so that two triples of one image are told apart by force.)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""The label of a token that carries no loss, as torch and transformers have it."""


def negatives_of(image_ids: Sequence[str]) -> "torch.Tensor":
    """`(rows, rows)` bool: which rows may be negatives of each other, being of different images."""
    import torch

    places = {image_id: place for place, image_id in enumerate(dict.fromkeys(image_ids))}
    images = torch.tensor([places[image_id] for image_id in image_ids])
    return images[:, None] != images[None, :]


def contrastive_loss(
    logits: "torch.Tensor", is_negative: "torch.Tensor", *, label_smoothing: float = 0.0
) -> "torch.Tensor":
    """Image-text contrastive loss: the mean cross-entropy of own texts among texts, and of own pictures among pictures.

    `logits` are `(pictures, texts)` float32, similarities over the temperature, with what belongs together on the
    diagonal; `is_negative` is that of `negatives_of`. `label_smoothing` spreads its share evenly over what a row is
    compared with, itself included. A row without negatives has the loss 0.
    """
    import torch

    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    is_compared = is_negative | own

    def one_way(logits: "torch.Tensor") -> "torch.Tensor":
        log_probabilities = torch.log_softmax(logits.masked_fill(~is_compared, -torch.inf), dim=1)
        evenly = log_probabilities.masked_fill(~is_compared, 0.0).sum(1) / is_compared.sum(1)
        smoothed = (1 - label_smoothing) * log_probabilities.diagonal() + label_smoothing * evenly
        return -smoothed.mean()

    return (one_way(logits) + one_way(logits.T)) / 2


def hard_negatives(logits: "torch.Tensor", is_negative: "torch.Tensor") -> "torch.Tensor":
    """`(rows,)` int64: for each row of `logits` a negative, drawn by the softmax of its logits over its negatives.

    What is alike and does not belong together is drawn most often (ALBEF, Li et al. 2021, section 3.2; BLIP-2). Every
    row needs a negative. Draws from torch's generator of the device.
    """
    import torch

    assert bool(is_negative.any(1).all()), "every row needs a negative"
    weights = torch.softmax(logits.masked_fill(~is_negative, -torch.inf), dim=1)
    return torch.multinomial(weights, 1).squeeze(1)


def matching_loss(logits: "torch.Tensor", is_match: "torch.Tensor") -> "torch.Tensor":
    """Image-text matching loss: the mean cross-entropy of `logits` `(pairs, 2)`, class 1 being a match."""
    from torch.nn import functional

    return functional.cross_entropy(logits, is_match.long())


def generation_loss(logits: "torch.Tensor", ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    """Image-grounded text generation loss: the mean cross-entropy of each token after the first, by those before it.

    `logits` are `(rows, tokens, words)`, what the state of a token says of the next; `ids` and `mask` are
    `(rows, tokens)`, and what is masked out carries no loss.
    """
    from torch.nn import functional

    labels = ids.masked_fill(mask == 0, IGNORED)[:, 1:]
    return functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels, ignore_index=IGNORED)


def multimodal_causal_mask(mask: "torch.Tensor", queries: int) -> "torch.Tensor":
    """`(rows, 1, places, places)` bool: what each place sees, the queries first, then the tokens of `mask`.

    Queries see queries; a token sees all queries, itself and the tokens before it (BLIP-2, figure 2; UniLM).
    """
    import torch

    places = queries + mask.shape[1]
    sees = torch.ones(places, places, dtype=torch.bool, device=mask.device).tril()
    sees[:queries, :queries] = True
    is_there = torch.cat([mask.new_ones(len(mask), queries), mask], dim=1).bool()
    return sees[None, None] & is_there[:, None, None, :]
