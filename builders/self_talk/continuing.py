"""Texts that a language model goes on with, drawn in batches, each from a seed of its own."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from ostensive.chat.records import Sampling
from ostensive.models.batching import BatchSize, Steps, each_in_batches
from ostensive.models.likelihoods import TooLongError, token_ids
from ostensive.models.sampling import RowSampler
from ostensive.models.text_model import TextModel


@dataclass(frozen=True, slots=True)
class Beginning:
    """A text to go on with."""

    text: str
    sampling: Sampling  # with a seed; the same number of tokens for all texts of a call


@dataclass(frozen=True, slots=True)
class Continued:
    """What the model went on with, without the beginning."""

    text: str
    is_whole: bool  # whether it came to an end by itself


@dataclass(frozen=True, slots=True)
class _Row:
    ids: tuple[int, ...]
    sampling: Sampling


def continued(loaded: TextModel, beginnings: Sequence[Beginning], size: BatchSize) -> list[Continued | Exception]:
    """What the model goes on with for each of `beginnings`, in their order, or the error that one raised alone."""
    rows = [_Row(tuple(token_ids(one.text, loaded.tokenizer)), one.sampling) for one in beginnings]
    results: list[Continued | Exception] = [TooLongError() for _ in rows]
    limit = loaded.max_positions
    fitting = [
        place for place, row in enumerate(rows) if limit is None or len(row.ids) + row.sampling.max_tokens <= limit
    ]
    order = sorted(fitting, key=lambda place: -len(rows[place].ids))

    def work(batch: Sequence[_Row]) -> list[Continued]:
        return _generated(loaded, batch)

    steps: Steps[_Row, Sequence[_Row], Sequence[Continued]] = Steps(lambda batch: batch, work)
    done = each_in_batches([rows[place] for place in order], size, steps)
    for place, result in zip(order, done, strict=True):
        results[place] = result
    return results


def _generated(loaded: TextModel, rows: Sequence[_Row]) -> list[Continued]:
    import torch

    length = max(len(row.ids) for row in rows)
    padding = loaded.tokenizer.pad_token_id
    ids = torch.full((len(rows), length), 0 if padding is None else padding, dtype=torch.int64)
    mask = torch.zeros(len(rows), length, dtype=torch.int64)
    for number, row in enumerate(rows):  # padded before the text, which goes on behind its last token
        ids[number, length - len(row.ids) :] = torch.tensor(row.ids)
        mask[number, length - len(row.ids) :] = 1
    configuration = copy.copy(loaded.generation)
    configuration.max_new_tokens = rows[0].sampling.max_tokens
    with torch.inference_mode():
        tokens = loaded.model.generate(
            input_ids=ids.to(loaded.device),
            attention_mask=mask.to(loaded.device),
            generation_config=configuration,
            logits_processor=[RowSampler([row.sampling for row in rows])],
        )
    return [_read(loaded, new) for new in tokens[:, length:].tolist()]


def _read(loaded: TextModel, ids: Sequence[int]) -> Continued:
    ends = loaded.generation.eos_token_id
    end_ids = {ends} if isinstance(ends, int) else set(ends or ())
    end = next((place for place, token in enumerate(ids) if token in end_ids), None)
    text: str = loaded.tokenizer.decode(list(ids[:end]), skip_special_tokens=True)
    return Continued(text, end is not None)
