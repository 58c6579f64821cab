"""Prompts on one picture that share its encoding: what stands before the words of each is read once.

Fifteen probes of a picture have all in common up to the picture's last token, which is nearly all of a prompt: 576
tokens of a LLaVA and some twenty words. That part, the prefix, goes through the model once; its keys and values are
handed to every prompt that begins with it, and the model goes on from there with the words. `transformers` continues
from a filled cache by itself (`generate` with `past_key_values`); here prompts are cut, and rows lined up: padding
lies before the prefix and between prefix and words, where masks and positions pass it over.

Decoders only. A model whose positions or masks are built otherwise would be misled without a sign, so that the first
batch is also read the ordinary way (`agrees`).
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final  # Any: each processor of transformers returns tensors of its own

import PIL.Image

from ostensive.models.loading import LoadedModel, image_slots
from ostensive.models.model_inputs import model_inputs

if TYPE_CHECKING:
    import torch

_PIXELS: Final = "pixel"  # begins the names of what a picture itself comes as
_TOLERANCES: Final = {"torch.float32": 1e-3, "torch.float64": 1e-6}
_HALF: Final = 5e-2
"""Of the largest score, how far the two ways of reading may lie apart by rounding."""


@dataclass(frozen=True, slots=True)
class CutPrompt:
    """A prompt, cut behind the place of its last picture."""

    head: str
    tail: str


@dataclass(frozen=True, slots=True)
class SharedPrompts:
    """A batch whose rows go on from fewer prefixes than there are rows, on the CPU."""

    prefixes: Any  # the processor's tensors for each head with its pictures
    prefix_of: tuple[int, ...]  # of each row
    input_ids: "torch.Tensor"  # (rows, positions) int64, whole prompts
    attention_mask: "torch.Tensor"  # the same shape

    def moved(self, device: str) -> dict[str, "torch.Tensor"]:
        """The whole prompts, on a device."""
        return {"input_ids": self.input_ids.to(device), "attention_mask": self.attention_mask.to(device)}


def cut_prompt(prompt: str, loaded: LoadedModel) -> CutPrompt | None:
    """Where `prompt` is cut; None where no picture is in it or no token stands for one."""
    token = _image_token(loaded)
    if token is None or not image_slots(prompt, loaded.processor):
        return None
    head, found, tail = prompt.rpartition(token)
    return CutPrompt(head + found, tail) if found and tail else None


def shared_prompts(
    loaded: LoadedModel, heads: Sequence[tuple[str, Sequence[PIL.Image.Image]]], rows: Sequence[tuple[int, str]]
) -> SharedPrompts:
    """Rows of a head's index and the tail that follows it, lined up for one call of the model."""
    import torch

    prefixes = model_inputs(loaded, [text for text, _ in heads], [pictures for _, pictures in heads], padding="first")
    tails = [tail_ids(loaded, tail) for _, tail in rows]
    widest = max(map(len, tails))
    pad = loaded.processor.tokenizer.pad_token_id
    words = torch.tensor([[pad] * (widest - len(tail)) + tail for tail in tails], dtype=torch.int64)
    masks = torch.tensor([[0] * (widest - len(tail)) + [1] * len(tail) for tail in tails], dtype=torch.int64)
    chosen = torch.tensor([head for head, _ in rows])
    return SharedPrompts(
        prefixes,
        tuple(head for head, _ in rows),
        torch.cat([prefixes["input_ids"][chosen], words], -1),
        torch.cat([prefixes["attention_mask"][chosen], masks], -1),
    )


def tail_ids(loaded: LoadedModel, tail: str) -> list[int]:
    """The tokens of what follows a picture, as they are in the whole prompt."""
    token = _image_token(loaded)
    tokenizer = loaded.processor.tokenizer
    ids: list[int] = tokenizer(f"{token}{tail}", add_special_tokens=False)["input_ids"]
    return ids[ids.index(tokenizer.convert_tokens_to_ids(token)) + 1 :]


def read_prefixes(loaded: LoadedModel, shared: SharedPrompts) -> Any:
    """The keys and values of each row's prefix, on the model's device; called without gradients."""
    import torch

    inputs = shared.prefixes.to(loaded.device, loaded.model.dtype)
    # By `generate`, which gives each model the positions that it wants; the one token that comes is not read.
    cache = loaded.model.generate(**inputs, generation_config=_one_token(loaded)).past_key_values
    chosen = torch.tensor(shared.prefix_of, device=loaded.device)
    cache.batch_select_indices(chosen)
    inner = getattr(loaded.model, "model", None)
    if getattr(inner, "rope_deltas", None) is not None:
        # Models of the Qwen-VL kind keep by how much positions after a picture are moved, a row each.
        inner.rope_deltas = inner.rope_deltas[chosen]  # type: ignore[union-attr]  # it has just been looked at
    return cache


def agrees(loaded: LoadedModel, prompt: str, pictures: Sequence[PIL.Image.Image]) -> bool:
    """Whether the model reads `prompt` alike in one piece and from its prefix: the same tokens, the same next scores.

    Takes two passes of one row; called without gradients. Whatever the model raises of it is a no.
    """
    cut = cut_prompt(prompt, loaded)
    if cut is None:
        return False
    try:
        whole = model_inputs(loaded, [prompt], [pictures], padding="first").to(loaded.device, loaded.model.dtype)
        shared = shared_prompts(loaded, [(cut.head, pictures)], [(0, cut.tail)])
        if whole["input_ids"].tolist() != shared.input_ids.tolist():
            return False
        scores = loaded.model.generate(**whole, generation_config=_one_token(loaded)).logits[0][0].float()
        first = _first_scores(loaded, shared)
    except Exception:  # noqa: BLE001 - of models that nobody here has seen: then each prompt is read whole
        return False
    tolerance = _TOLERANCES.get(str(loaded.model.dtype), _HALF)
    return bool((scores - first).abs().max() <= tolerance * scores.abs().max())


def _first_scores(loaded: LoadedModel, shared: SharedPrompts) -> "torch.Tensor":
    """The scores `(vocabulary,)` of the token after the first row, read as `generate` would."""
    made = loaded.model.generate(
        **shared.moved(loaded.device),
        past_key_values=read_prefixes(loaded, shared),
        generation_config=_one_token(loaded),
    )
    logits: torch.Tensor = made.logits[0][0]
    return logits.float()


def _one_token(loaded: LoadedModel) -> Any:
    """A configuration for one more token, with its scores and what the model keeps of all before it."""
    configuration = copy.copy(loaded.generation)
    configuration.max_new_tokens = 1
    configuration.return_dict_in_generate = configuration.output_logits = True
    return configuration


def _image_token(loaded: LoadedModel) -> str | None:
    token = getattr(loaded.processor, "image_token", None)
    return None if token is None else str(token)
