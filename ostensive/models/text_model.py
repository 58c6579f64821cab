"""A language model and its tokenizer, from the Hub or a folder: what goes on with a text, without pictures.

Causal language models, and the text side of image-text models whose language model is one. Only safetensors are read
and no code of a model's own is run, as in `ostensive.models.loading`.
"""

from dataclasses import dataclass
from typing import Any  # Any: each model of transformers has classes of its own, typed in part only

from ostensive.errors import SettingsError
from ostensive.models.devices import resolve_device
from ostensive.models.files import located, pinned_commit
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import PLAIN_FORMS, plain_generation, set_padding
from ostensive.models.pretrained import check_folder, check_weights, dtype_of, loading_errors, without_bars


@dataclass(frozen=True, slots=True)
class TextModel:
    """A model on its device and what goes with it."""

    name: str
    commit: str | None  # of the Hub; None for a folder
    model: Any  # a PreTrainedModel, in evaluation mode
    tokenizer: Any  # pads before the text
    generation: Any  # a GenerationConfig: greedy, one beam, the model's own end tokens and penalties
    device: str
    max_positions: int | None  # for all tokens together; None where not limited or not known


def load_text_model(settings: GeneratorSettings) -> TextModel:
    """The model that `settings` name; raises `SettingsError` in one line if it cannot be had or completes no text."""
    import transformers

    library: Any = transformers
    name, place = settings.model, located(settings.model)
    check_folder(name)
    device = resolve_device(settings.device)
    commit = pinned_commit(name, settings.revision)
    source = {"revision": commit or "main", "trust_remote_code": False}
    with loading_errors(name, commit):
        config = library.AutoConfig.from_pretrained(place, **source)
        kind = getattr(library, _class_name(name, config))
        tokenizer = library.AutoTokenizer.from_pretrained(place, **source)
        with without_bars():
            model, loading = kind.from_pretrained(
                place, dtype=dtype_of(settings.dtype, device), use_safetensors=True, output_loading_info=True, **source
            )
    check_weights(name, loading)
    model.to(device).eval()
    set_padding(tokenizer, encodes=False)
    return TextModel(
        name=name,
        commit=commit,
        model=model,
        tokenizer=tokenizer,
        generation=plain_generation(model, tokenizer),
        device=device,
        max_positions=getattr(config.get_text_config(decoder=True), "max_position_embeddings", None),
    )


def _class_name(name: str, config: Any) -> str:
    """The class that loads it; raises `SettingsError` for a model that does not go on with a text alone."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
    )

    kind = type(config)
    if config.is_encoder_decoder or config.model_type in PLAIN_FORMS:
        problem = "which goes on with no text of its own: an encoder reads it, or a picture has to be there"
    elif kind in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", True):
        problem = "an encoder, which goes on with no text"  # the library lists these as causal too: decoders of others
    elif kind in MODEL_FOR_CAUSAL_LM_MAPPING:
        return "AutoModelForCausalLM"
    elif kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return "AutoModelForImageTextToText"
    else:
        problem = "which is no language model"
    raise SettingsError(
        f"{name}: is a model of type {config.model_type!r}, {problem}; a causal language model is expected"
    )
