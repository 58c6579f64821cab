"""How a model wants to be spoken to, and a request in its words, with one image slot for each image.

A chat template of the model's processor is used wherever there is one. Three families have none and document plain
prompts instead; a table names them. A made-up template for the others was given up: a model that is spoken to in a
form it was not trained on answers all the same, and badly.
"""

from collections.abc import Sequence
from typing import Any, Literal

from ostensive.errors import SettingsError
from ostensive.models.generation import GenerationRequest, Turn

Form = Literal["chat", "continuation", "instruction", "task"]
"""chat: by template; continuation: the model goes on with the text (BLIP-2); instruction: one instruction
(InstructBLIP); task: a task prompt (Florence-2)."""

PLAIN_FORMS: dict[str, Form] = {"blip-2": "continuation", "instructblip": "instruction", "florence2": "task"}


class RequestError(ValueError):
    """A request that this model cannot be asked; the message says why."""


def form_of(model: str, model_type: str, *, has_template: bool) -> Form:
    """The form of a model by `model_type` of its configuration; raises `SettingsError` that names `model`."""
    if model_type in PLAIN_FORMS:
        return PLAIN_FORMS[model_type]
    if has_template:
        return "chat"
    raise SettingsError(
        f"{model}: its processor has no chat template, and no plain form of prompt is known for {model_type!r};"
        " name a model with a chat template (instruction-tuned ones have it), BLIP-2, InstructBLIP or Florence-2"
    )


def prompt_text(
    request: GenerationRequest, form: Form, processor: Any
) -> str:  # Any: each model has a class of its own
    """The text of `request` as `processor` takes it; raises `RequestError` if the model cannot be asked this."""
    images = len(request.images)
    if form == "chat":
        text: str = processor.apply_chat_template(_messages(request.turns), add_generation_prompt=True, tokenize=False)
        slots = image_slots(text, processor)
        if slots != images:
            raise RequestError(f"{images} images and {slots} places for them in the prompt")
        return text
    if len(request.turns) != 1 or request.turns[0].role != "user":
        raise RequestError("this model takes one prompt and no conversation")
    if images != 1:
        raise RequestError(f"this model takes one image a prompt, not {images}")
    text = request.turns[0].text
    if image_slots(text, processor):
        raise RequestError("the text holds the token that stands for an image")
    return text


def _messages(turns: Sequence[Turn]) -> list[dict[str, object]]:
    return [
        {
            "role": turn.role,
            "content": [*({"type": "image"} for _ in turn.images), {"type": "text", "text": turn.text}],
        }
        for turn in turns
    ]


def image_slots(text: str, processor: Any) -> int:  # Any: as above
    """How many places for an image `text` has before the processor widens each to the tokens of its image."""
    tokens = [getattr(processor, name, None) for name in ("image_token", "boi_token")]
    return max((text.count(str(token)) for token in tokens if token is not None), default=0)
