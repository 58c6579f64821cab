"""What an image-text model takes for a batch of prompts with their pictures."""

from collections.abc import Sequence
from typing import Any, Literal  # Any: each processor of transformers returns tensors of its own

import PIL.Image

from ostensive.chat.pictures import presentable
from ostensive.models.loading import LoadedModel

Side = Literal["first", "last"]


def model_inputs(
    loaded: LoadedModel, texts: Sequence[str], pictures: Sequence[Sequence[PIL.Image.Image]], *, padding: Side
) -> Any:
    """The processor's tensors for `texts`, each with its `pictures`, on the CPU.

    Padding `first` is for texts that are gone on with; `last` leaves every position where it is without neighbours.
    What an encoder reads is padded as the tokenizer is set, whatever is asked.
    """
    processor, form = loaded.processor, loaded.form
    images = [[presentable(picture) for picture in row] for row in pictures]
    start = processor.tokenizer.bos_token
    templated_start = start is not None and all(text.startswith(start) for text in texts) and form == "chat"
    arguments: dict[str, Any] = {"text": list(texts), "padding": True, "return_tensors": "pt"}
    if templated_start:
        arguments["add_special_tokens"] = False  # the template wrote the start token; two would be one too many
    if images[0]:
        arguments["images"] = images if form == "chat" else [image for row in images for image in row]
    if padding == "last" and not loaded.encodes:
        arguments["padding_side"] = "right"
    inputs = processor(**arguments)
    if padding == "first" and not loaded.encodes:
        _pads_first(inputs)
    return inputs


def _pads_first(inputs: Any) -> None:
    """Moves padding before all else: BLIP-2's processor puts the image before it, and a row could end with it."""
    mask = inputs["attention_mask"]
    order = mask.sort(stable=True, dim=-1).indices
    for name, tensor in inputs.items():
        # The Q-Former of InstructBLIP reads the prompt with a tokenizer, and with padding, of its own.
        if not name.startswith("qformer") and getattr(tensor, "shape", None) == mask.shape:
            inputs[name] = tensor.gather(-1, order)
