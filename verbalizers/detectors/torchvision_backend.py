"""Regions by a detector of `torchvision` (kind `torchvision`), with its published weights or a file of the user's.

A file is read into the architecture that `model` names and has to fit it to the last weight. Only tensors are read,
from safetensors or from a .pth file; to read a whole pickled model is to run it.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self  # Any: torchvision ships no types

import PIL.Image
from pydantic import Field, model_validator

from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.models.devices import give_back_memory, resolve_device
from ostensive.models.digests import files_digest
from ostensive.models.needs import ModelNeed
from ostensive.models.pretrained import first_line
from ostensive.user_paths import PathMark
from verbalizers.base import VerbalizerContext, Workers
from verbalizers.detectors.detection import DetectedRegions, Detection, DetectorSettings, each_in_threads
from verbalizers.detectors.models import check_numbers, detections
from verbalizers.label_lists import LabelSource, load_labels

if TYPE_CHECKING:
    import torch

TORCHVISION_VERSION = "torchvision-1"
_BACKGROUND = "__background__"
_WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt")


class TorchvisionRegionSettings(DetectorSettings):
    """Regions by a detector of `torchvision`."""

    kind: Literal["torchvision"] = "torchvision"
    model: str = Field(default="fasterrcnn_resnet50_fpn_v2", min_length=1)
    """A name of `torchvision.models.detection`."""
    weights: Annotated[str, PathMark(or_name="file")] = Field(default="DEFAULT", min_length=1)
    """A tag of torchvision (`COCO_V1`, `DEFAULT`), or a file: .safetensors, or .pth, of which only tensors are read."""
    labels: LabelSource | None = None
    """The classes of a file, from number 1 on (0 is background), or a text file with a class a line; None takes those
    of COCO, as torchvision numbers them."""

    @model_validator(mode="after")
    def _labels_go_with_a_file(self) -> Self:
        if self.labels is not None and not self.has_file:
            raise ValueError("labels go with a file of weights; torchvision's own say what their classes are")
        return self

    @property
    def has_file(self) -> bool:
        """Whether `weights` are a file; tags have neither dots nor slashes."""
        path = PurePath(self.weights)
        return path.suffix in _WEIGHTS_SUFFIXES or len(path.parts) > 1

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model, and the list of its classes where it is a file."""
        model = ModelNeed(
            role="regions", kind="torchvision", name=self.model, weights=self.weights, device=self.set_device
        )
        if not isinstance(self.labels, str):
            return (model,)
        return model, ModelNeed(role="class names", kind="file", name=self.labels)


@dataclass(frozen=True, slots=True)
class _Group:
    """Pictures that may share a batch: `(3, height, width)` uint8 on the CPU, each with its position."""

    places: tuple[int, ...]
    tensors: tuple["torch.Tensor", ...]


class TorchvisionDetector:
    """The model that `settings` name, as a `Detector`."""

    def __init__(self, settings: TorchvisionRegionSettings) -> None:
        """Raises `SettingsError` for a file of weights or of labels that cannot be used."""
        self._settings = settings
        if settings.has_file and not Path(settings.weights).is_file():
            raise SettingsError(f"weights: there is no file {settings.weights}; a file or a tag is expected")
        self._labels = None if settings.labels is None else _read_labels(settings.labels)
        self._model: Any = None
        self._names: Mapping[int, str] = {}
        self._device = ""
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Changes with the content of the user's own files, and with what torchvision takes for its best weights."""
        if self._version is None:
            own = self._settings.has_file
            weights = files_digest([Path(self._settings.weights)]) if own else _tag(self._settings).name
            self._version = f"{TORCHVISION_VERSION}:{fingerprint([weights, self._labels])[:16]}"
        return self._version

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """Loads the model; raises `SettingsError` where it cannot be."""
        self._device = resolve_device(self._settings.device)
        names = self._labels or tuple(_tag(self._settings).meta["categories"])
        self._names = {number: name for number, name in enumerate(names) if number > 0}
        self._model = _load(self._settings, len(names)).to(self._device)
        try:
            yield self
        finally:
            self._model = None
            give_back_memory()

    @property
    def model(self) -> Any:
        """The model itself."""
        assert self._model is not None, "a detector is opened before it is asked"
        return self._model

    def prepare(self, pictures: Sequence[PIL.Image.Image], workers: Workers) -> list[_Group]:
        from torchvision.transforms.functional import pil_to_tensor

        tensors = each_in_threads(workers, pil_to_tensor, pictures)
        places: dict[tuple[int, int] | None, list[int]] = {}
        for place, picture in enumerate(pictures):
            # Those with an input of one size take any pictures together; the others would pad the smaller ones.
            is_scaled_alike = self.model.transform.fixed_size is not None
            places.setdefault(None if is_scaled_alike else picture.size, []).append(place)
        return [_Group(tuple(group), tuple(tensors[place] for place in group)) for group in places.values()]

    def detect(self, ready: list[_Group]) -> list[list[Detection]]:
        import torch

        found: dict[int, list[Detection]] = {}
        for group in ready:
            with torch.inference_mode():
                results = self.model([tensor.to(self._device).float() / 255 for tensor in group.tensors])
            for place, result in zip(group.places, results, strict=True):
                found[place] = detections(result, self._names)
        return [found[place] for place in sorted(found)]


def torchvision_regions(settings: TorchvisionRegionSettings, context: VerbalizerContext) -> DetectedRegions:  # noqa: ARG001 - of every verbalizer
    """The regions of the kind `torchvision`."""
    return DetectedRegions(TorchvisionDetector(settings), settings)


def _read_labels(source: tuple[str, ...] | str) -> tuple[str, ...]:
    """The classes by number, background first; two of one name would shift the numbers of those after them."""
    if not isinstance(source, str):
        return (_BACKGROUND, *source)
    listed = load_labels(source)
    if listed.repeated:
        raise SettingsError(
            f"labels: {source} repeats {listed.repeated} of its classes; each line is the class of its number"
        )
    return (_BACKGROUND, *listed.labels)


def _check_name(name: str) -> None:
    import torchvision.models.detection

    names = torchvision.models.list_models(module=torchvision.models.detection)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        raise SettingsError(f"model: torchvision has no detector called {name!r}; the nearest one is {near[0]}")


def _tag(settings: TorchvisionRegionSettings) -> Any:
    """The entry of torchvision's table of weights; of the default weights where a file is named."""
    import torchvision.models

    _check_name(settings.model)
    table = torchvision.models.get_model_weights(settings.model)
    tag = "DEFAULT" if settings.has_file else settings.weights
    if tag not in table.__members__:
        known = ", ".join(table.__members__)
        raise SettingsError(f"weights: torchvision has no weights {tag!r} for {settings.model}; there are {known}")
    return table[tag]


def _published(settings: TorchvisionRegionSettings) -> Any:
    """The model with torchvision's own weights, by its own call, which knows what each set of weights needs beside."""
    import torchvision.models

    entry = _tag(settings)
    # That call would run what a checkpoint asks for; reading it for its tensors alone, first, refuses any other.
    entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
    return torchvision.models.get_model(settings.model, weights=entry, progress=False)


def _from_file(settings: TorchvisionRegionSettings, classes: int) -> Any:
    """The model with the weights of a file; raises `SettingsError` where they do not fit."""
    import torch
    import torchvision.models

    path = Path(settings.weights)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("model", state)  # where torchvision's own training script puts them
    model = torchvision.models.get_model(settings.model, weights=None, weights_backbone=None, num_classes=classes)
    own = model.state_dict()
    problems = {
        # Models that were trained from a trained backbone do not count batches, and nothing here depends on it.
        "are missing": [name for name in own.keys() - state.keys() if not name.endswith("num_batches_tracked")],
        "are none of the model's": list(state.keys() - own.keys()),
        "have another shape": [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape],
    }
    for problem, names in problems.items():
        if names:
            raise SettingsError(
                f"weights: {path} does not fit {settings.model} with {classes} classes (background included): "
                f"{len(names)} weights {problem}, among them {min(names)}"
            )
    model.load_state_dict(state, strict=False)
    return model


def _load(settings: TorchvisionRegionSettings, classes: int) -> Any:
    """The model in evaluation mode, without what only masks and keypoints need; raises `SettingsError`."""
    _check_name(settings.model)
    try:
        model = _from_file(settings, classes) if settings.has_file else _published(settings)
    except SettingsError:
        raise
    except Exception as error:  # what readers and networks raise here has no common type
        raise SettingsError(
            f"weights: {settings.weights} of {settings.model} cannot be loaded: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    for part in ("mask_roi_pool", "keypoint_roi_pool"):  # without these torchvision looks for boxes alone
        if getattr(getattr(model, "roi_heads", None), part, None) is not None:
            setattr(model.roi_heads, part, None)
    _watch(model)
    return model.eval()


def _watch(model: Any) -> None:
    """Has the heads of `model` checked: what is no number is dropped without a word by the thresholds behind them."""

    def check(module: Any, inputs: Any, outputs: Any) -> None:  # noqa: ARG001 - of a hook
        check_numbers(*_tensors(outputs))

    for name, module in model.named_modules():
        if name in ("head", "rpn.head", "roi_heads.box_predictor"):
            module.register_forward_hook(check)


def _tensors(value: Any) -> Iterator["torch.Tensor"]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
