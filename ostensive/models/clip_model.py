"""A contrastive image-text model of open_clip: images and texts to unit vectors of the same space.

Models are loaded by open_clip's own calls, so that any of its names works. `create_model_from_pretrained` is used, not
`create_model_and_transforms`, because it refuses to go on with random weights; it is the same loader otherwise.
"""

import contextlib
import difflib
import hashlib
import logging
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self  # Any: open_clip ships no types; JSON values

import PIL.Image

from ostensive.errors import SettingsError
from ostensive.models.batching import BatchSize, Steps, each_in_batches
from ostensive.models.clip_files import (
    FOLDER,
    HUB,
    HubTokenizer,
    check_folder,
    fetch_weights,
    hub_clip,
    open_clip_name,
    split_hub_name,
)
from ostensive.models.devices import resolve_device
from ostensive.models.pretrained import code_refused

if TYPE_CHECKING:
    import torch

_TEXTS_AT_ONCE = 256
_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}  # in open_clip's words
# CLIP looks at the central square. A very long image would be blown up to a size that no memory holds before that
# square is cut out, so that what cannot be in it is cut off first; nothing else changes.
_MAX_ASPECT = 4


class ClipModelSettings(Protocol):
    """Which model of open_clip, and how it is run."""

    @property
    def model(self) -> str:
        """A name of open_clip, `hf-hub:NAME`, `local-dir:FOLDER` or one that comes with this package."""
        ...

    @property
    def pretrained(self) -> str | None:
        """The weights as they were named; None where the model's name says it all, or open_clip's default is meant."""
        ...

    @property
    def weights(self) -> str | None:
        """The tag or file that is loaded; None where the model's name says it all."""
        ...

    @property
    def dtype(self) -> str:
        """float32, bfloat16 or float16."""
        ...

    @property
    def device(self) -> str:
        """auto, cpu, mps, cuda or cuda:1."""
        ...


class ClipModel:
    """A model of open_clip, loaded while it is open."""

    def __init__(self, settings: ClipModelSettings) -> None:
        """Raises `SettingsError` for a model that cannot be; imports nothing heavy to tell."""
        check_model(settings.model, settings.pretrained)
        self._settings = settings
        self._text_size = BatchSize(_TEXTS_AT_ONCE, f"{settings.model}, labels")
        self._model: Any = None
        self._preprocess: Any = None
        self._tokenizer: Any = None
        self._digest: str | None = None
        self.device = ""

    @contextlib.contextmanager
    def opened(self) -> Iterator[Self]:
        """Loads the model; raises `SettingsError` when it cannot be."""
        self.device = resolve_device(self._settings.device)
        self._model, self._preprocess, self._tokenizer = _load(self._settings, self.device)
        try:
            yield self
        finally:
            self._model = self._preprocess = self._tokenizer = self._digest = None

    def preprocess(self, picture: PIL.Image.Image) -> "torch.Tensor":
        """`(3, side, side)` float32 as the model wants it; may be called from several threads."""
        if self._model.visual.preprocess_cfg.get("resize_mode") == "shortest":
            picture = central_part(picture)
        tensor: torch.Tensor = self._preprocess(picture)
        return tensor

    def stack(self, images: Sequence["torch.Tensor"]) -> "torch.Tensor":
        """Preprocessed images as one batch in the model's precision, in main memory, ready to be sent to a device."""
        import torch

        batch = torch.stack(list(images)).to(getattr(torch, self._settings.dtype))
        return batch.pin_memory() if self.device.startswith("cuda") else batch

    def encode_images(self, batch: "torch.Tensor") -> "torch.Tensor":
        """`(images, width)` float32 of unit length, on the model's device, of images that were stacked."""
        import torch

        with torch.inference_mode():
            return self._unit(self._model.encode_image(batch.to(self.device, non_blocking=True)))

    def encode_texts(self, texts: Sequence[str]) -> "torch.Tensor":
        """`(texts, width)` float32 of unit length, in main memory, of any number of texts."""
        import torch

        def tokens_of(batch: Sequence[str]) -> torch.Tensor:
            tokens: torch.Tensor = self._tokenizer(list(batch))
            return tokens

        def encode(tokens: torch.Tensor) -> Sequence[torch.Tensor]:
            with torch.inference_mode():
                return self._unit(self._model.encode_text(tokens.to(self.device))).cpu().unbind()

        features = []
        for feature in each_in_batches(texts, self._text_size, Steps(tokens_of, encode)):
            if isinstance(feature, Exception):
                raise feature
            features.append(feature)
        return torch.stack(features)

    def text_identity(self, texts: Sequence[str]) -> dict[str, Any]:
        """All that the features of `texts` depend on: the weights that encode them, the tokens and the arithmetic."""
        import open_clip

        tokens = self._tokenizer(list(texts[:64]))
        return {
            "format": 1,
            "open_clip": open_clip.__version__,
            "model": self._settings.model,
            "weights": self._text_digest(),
            "tokens": tokens.tolist(),
            "dtype": self._settings.dtype,
            "device": self.device.partition(":")[0],
            "texts": list(texts),
        }

    def _text_digest(self) -> str:
        """SHA-256 of all weights but those of the image side: a checkpoint that was replaced has another."""
        import torch

        if self._digest is not None:
            return self._digest
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            if not name.startswith("visual."):
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        self._digest = digest.hexdigest()
        return self._digest

    @staticmethod
    def _unit(features: "torch.Tensor") -> "torch.Tensor":
        import torch.nn.functional

        return torch.nn.functional.normalize(features.float(), dim=-1)


def central_part(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The middle of a picture whose sides differ by more than a factor of four; any other picture as it is."""
    width, height = picture.size
    new_width, new_height = min(width, _MAX_ASPECT * height), min(height, _MAX_ASPECT * width)
    if (new_width, new_height) == (width, height):
        return picture
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return picture.crop((left, top, left + new_width, top + new_height))


def check_model(model: str, pretrained: str | None) -> None:
    """Raises `SettingsError` for a model or a checkpoint that is not there, without importing open_clip."""
    model = open_clip_name(model)
    if model.startswith(FOLDER):
        check_folder(Path(model.removeprefix(FOLDER)))
    elif model.startswith(HUB):
        if not split_hub_name(model)[0]:
            raise SettingsError("model: hf-hub: has to be followed by the name of a model on the Hugging Face Hub")
    else:
        names = model_names()
        if model.replace("/", "-") not in names:
            near = difflib.get_close_matches(model, names, n=1, cutoff=0.0)
            raise SettingsError(
                f"model: open_clip has no model called {model!r}; the nearest one is {near[0]}; "
                "for your own, name hf-hub:NAME or local-dir:FOLDER"
            )
    if pretrained is not None and looks_like_path(pretrained) and not Path(pretrained).is_file():
        raise SettingsError(
            f"pretrained: there is no file {pretrained}; a tag of open_clip or a checkpoint is expected"
        )


def looks_like_path(pretrained: str) -> bool:
    """Whether `pretrained` can only be a file: tags of open_clip have neither slashes nor dots."""
    return "/" in pretrained or "\\" in pretrained or "." in pretrained


def model_names() -> list[str]:
    """The names that open_clip knows: of its configuration files, and of those registered in this process."""
    loaded = sys.modules.get("open_clip")
    if loaded is not None:
        names: list[str] = loaded.list_models()
        return names
    package = find_spec("open_clip")
    assert package is not None, "open_clip_torch is a dependency"
    folders = package.submodule_search_locations or []
    return sorted(path.stem for folder in folders for path in (Path(folder) / "model_configs").glob("*.json"))


def _load(settings: ClipModelSettings, device: str) -> tuple[Any, Any, Any]:
    """Model, preprocessing and tokenizer."""
    import open_clip

    weights = settings.weights
    tag: dict[str, Any] = {}
    if weights is not None and not Path(weights).is_file():
        tag = _known_tag(settings.model.replace("/", "-"), weights)
    source, hub_tokenizer = open_clip_name(settings.model), None
    if settings.model.startswith(HUB):
        found = hub_clip(settings.model)
        fetch_weights(found)
        source, hub_tokenizer = f"{FOLDER}{found.folder}", found.tokenizer
    try:
        with _quiet_root_logger(), code_refused(f"model: {settings.model}"):
            _refuse_remote_code(settings.model, source)
            # Where the weights were trained with OpenAI's activation, open_clip would only warn and use the other.
            model, preprocess = open_clip.create_model_from_pretrained(
                source,
                pretrained=weights,
                precision=_PRECISIONS[settings.dtype],
                device=device,
                force_quick_gelu=bool(tag.get("quick_gelu", False)),
                weights_only=True,  # a checkpoint that is no safetensors file is a pickle: tensors alone are read of it
            )
            tokenizer = open_clip.get_tokenizer(source) if hub_tokenizer is None else _tokenizer_of(hub_tokenizer)
    except SettingsError:
        raise
    except Exception as error:  # what loaders and networks raise here has no common type
        lines = str(error).strip().splitlines() or [type(error).__name__]
        name = settings.model if weights is None else f"{settings.model} with the weights {weights}"
        raise SettingsError(f"model: {name} cannot be loaded: {lines[0]:.200}") from error
    return model.eval(), preprocess, tokenizer


def _tokenizer_of(source: HubTokenizer) -> Any:
    """The tokenizer as open_clip makes it for a model on the Hub, at a commit."""
    from open_clip.tokenizer import HFTokenizer

    options = {**source.options, "revision": source.commit}
    return HFTokenizer(source.name, context_length=source.context_length, tokenizer_mode=source.mode, **options)


def _known_tag(model: str, weights: str) -> dict[str, Any]:
    """What open_clip knows of the weights; raises `SettingsError` naming the nearest when it knows none."""
    import open_clip

    tag: dict[str, Any] = open_clip.get_pretrained_cfg(model, weights)
    if tag:
        return tag
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not tags:
        raise SettingsError(
            f"pretrained: open_clip has no weights for {model}; give a checkpoint file, not {weights!r}"
        )
    near = difflib.get_close_matches(weights, tags, n=1, cutoff=0.5)
    hint = f"the nearest one is {near[0]}" if near else f"there are {', '.join(tags)}"
    raise SettingsError(f"pretrained: open_clip has no weights {weights!r} for {model}; {hint}")


def _refuse_remote_code(model: str, source: str) -> None:
    """A model's own configuration may ask open_clip to run code that comes with a tokenizer: never unasked."""
    import open_clip

    config = open_clip.get_model_config(source.replace("/", "-") if ":" not in source else source) or {}
    if config.get("text_cfg", {}).get("tokenizer_kwargs", {}).get("trust_remote_code"):
        raise SettingsError(f"model: {model} wants to run code that comes with its tokenizer, which is refused")


@contextlib.contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Keeps open_clip, which logs by `logging.info`, from setting up logging for the whole process."""
    nobody, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(nobody)
    try:
        yield
    finally:
        root.removeHandler(nobody)
