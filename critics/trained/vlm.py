"""Any image-text-to-text model as a critic's backbone: the state of the last token, before the layer that writes words.

Texts are padded on the right. A decoder looks back only, so that padding cannot be seen from the last token of a text,
and its place is counted from the first, as in training; with padding on the left, which writing needs, models that
count places themselves would be off by the padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final  # Any: transformers types its classes in part, tensors come by name

import PIL.Image

from ostensive.chat.pictures import presentable
from ostensive.errors import SettingsError
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import LoadedModel, load_model
from ostensive.models.pretrained import without_bars

if TYPE_CHECKING:
    import torch
    from torch import nn


_SPELLINGS: Final = (("No", "Yes"), (" No", " Yes"), ("no", "yes"), (" no", " yes"))
"""How chat models begin to answer a yes-or-no question; with a space or not as their template ends."""


@dataclass(frozen=True, slots=True)
class AnswerIds:
    """The tokens that say no, and those that say yes, each once."""

    no: tuple[int, ...]
    yes: tuple[int, ...]


class VlmBackbone:
    """`critics.trained.model.Backbone` around a model that `ostensive.models.loading` loaded."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded

    @property
    def model(self) -> "nn.Module":
        module: nn.Module = self._loaded.model
        return module

    @property
    def image_tower(self) -> "nn.Module":
        tower: nn.Module = self._loaded.model.get_encoder(modality="image")
        return tower

    @property
    def width(self) -> int:
        return int(self._loaded.model.config.get_text_config(decoder=True).hidden_size)

    @property
    def max_tokens(self) -> int | None:
        return self._loaded.max_positions

    def token_count(self, text: str, picture: PIL.Image.Image) -> int:
        return int(self.prepare([picture], [text])["input_ids"].shape[-1])

    def prepare(self, pictures: Sequence[PIL.Image.Image], texts: Sequence[str]) -> Any:
        processor = self._loaded.processor
        images = [presentable(picture) for picture in pictures]
        prompts = [
            processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}],
                add_generation_prompt=True,
                tokenize=False,
            )
            for text in texts
        ]
        start = processor.tokenizer.bos_token
        # A start token that the template wrote must not be written twice.
        is_started = start is not None and all(prompt.startswith(start) for prompt in prompts)
        return processor(
            text=prompts,
            images=[[image] for image in images],
            padding=True,
            return_tensors="pt",
            **({"add_special_tokens": False} if is_started else {}),
        )

    def states(self, inputs: Any) -> "torch.Tensor":
        import torch

        model = self._loaded.model
        there = inputs.to(self._loaded.device, model.dtype)
        states: torch.Tensor = model.base_model(**there, use_cache=False, return_dict=True).last_hidden_state
        mask = there["attention_mask"]
        places = torch.arange(mask.shape[-1], device=mask.device)
        last = (mask * places).argmax(-1)  # of the text, wherever its padding is
        return states[torch.arange(len(states), device=states.device), last].unsqueeze(1)

    def first_accept_weights(self) -> "tuple[torch.Tensor, torch.Tensor] | None":
        """Those of the words "No" and "Yes" in the layer that writes words, whose state it is that is read.

        So the critic begins with what the model would answer when it is asked whether a row is right, as VQAScore (Lin
        et al., ECCV 2024) takes it, and labels need not teach it where its answer stands.
        """
        import torch

        layer = self._loaded.model.get_output_embeddings()
        ids = answer_ids(self._loaded.processor.tokenizer)
        if layer is None or ids is None:
            return None
        rows = [layer.weight.detach()[list(each)].float().mean(0) for each in (ids.no, ids.yes)]
        return torch.stack(rows).cpu(), torch.zeros(2)

    def save(self, folder: Path) -> None:
        with without_bars():
            self._loaded.model.save_pretrained(folder)
        self._loaded.processor.save_pretrained(folder)


def answer_ids(tokenizer: Any) -> AnswerIds | None:
    """The tokens of the answers no and yes; None where the tokenizer has none that are words of their own."""
    pairs = []
    for spelling in _SPELLINGS:
        no, yes = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in spelling)
        if len(no) == len(yes) == 1 and tokenizer.unk_token_id not in (*no, *yes):  # else pieces of words, or unknown
            pairs.append((no[0], yes[0]))
    if not pairs:
        return None
    return AnswerIds(tuple(sorted({no for no, _ in pairs})), tuple(sorted({yes for _, yes in pairs})))


def load_vlm(model: str, revision: str | None, *, dtype: str, device: str) -> VlmBackbone:
    """The model of that name, held in `dtype` on `device`.

    Raises `SettingsError` in one line if it cannot be had or has no last token to read.
    """
    settings = GeneratorSettings.model_validate(
        {"model": model, "revision": revision, "dtype": dtype, "device": device}
    )
    loaded = load_model(settings)
    if loaded.form != "chat" or loaded.encodes or loaded.model.base_model is loaded.model:
        raise SettingsError(
            f"{model}: is a model of type {loaded.model.config.model_type!r}; the backbone vlm takes a decoder"
            " with a chat template (LLaVA, SmolVLM, Qwen-VL, ...); for BLIP-2's matching model set backbone=blip2"
        )
    loaded.processor.tokenizer.padding_side = "right"
    return VlmBackbone(loaded)
