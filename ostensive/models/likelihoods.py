"""How likely a language model finds a text after another: the mean log-likelihood of its tokens.

Only the tokens of the continuation count, so that neither the text before it nor padding has a say. (In the published
code of self-talk the mean goes over the whole text and its padding.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: tokenizers of transformers are typed in part only

from ostensive.models.batching import BatchSize, Steps, each_in_batches
from ostensive.models.text_model import TextModel

if TYPE_CHECKING:
    import torch


class TooLongError(ValueError):
    """Prompt and continuation have more tokens than the model has positions."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A continuation and what stands before it."""

    prompt: str
    continuation: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A passage as token ids; those from `start` on, at least one, are the continuation's."""

    ids: tuple[int, ...]
    start: int


def mean_log_likelihoods(loaded: TextModel, passages: Sequence[Passage], size: BatchSize) -> list[float | Exception]:
    """The mean over each continuation's tokens of ln p(token | all before it), in the order of `passages`.

    A passage that cannot be scored has the error instead: `TooLongError`, or what the library raised for it alone.
    """
    tokens = [tokens_of(passage, loaded.tokenizer) for passage in passages]
    limit = loaded.max_positions
    results: list[float | Exception] = [TooLongError() for _ in tokens]
    # Longest first: little padding, and memory that runs out does so at once.
    fitting = [place for place, one in enumerate(tokens) if limit is None or len(one.ids) <= limit]
    order = sorted(fitting, key=lambda place: -len(tokens[place].ids))

    def work(rows: Sequence[Tokens]) -> list[float]:
        return _scored(loaded, rows)

    steps: Steps[Tokens, Sequence[Tokens], Sequence[float]] = Steps(lambda rows: rows, work)
    scored = each_in_batches([tokens[place] for place in order], size, steps)
    for place, result in zip(order, scored, strict=True):
        results[place] = result
    return results


def tokens_of(passage: Passage, tokenizer: Any) -> Tokens:
    """A passage as the model reads it in one piece.

    A token that spans the end of the prompt counts with the continuation. Where there would be nothing before the
    continuation, a start token is put there, for the first token has no likelihood otherwise.
    """
    whole = token_ids(passage.prompt + passage.continuation, tokenizer)
    before = token_ids(passage.prompt, tokenizer)
    start = next((place for place, (a, b) in enumerate(zip(whole, before, strict=False)) if a != b), len(before))
    start = min(start, len(whole) - 1)
    if start > 0:
        return Tokens(tuple(whole), start)
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    assert first is not None, "a tokenizer of a language model has a start or an end token"
    return Tokens((first, *whole), 1)


def token_ids(text: str, tokenizer: Any) -> list[int]:
    """The tokens of a text that goes on: without the end token with which some tokenizers close every text."""
    ids: list[int] = tokenizer(text)["input_ids"]
    if ids and ids[-1] == tokenizer.eos_token_id and len(ids) > 1:
        return ids[:-1]
    return ids


def _scored(loaded: TextModel, rows: Sequence[Tokens]) -> list[float]:
    import torch

    ids, mask = _padded(rows)
    with torch.inference_mode():
        logits = loaded.model(input_ids=ids.to(loaded.device), attention_mask=mask.to(loaded.device)).logits
        means = []
        for number, row in enumerate(rows):
            # The logits at a place are of the token after it.
            of_continuation = logits[number, row.start - 1 : len(row.ids) - 1].float().log_softmax(-1)
            targets = ids[number, row.start : len(row.ids)].to(loaded.device)
            means.append(of_continuation.gather(-1, targets[:, None]).mean())
        found: list[float] = torch.stack(means).tolist()
    return found


def _padded(rows: Sequence[Tokens]) -> "tuple[torch.Tensor, torch.Tensor]":
    """Token ids and attention mask, (rows, positions) int64, padded behind, so that no position is shifted."""
    import torch

    length = max(len(row.ids) for row in rows)
    ids, mask = torch.zeros(len(rows), length, dtype=torch.int64), torch.zeros(len(rows), length, dtype=torch.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = torch.tensor(row.ids)
        mask[number, : len(row.ids)] = 1
    return ids, mask
