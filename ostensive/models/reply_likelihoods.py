"""How likely an image-text model finds a reply to what it is asked about a picture: by the tokens of the reply.

Neither the prompt, nor padding, nor the mark that ends a turn has a say. Texts are padded behind, so that a row has the
positions that it has alone.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: each processor of transformers returns tensors of its own

import PIL.Image

from ostensive.chat.records import Message
from ostensive.models.batching import BatchSize, Steps, each_in_batches
from ostensive.models.likelihoods import Passage, TooLongError, token_ids, tokens_of
from ostensive.models.loading import LoadedModel, reply_text
from ostensive.models.model_inputs import model_inputs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class AskedReply:
    """A reply and the messages before it, the last of which is a user's; their images are pixels."""

    messages: tuple[Message, ...]
    reply: str


@dataclass(frozen=True, slots=True)
class ReplyLikelihood:
    """ln p of a reply given all before it, and how many tokens it has, at least one."""

    log_likelihood: float
    tokens: int

    @property
    def mean(self) -> float:
        """Of a token; its negative is the loss that a trainer sees."""
        return self.log_likelihood / self.tokens


@dataclass(frozen=True, slots=True)
class _Row:
    """A reply as the model reads it."""

    prompt: str
    reply: str
    pictures: tuple[PIL.Image.Image, ...]
    tokens: int  # of the reply, its image slots not yet widened


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch as the model takes it, on the CPU."""

    inputs: Any
    spans: tuple[tuple[int, int], ...]  # of each row, from the first token of the reply to behind its last
    targets: "torch.Tensor"  # (rows, positions) int64, in which the spans lie


def reply_likelihoods(
    loaded: LoadedModel, asked: Sequence[AskedReply], size: BatchSize
) -> list[ReplyLikelihood | Exception]:
    """The likelihood of each reply, in order; one that cannot be scored has the error instead.

    Errors are `RequestError` for what the model cannot be asked, `TooLongError`, or what the library raised for the row
    alone.
    """
    results: list[ReplyLikelihood | Exception] = [TooLongError() for _ in asked]
    rows: dict[int, _Row] = {}
    for place, one in enumerate(asked):
        try:
            rows[place] = _row(loaded, one)
        except Exception as error:  # noqa: BLE001 - the boundary of one sample: a template's own complaint (Jinja), too
            results[place] = error
    # Longest first: little padding, and memory that runs out does so at once.
    order = sorted(rows, key=lambda place: -len(rows[place].prompt) - len(rows[place].reply))
    prepare, work = (_prepared, _scored) if not loaded.encodes else (_prepared_apart, _scored_apart)
    steps: Steps[_Row, _Ready, Sequence[ReplyLikelihood]] = Steps(
        lambda batch: prepare(loaded, batch), lambda ready: work(loaded, ready)
    )
    found = each_in_batches([rows[place] for place in order], size, steps)
    for place, result in zip(order, found, strict=True):
        results[place] = result
    return results


def _row(loaded: LoadedModel, asked: AskedReply) -> _Row:
    prompt, reply = reply_text(asked.messages, asked.reply, loaded.form, loaded.processor)
    pictures = tuple(image for message in asked.messages for image in message.images)
    assert all(isinstance(picture, PIL.Image.Image) for picture in pictures), "files are decoded before"
    tokens = tokens_of(Passage(prompt, reply), loaded.processor.tokenizer)
    return _Row(prompt, reply, pictures, len(tokens.ids) - tokens.start)  # type: ignore[arg-type]  # just looked at


def _prepared(loaded: LoadedModel, rows: Sequence[_Row]) -> _Ready:
    """Prompt and reply in one text, for models that only decode."""
    tokenizer = loaded.processor.tokenizer
    inputs = model_inputs(
        loaded, [row.prompt + row.reply for row in rows], [row.pictures for row in rows], padding="last"
    )
    ids, lengths = inputs["input_ids"], inputs["attention_mask"].sum(-1).tolist()
    if loaded.max_positions is not None and max(lengths) > loaded.max_positions:
        raise TooLongError  # of a batch of several, after which each is looked at alone
    spans = []
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        last = int(ids[number, length - 1])
        closes = last == tokenizer.eos_token_id and last != token_ids(row.prompt + row.reply, tokenizer)[-1]
        end = length - int(closes)  # some tokenizers close every text
        spans.append((end - row.tokens, end))
    return _Ready(inputs, tuple(spans), ids)


def _scored(loaded: LoadedModel, ready: _Ready) -> Sequence[ReplyLikelihood]:
    import torch

    inputs = ready.inputs.to(loaded.device, loaded.model.dtype)
    # The logits at a place are of the token after it; those of the prompt would fill memory for nothing.
    first, behind = min(start for start, _ in ready.spans) - 1, max(end for _, end in ready.spans) - 1
    wanted: dict[str, Any] = {"use_cache": False}
    offset = 0
    if "logits_to_keep" in inspect.signature(loaded.model.forward).parameters:
        wanted["logits_to_keep"] = torch.arange(first, behind, device=loaded.device)
        offset = first
    with torch.inference_mode():
        logits = loaded.model(**inputs, **wanted).logits
    return _gathered(logits, ready, offset + 1)


def _prepared_apart(loaded: LoadedModel, rows: Sequence[_Row]) -> _Ready:
    """The prompt for the encoder, the reply for the decoder."""
    import torch

    tokenizer = loaded.processor.tokenizer
    inputs = model_inputs(loaded, [row.prompt for row in rows], [row.pictures for row in rows], padding="last")
    replies = [tokenizer(row.reply.strip(), add_special_tokens=False)["input_ids"] for row in rows]
    targets = torch.full((len(rows), max(map(len, replies))), -100, dtype=torch.int64)
    for number, ids in enumerate(replies):
        targets[number, : len(ids)] = torch.tensor(ids)
    return _Ready(inputs, tuple((0, len(ids)) for ids in replies), targets)


def _scored_apart(loaded: LoadedModel, ready: _Ready) -> Sequence[ReplyLikelihood]:
    import torch

    inputs = ready.inputs.to(loaded.device, loaded.model.dtype)
    with torch.inference_mode():
        logits = loaded.model(**inputs, labels=ready.targets.to(loaded.device)).logits
    return _gathered(logits, ready, 0)


def _gathered(logits: "torch.Tensor", ready: _Ready, offset: int) -> Sequence[ReplyLikelihood]:
    """The likelihoods of the spans; the logits of the token at place p of a row are at p - `offset`."""
    found = []
    for number, (start, end) in enumerate(ready.spans):
        row = logits[number, start - offset : end - offset].float().log_softmax(-1)
        targets = ready.targets[number, start:end].to(row.device)
        found.append(ReplyLikelihood(float(row.gather(-1, targets[:, None]).sum()), end - start))
    return found
