"""Regions by a detector of `transformers` with classes of its own (kind `detector`), trained on COCO or the like.

Boxes come out of the processor's own post-processing, which knows whether its model was trained with a sigmoid or with
a softmax and a class for nothing.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

import PIL.Image

from ostensive.errors import SettingsError
from ostensive.models.devices import give_back_memory
from ostensive.models.files import model_version
from verbalizers.base import VerbalizerContext, Workers
from verbalizers.detectors.detection import DetectedRegions, Detection
from verbalizers.detectors.models import (
    HubDetectorSettings,
    LoadedDetector,
    Pictures,
    check_numbers,
    detections,
    load_detector,
    prepare_pictures,
)

DETECTOR_VERSION = "detector-1"


class DetectorRegionSettings(HubDetectorSettings):
    """Regions by a detector with classes of its own: RT-DETR, D-FINE, RF-DETR, DETR, YOLOS, ... of `transformers`."""

    kind: Literal["detector"] = "detector"


class TransformersDetector:
    """The model that `settings` name, as a `Detector`."""

    def __init__(self, settings: DetectorRegionSettings) -> None:
        self._settings = settings
        self._loaded: LoadedDetector | None = None
        self._names: Mapping[int, str] = {}
        self._options: dict[str, Any] = {}  # Any: of several types, for post-processing
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Changes with the weights, see `ostensive.models.files`."""
        if self._version is None:
            self._version = f"{DETECTOR_VERSION}:{model_version(self._settings.model, self._settings.revision)}"
        return self._version

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """Loads the model; raises `SettingsError` where it cannot be, or does not name its classes."""
        loaded = load_detector(self._settings, "ObjectDetection")
        self._names = class_names(loaded)
        self._options = _options(loaded, self._settings)
        self._loaded = loaded
        try:
            yield self
        finally:
            self._loaded = None
            give_back_memory()

    @property
    def loaded(self) -> LoadedDetector:
        """The model itself and its processor."""
        assert self._loaded is not None, "a detector is opened before it is asked"
        return self._loaded

    def prepare(self, pictures: Sequence[PIL.Image.Image], workers: Workers) -> Pictures:
        return prepare_pictures(workers, self.loaded, pictures)

    def detect(self, ready: Pictures) -> list[list[Detection]]:
        import torch

        found: list[list[Detection]] = [[] for _ in ready.sizes]
        for places in ready.groups():
            with torch.inference_mode():
                outputs = self.loaded.model(**ready.batch(places, self.loaded))
                outputs.logits, outputs.pred_boxes = outputs.logits.float(), outputs.pred_boxes.float()
                check_numbers(outputs.logits, outputs.pred_boxes)
                results = self.loaded.processor.post_process_object_detection(
                    outputs, target_sizes=[ready.sizes[place] for place in places], **self._options
                )
            for place, result in zip(places, results, strict=True):
                found[place] = detections(result, self._names)
        return found


def detector_regions(settings: DetectorRegionSettings, context: VerbalizerContext) -> DetectedRegions:  # noqa: ARG001 - of every verbalizer
    """The regions of the kind `detector`."""
    return DetectedRegions(TransformersDetector(settings), settings)


def class_names(loaded: LoadedDetector) -> Mapping[int, str]:
    """The model's classes by number; raises `SettingsError` where its configuration does not name them."""
    names = {int(number): str(name) for number, name in loaded.model.config.id2label.items()}
    if names and all(name == f"LABEL_{number}" for number, name in names.items()):
        raise SettingsError(
            f"{loaded.name}: does not name its classes (id2label in config.json says LABEL_0 and so on); "
            "write their names there"
        )
    return names


def _options(loaded: LoadedDetector, settings: DetectorRegionSettings) -> dict[str, Any]:
    """What the processor's post-processing is to be told; what it does not ask for is left out."""
    asked = inspect.signature(loaded.processor.post_process_object_detection).parameters
    options: dict[str, Any] = {"threshold": settings.min_probability}
    if "top_k" in asked:  # 100 unless told
        options["top_k"] = settings.max_candidates
    if "use_focal_loss" in asked:
        options["use_focal_loss"] = bool(getattr(loaded.model.config, "use_focal_loss", True))
    return options
