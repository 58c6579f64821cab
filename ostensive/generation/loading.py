"""An image-text model and its processor, from the Hub or a folder, or one line that says why not.

Only safetensors are read and no code of a model's own is run. Weights that the file lacks are an error: the library
fills them with random numbers and says so in a table, and the captions of such a model look like any others.
"""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostensive.devices import resolve_device
from ostensive.errors import SettingsError
from ostensive.generation.forms import Form, form_of
from ostensive.generation.settings import GeneratorSettings

_FINGERPRINTED = {".json", ".jinja", ".model", ".safetensors", ".txt"}


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


def weights_fingerprint(model: str) -> str | None:
    """SHA-256 over names and bytes of the files that a model in a folder consists of; None if `model` is no folder.

    All of every file is read, for a fine-tuned model may differ from its base in a few tensors: about 1 s a GB.
    """
    folder = Path(model)
    if not folder.is_dir():
        return None
    sink = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _FINGERPRINTED and path.is_file():
            with path.open("rb") as file:
                sink.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return sink.hexdigest()


def load_model(settings: GeneratorSettings) -> LoadedModel:
    """The model that `settings` name; raises `SettingsError` in one line if it cannot be had or cannot be asked."""
    import transformers

    library: Any = transformers  # Any: its automatic classes are typed in part only
    name = settings.model
    _check_folder(name)
    device = resolve_device(settings.device)
    source = {"revision": settings.revision or "main", "trust_remote_code": False}
    try:
        config = library.AutoConfig.from_pretrained(name, **source)
        _check_type(name, config)
        processor = library.AutoProcessor.from_pretrained(name, **source)
        if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
            raise SettingsError(
                f"{name}: has no processor for both images and text (preprocessor_config.json is missing)"
            )
        form = form_of(name, config.model_type, has_template=bool(getattr(processor, "chat_template", None)))
        with _without_bars():
            model, loading = library.AutoModelForImageTextToText.from_pretrained(
                name, dtype=_dtype(settings.dtype, device), use_safetensors=True, output_loading_info=True, **source
            )
    except SettingsError:
        raise
    except Exception as error:  # each model's classes raise what they like when files are missing or broken
        raise SettingsError(f"{name}: cannot be loaded: {type(error).__name__}: {_first_line(error)}") from error
    _check_weights(name, loading)
    model.to(device).eval()
    encodes = bool(config.is_encoder_decoder)
    _set_padding(processor.tokenizer, encodes=encodes)
    positions = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return LoadedModel(
        name=name,
        commit=getattr(config, "_commit_hash", None),
        model=model,
        processor=processor,
        generation=_generation(model, processor.tokenizer),
        form=form,
        device=device,
        encodes=encodes,
        max_positions=None if encodes else positions,
    )


@contextmanager
def _without_bars() -> Iterator[None]:
    """Standard error is for our own progress line; the library's bars are put back as they were."""
    import transformers

    logging: Any = transformers.utils.logging  # Any: partly untyped
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _dtype(setting: str, device: str) -> Any:  # Any: a torch.dtype or "auto"
    import torch

    if setting == "auto":
        return torch.float32 if device == "cpu" else "auto"
    return getattr(torch, setting)


def _check_folder(name: str) -> None:
    folder = Path(name)
    if not folder.is_dir():
        if name.startswith((".", "/", "~", "\\")) or name.count("/") > 1:
            raise SettingsError(
                f"{name}: there is no such folder; a folder or a name on the Hugging Face Hub is expected"
            )
        return
    if not (folder / "config.json").is_file():
        raise SettingsError(f"{name}: holds no config.json; a folder written by save_pretrained is expected")
    if not any(folder.glob("*.safetensors")):
        raise SettingsError(f"{name}: holds no weights; *.safetensors files are expected beside config.json")


def _check_type(name: str, config: Any) -> None:  # Any: a configuration of any model
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise SettingsError(f"{name}: is a model of type {config.model_type!r}, which does not turn images into text")


def _check_weights(name: str, loading: Any) -> None:  # Any: the library's report, a dict
    lacking = sorted(str(key) for key in loading["missing_keys"])
    wrong = sorted(str(key[0]) for key in loading["mismatched_keys"])
    for keys, problem in ((lacking, "are missing"), (wrong, "have another shape than config.json says")):
        if keys:
            raise SettingsError(f"{name}: {len(keys)} of its weights {problem}, among them {keys[0]}; fetch it anew")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else "no message"


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
