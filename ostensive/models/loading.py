"""An image-text model and its processor, from the Hub or a folder, and how it wants to be spoken to.

A chat template of the model's processor is used wherever there is one. Three families have none and document plain
prompts instead; a table names them. A made-up template for the others would be answered all the same, and badly.

Only safetensors are read and no code of a model's own is run; what is checked of the files is in
`ostensive.models.pretrained`. A model on the Hub is loaded at the commit that it is known by
(`ostensive.models.files`). That also keeps transformers from having a model that holds no safetensors on its main
branch converted by a service.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # Any: each model of transformers has classes of its own, typed in part only

from ostensive.chat.records import Form, Message
from ostensive.errors import SettingsError
from ostensive.models.devices import resolve_device
from ostensive.models.files import located, pinned_commit
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.pretrained import check_folder, check_weights, dtype_of, loading_errors, without_bars

PLAIN_FORMS: dict[str, Form] = {"blip-2": "continuation", "instructblip": "instruction", "florence2": "task"}


class RequestError(ValueError):
    """A request that this model cannot be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model on its device and what goes with it."""

    name: str
    commit: str | None  # of the Hub; None for a folder
    model: Any  # a PreTrainedModel, in evaluation mode
    processor: Any  # a ProcessorMixin that pads on the side the model wants
    generation: Any  # a GenerationConfig: greedy, one beam, the model's own end tokens and penalties
    form: Form
    device: str
    encodes: bool  # an encoder reads the prompt, so that the decoder's output does not repeat it
    max_positions: int | None  # of the text model, for prompt and reply together; None where not limited or not known


def load_model(settings: GeneratorSettings) -> LoadedModel:
    """The model that `settings` name; raises `SettingsError` in one line if it cannot be had or cannot be asked."""
    import transformers

    library: Any = transformers
    name, place = settings.model, located(settings.model)
    check_folder(name)
    device = resolve_device(settings.device)
    commit = pinned_commit(name, settings.revision)
    source = {"revision": commit or "main", "trust_remote_code": False}
    with loading_errors(name, commit):
        config = library.AutoConfig.from_pretrained(place, **source)
        _check_type(name, config)
        processor = library.AutoProcessor.from_pretrained(place, **source)
        if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
            raise SettingsError(
                f"{name}: has no processor for both images and text (preprocessor_config.json is missing)"
            )
        form = form_of(name, config.model_type, has_template=bool(getattr(processor, "chat_template", None)))
        with without_bars():
            model, loading = library.AutoModelForImageTextToText.from_pretrained(
                place, dtype=dtype_of(settings.dtype, device), use_safetensors=True, output_loading_info=True, **source
            )
    check_weights(name, loading)
    model.to(device).eval()
    encodes = bool(config.is_encoder_decoder)
    set_padding(processor.tokenizer, encodes=encodes)
    positions = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return LoadedModel(
        name=name,
        commit=commit,
        model=model,
        processor=processor,
        generation=plain_generation(model, processor.tokenizer),
        form=form,
        device=device,
        encodes=encodes,
        max_positions=None if encodes else positions,
    )


def _check_type(name: str, config: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise SettingsError(f"{name}: is a model of type {config.model_type!r}, which does not turn images into text")


def set_padding(tokenizer: Any, *, encodes: bool) -> None:
    """Has the tokenizer pad on the side that the model wants, with a token that it has."""
    # Decoders go on from the last position, so padding has to come first. Encoders count positions from the first
    # (BART, in Florence-2) and measure distances between tokens (T5, where BLIP-2 puts the image before the padding).
    tokenizer.padding_side = "right" if encodes else "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token


def plain_generation(model: Any, tokenizer: Any) -> Any:
    """The model's own configuration without its ways of sampling and its beams; `RowSampler` draws instead."""
    config = copy.deepcopy(model.generation_config)
    config.do_sample = False
    config.num_beams = 1
    config.num_return_sequences = 1
    config.return_dict_in_generate = False
    config.forced_eos_token_id = None  # a text that was cut has to be told from one that ended
    for name in ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "max_length",
                 "min_length", "length_penalty", "early_stopping", "max_new_tokens", "num_beam_groups"):  # fmt: skip
        setattr(config, name, None)
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    return config


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


def prompt_text(messages: Sequence[Message], form: Form, processor: Any) -> str:
    """The text of `messages` as `processor` takes it; raises `RequestError` if the model cannot be asked this."""
    images = sum(len(message.images) for message in messages)
    if form == "chat":
        text: str = processor.apply_chat_template(
            [_template_message(message) for message in messages], add_generation_prompt=True, tokenize=False
        )
        slots = image_slots(text, processor)
        if slots != images:
            raise RequestError(f"{images} images and {slots} places for them in the prompt")
        return text
    if len(messages) != 1 or messages[0].role != "user":
        raise RequestError("this model takes one prompt and no conversation")
    if images != 1:
        raise RequestError(f"this model takes one image a prompt, not {images}")
    text = messages[0].text
    if image_slots(text, processor):
        raise RequestError("the text holds the token that stands for an image")
    return text


def reply_text(messages: Sequence[Message], reply: str, form: Form, processor: Any) -> tuple[str, str]:
    """The prompt of `messages` and what follows it up to the last character of `reply`, as the model reads them.

    What a template puts between them is part of the second; marks that end a turn are of neither. Raises as
    `prompt_text`, and `RequestError` for a reply that is empty or holds the token that stands for an image.
    """
    if not reply.strip():
        raise RequestError("the reply is empty")
    if image_slots(reply, processor):
        raise RequestError("the reply holds the token that stands for an image")
    prompt = prompt_text(messages, form, processor)
    if form != "chat":
        return prompt, reply if prompt[-1:].isspace() else f" {reply}"
    said = [_template_message(message) for message in (*messages, Message("assistant", reply))]
    whole: str = processor.apply_chat_template(said, add_generation_prompt=False, tokenize=False)
    plain = reply.strip()  # some templates strip what is said
    place = whole.find(plain, len(prompt))
    if not whole.startswith(prompt) or place < 0:
        return prompt, reply
    return prompt, whole[len(prompt) : place + len(plain)]


def _template_message(message: Message) -> dict[str, object]:
    images = ({"type": "image"} for _ in message.images)
    return {"role": message.role, "content": [*images, {"type": "text", "text": message.text}]}


def image_slots(text: str, processor: Any) -> int:
    """How many places for an image `text` has before the processor widens each to the tokens of its image."""
    tokens = [getattr(processor, name, None) for name in ("image_token", "boi_token")]
    return max((text.count(str(token)) for token in tokens if token is not None), default=0)
