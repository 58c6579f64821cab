"""BLIP-2's image-text matching model as a critic's backbone: the states of its query tokens, read by heads at each.

As in LSKD, section on the critic, and its repository: the matching head says accept or reject at every query token, and
what it says is averaged. That head's own weights are where the accept head begins, its class 1 (a match) being accept.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: transformers types its classes in part, tensors come by name

import PIL.Image

from ostensive.chat.pictures import presentable
from ostensive.errors import SettingsError
from ostensive.models.files import located, pinned_commit
from ostensive.models.pretrained import check_folder, check_weights, loading_errors, without_bars

if TYPE_CHECKING:
    import torch
    from torch import nn

_MODEL_TYPE = "blip-2"


class Blip2Backbone:
    """`critics.trained.model.Backbone` around `Blip2ForImageTextRetrieval`."""

    def __init__(self, model: Any, processor: Any, device: str) -> None:
        self._model = model
        self._processor = processor
        self._device = device
        self._queries = int(model.config.num_query_tokens)

    @property
    def model(self) -> "nn.Module":
        module: nn.Module = self._model
        return module

    @property
    def image_tower(self) -> "nn.Module":
        tower: nn.Module = self._model.vision_model
        return tower

    @property
    def width(self) -> int:
        return int(self._model.config.qformer_config.hidden_size)

    @property
    def max_tokens(self) -> int | None:
        return int(self._model.config.qformer_config.max_position_embeddings)

    def token_count(self, text: str, picture: PIL.Image.Image) -> int:  # noqa: ARG002 - the image takes none of them
        return len(self._processor.tokenizer(text)["input_ids"])

    def prepare(self, pictures: Sequence[PIL.Image.Image], texts: Sequence[str]) -> Any:
        images = [presentable(picture) for picture in pictures]
        pixels = self._processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
        # The processor's own call would put image tokens before the text or not, as its files say; what the model
        # wants is decided by its configuration, and is done below.
        tokens = self._processor.tokenizer(list(texts), padding=True, return_tensors="pt")
        return {
            "pixel_values": pixels,
            "input_ids": tokens["input_ids"],
            "attention_mask": tokens["attention_mask"],
        }

    def states(self, inputs: Any) -> "torch.Tensor":
        import torch

        ids, mask = inputs["input_ids"].to(self._device), inputs["attention_mask"].to(self._device)
        image_token = self._model.config.image_token_index
        if image_token is not None:
            shape = (len(ids), self._queries)
            ids = torch.cat([torch.full(shape, image_token, dtype=ids.dtype, device=ids.device), ids], dim=1)
            mask = torch.cat([torch.ones(shape, dtype=mask.dtype, device=mask.device), mask], dim=1)
        pixels = inputs["pixel_values"].to(self._device, self._model.vision_model.dtype)
        found = self._model(
            pixel_values=pixels, input_ids=ids, attention_mask=mask, use_image_text_matching_head=True, return_dict=True
        )
        states: torch.Tensor = found.text_embeds[:, : self._queries]  # text tokens follow the queries
        return states

    def first_accept_weights(self) -> "tuple[torch.Tensor, torch.Tensor] | None":
        head = self._model.itm_head
        return head.weight.detach().float(), head.bias.detach().float()

    def save(self, folder: Path) -> None:
        with without_bars():
            self._model.save_pretrained(folder)
        self._processor.save_pretrained(folder)


def load_blip2(model: str, revision: str | None, *, dtype: str, device: str) -> Blip2Backbone:
    """The model of that name as a backbone, held in `dtype` on `device`; raises as `load_retrieval_model` does."""
    expected = (
        "the backbone blip2 takes BLIP-2 for image-text retrieval (Salesforce/blip2-itm-vit-g or one trained from it);"
        " for others set backbone=vlm"
    )
    made, processor = load_retrieval_model(model, revision, dtype=dtype, device=device, expected=expected)
    return Blip2Backbone(made, processor, device)


def load_retrieval_model(
    model: str, revision: str | None, *, dtype: str, device: str, expected: str
) -> tuple[Any, Any]:
    """The `Blip2ForImageTextRetrieval` of that name in evaluation mode, held in `dtype` on `device`, and its processor.

    Raises `SettingsError` in one line if it cannot be had or, in the words of `expected`, is of another kind.
    """
    import torch
    import transformers

    library: Any = transformers
    name = located(model)
    check_folder(name)
    commit = pinned_commit(name, revision)
    where = {"revision": commit or "main", "trust_remote_code": False}
    with loading_errors(name, commit):
        config = library.AutoConfig.from_pretrained(name, **where)
        if config.model_type != _MODEL_TYPE:
            raise SettingsError(f"{name}: is a model of type {config.model_type!r}; {expected}")
        processor = library.AutoProcessor.from_pretrained(name, **where)
        with without_bars():
            made, loading = library.Blip2ForImageTextRetrieval.from_pretrained(
                name,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                output_loading_info=True,
                **where,
            )
    check_weights(name, loading)
    processor.tokenizer.padding_side = "right"  # positions are counted from the first token
    return made.to(device).eval(), processor
