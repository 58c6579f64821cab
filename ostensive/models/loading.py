"""An image-text model and its processor, from the Hub or a folder, or one line that says why not.

Only safetensors are read and no code of a model's own is run; what is checked of the files is in
`ostensive.models.pretrained`. A model on the Hub is loaded at the commit that it is known by (`ostensive.models.files`). That
also keeps transformers from having a model that holds no safetensors on its main branch converted by a service.
"""

import copy
from dataclasses import dataclass
from typing import Any

from ostensive.errors import SettingsError
from ostensive.models.devices import resolve_device
from ostensive.models.files import is_lacking, located, pinned_commit
from ostensive.models.forms import Form, form_of
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.pretrained import check_folder, check_weights, dtype_of, first_line, without_bars

_SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")  # one of them, as the library looks for them


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model on its device and what goes with it. Any: each model of transformers has classes of its own."""

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

    library: Any = transformers  # Any: its automatic classes are typed in part only
    name, place = settings.model, located(settings.model)
    check_folder(name)
    device = resolve_device(settings.device)
    commit = pinned_commit(name, settings.revision)
    source = {"revision": commit or "main", "trust_remote_code": False}
    try:
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
    except SettingsError:
        raise
    except Exception as error:  # each model's classes raise what they like when files are missing or broken
        _check_not_lacking(name, commit)
        raise SettingsError(f"{name}: cannot be loaded: {type(error).__name__}: {first_line(error)}") from error
    check_weights(name, loading)
    model.to(device).eval()
    encodes = bool(config.is_encoder_decoder)
    _set_padding(processor.tokenizer, encodes=encodes)
    positions = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return LoadedModel(
        name=name,
        commit=commit,
        model=model,
        processor=processor,
        generation=_generation(model, processor.tokenizer),
        form=form,
        device=device,
        encodes=encodes,
        max_positions=None if encodes else positions,
    )


def _check_not_lacking(name: str, commit: str | None) -> None:
    """Raises `SettingsError` for a model on the Hub that has no safetensors; the library advises to read pickles."""
    if commit is not None and all(is_lacking(name, commit, file) for file in _SAFETENSORS):
        raise SettingsError(
            f"{name}: has no {_SAFETENSORS[0]} at commit {commit}, and other weights are not read (a pickle may run"
            " code); name another revision, or a folder where you saved it with save_pretrained"
        )


def _check_type(name: str, config: Any) -> None:  # Any: a configuration of any model
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise SettingsError(f"{name}: is a model of type {config.model_type!r}, which does not turn images into text")


def _set_padding(tokenizer: Any, *, encodes: bool) -> None:  # Any: a tokenizer of any model
    # Decoders go on from the last position, so padding has to come first. Encoders count positions from the first
    # (BART, in Florence-2) and measure distances between tokens (T5, where BLIP-2 puts the image before the padding).
    tokenizer.padding_side = "right" if encodes else "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token


def _generation(model: Any, tokenizer: Any) -> Any:  # Any: as in LoadedModel
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
