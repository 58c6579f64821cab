"""Detectors of `transformers` alike: loading one, pictures made tensors, and what every one of them answers.

Pictures are never padded to share a batch. A mask tells a model what is padding and not the convolutions before it, so
that boxes would depend on a picture's neighbours; those that come to one shape share a batch, the others do not. With a
square input (RT-DETR, D-FINE, RF-DETR, OWL) all do.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal  # Any: each model of transformers has classes of its own

import PIL.Image
from pydantic import Field

from ostensive.errors import SettingsError
from ostensive.models.devices import resolve_device
from ostensive.models.files import pinned_commit
from ostensive.models.needs import ModelNeed
from ostensive.models.pretrained import check_folder, check_weights, dtype_of, loading_errors, without_bars
from ostensive.user_paths import ModelName
from verbalizers.base import Workers
from verbalizers.detectors.detection import Detection, DetectionError, DetectorSettings, Precision, each_in_threads

if TYPE_CHECKING:
    import torch

Task = Literal["ObjectDetection", "ZeroShotObjectDetection"]
_WHAT_FOR = {"ObjectDetection": "detect objects", "ZeroShotObjectDetection": "detect what it is told"}
_HINTS = {
    "ObjectDetection": "kind: zero_shot takes models that are told what to look for",
    "ZeroShotObjectDetection": "kind: detector takes models with classes of their own",
}


class HubDetectorSettings(DetectorSettings):
    """What both kinds of `transformers` have alike."""

    model: ModelName = Field(min_length=1)
    """A name on the Hugging Face Hub or a folder."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None takes the main branch. A commit keeps a run repeatable."""
    dtype: Precision = "float32"
    """Precision; bfloat16 and float16 save time and memory on a GPU and place boxes to about 0.4 percent only."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model."""
        return (ModelNeed(role="regions", kind="hub", name=self.model, revision=self.revision, device=self.set_device),)


@dataclass(frozen=True, slots=True)
class LoadedDetector:
    """A model on its device and what goes with it."""

    name: str
    model: Any  # a PreTrainedModel, in evaluation mode
    processor: Any  # an image processor, or one for images and text
    device: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures as a model takes them, one by one, on the CPU."""

    sizes: tuple[tuple[int, int], ...]  # height and width in pixels, before the model's own scaling
    tensors: tuple[Mapping[str, "torch.Tensor"], ...]  # each with a first axis of 1

    def groups(self) -> list[list[int]]:
        """Positions of pictures that can share a batch, in order."""
        found: dict[tuple[tuple[str, tuple[int, ...]], ...], list[int]] = {}
        for place, tensors in enumerate(self.tensors):
            shapes = tuple((name, tuple(tensor.shape)) for name, tensor in sorted(tensors.items()))
            found.setdefault(shapes, []).append(place)
        return list(found.values())

    def batch(self, places: Sequence[int], detector: LoadedDetector) -> dict[str, "torch.Tensor"]:
        """The pictures at `places`, which are of one group, on the model's device and of its type."""
        import torch

        batch = {}
        for name in self.tensors[places[0]]:
            joined = torch.cat([self.tensors[place][name] for place in places])
            kind = detector.model.dtype if joined.is_floating_point() else joined.dtype
            batch[name] = joined.to(detector.device, kind)
        return batch


def load_detector(settings: HubDetectorSettings, task: Task) -> LoadedDetector:
    """The model that `settings` name; raises `SettingsError` where it cannot be had or is for something else."""
    import transformers

    library: Any = transformers
    name = settings.model
    check_folder(name)
    device = resolve_device(settings.device)
    commit = pinned_commit(name, settings.revision)
    source = {"revision": commit or "main", "trust_remote_code": False}
    with loading_errors(name, commit):
        config = library.AutoConfig.from_pretrained(name, **source)
        _check_type(name, config, task)
        processors = library.AutoImageProcessor if task == "ObjectDetection" else library.AutoProcessor
        processor = processors.from_pretrained(name, **source)
        with without_bars():
            model, loading = getattr(library, f"AutoModelFor{task}").from_pretrained(
                name,
                dtype=dtype_of(settings.dtype, device),
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # `check_weights` says what does not fit, the library that something does
                output_loading_info=True,
                **source,
            )
    check_weights(name, loading)
    return LoadedDetector(name, model.to(device).eval(), processor, device)


def _check_type(name: str, config: Any, task: Task) -> None:
    from transformers.models.auto import modeling_auto

    known = {
        "ObjectDetection": modeling_auto.MODEL_FOR_OBJECT_DETECTION_MAPPING,
        "ZeroShotObjectDetection": modeling_auto.MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING,
    }
    if type(config) in known[task]:
        return
    other = next((other for other in known if type(config) in known[other]), None)
    hint = f"; {_HINTS[task]}" if other is not None else ""
    raise SettingsError(f"{name}: is a model of type {config.model_type!r}, which does not {_WHAT_FOR[task]}{hint}")


def prepare_pictures(workers: Workers, detector: LoadedDetector, pictures: Sequence[PIL.Image.Image]) -> Pictures:
    """Each picture through the model's own preprocessing, in threads."""
    processor = getattr(detector.processor, "image_processor", detector.processor)
    taken = inspect.signature(detector.model.forward).parameters

    def prepare(picture: PIL.Image.Image) -> Mapping[str, "torch.Tensor"]:
        inputs = processor(images=picture, return_tensors="pt")
        return {name: tensor for name, tensor in inputs.items() if name in taken}

    tensors = each_in_threads(workers, prepare, pictures)
    return Pictures(tuple((picture.height, picture.width) for picture in pictures), tuple(tensors))


def check_numbers(*outputs: "torch.Tensor") -> None:
    """Raises `DetectionError` where a model's answer is no number: compared with a threshold, it would just be gone."""
    if any(bool(output.isnan().any()) for output in outputs):
        raise DetectionError("the detector's scores are not numbers")


def detections(found: Mapping[str, Any], names: Mapping[int, str]) -> list[Detection]:
    """What a processor's own post-processing gives for one picture, best first; a class without a name has an empty
    label, and is counted as such where proposals are made."""
    boxes, scores, labels = (found[key].detach().cpu() for key in ("boxes", "scores", "labels"))
    together = zip(boxes.double().tolist(), scores.double().tolist(), labels.tolist(), strict=True)
    made = [Detection((box[0], box[1], box[2], box[3]), names.get(label, ""), score) for box, score, label in together]
    return sorted(made, key=lambda detection: -detection.probability)
