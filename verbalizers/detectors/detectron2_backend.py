"""Regions by a detector of detectron2 (kind `detectron2`): pictures in the order of channels that it was trained on.

Models of detectron2 scale boxes back to the height and width that are named with a picture, so that what comes out is
in pixels of the picture itself; done twice, every box would be wrong.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self  # Any: detectron2 ships no types

import PIL.Image

from ostensive.fingerprint import fingerprint
from ostensive.models.devices import give_back_memory
from ostensive.models.digests import files_digest
from verbalizers.base import VerbalizerContext, Workers
from verbalizers.detectors.detection import DetectedRegions, Detection, DetectionError, each_in_threads
from verbalizers.detectors.detectron2_models import Detectron2Model, config_path, library_version, load_model
from verbalizers.detectors.detectron2_weights import Detectron2RegionSettings, check_weights

if TYPE_CHECKING:
    import torch

DETECTRON2_VERSION = "detectron2-1"


@dataclass(frozen=True, slots=True)
class Scaled:
    """A picture as the model takes it, and its size before."""

    image: "torch.Tensor"  # (3, height, width) uint8, in the model's order of channels
    height: int  # of the picture, in pixels
    width: int


class Detectron2Detector:
    """The model that `settings` name, as a `Detector`."""

    def __init__(self, settings: Detectron2RegionSettings) -> None:
        self._settings = settings
        self._loaded: Detectron2Model | None = None
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Changes with the content of the checkpoint, of the config's own file and of the class names, and with the
        version of detectron2; not with files that the config imports.

        Raises `SettingsError` where detectron2, the config or the checkpoint is not there.
        """
        if self._version is None:
            files = [config_path(self._settings), check_weights(self._settings)]
            labels = [] if self._settings.labels is None else [files_digest([Path(self._settings.labels)])]
            content = fingerprint([files_digest(files), labels, library_version()])
            self._version = f"{DETECTRON2_VERSION}:{content[:16]}"
        return self._version

    @contextlib.contextmanager
    def opened(self) -> Iterator[Self]:
        """Loads the model; raises `SettingsError` when it cannot be."""
        self._loaded = load_model(self._settings)
        try:
            yield self
        finally:
            self._loaded = None
            give_back_memory()

    @property
    def loaded(self) -> Detectron2Model:
        """The model itself, its scaling and its labels."""
        assert self._loaded is not None, "a detector is opened before it is asked"
        return self._loaded

    def prepare(self, pictures: Sequence[PIL.Image.Image], workers: Workers) -> list[Scaled]:
        return each_in_threads(workers, self._scaled, pictures)

    def _scaled(self, picture: PIL.Image.Image) -> Scaled:
        import numpy as np
        import torch

        pixels = np.asarray(picture.convert("RGB"))
        if self.loaded.input_format == "BGR":
            pixels = np.ascontiguousarray(pixels[:, :, ::-1])
        if self.loaded.resize is not None:
            pixels = self.loaded.resize.get_transform(pixels).apply_image(pixels)
        image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        return Scaled(image, picture.height, picture.width)

    def detect(self, ready: Sequence[Scaled]) -> list[list[Detection]]:
        import torch

        found: list[list[Detection]] = [[] for _ in ready]
        for places in self._batches(ready):
            inputs = [
                {"image": ready[place].image, "height": ready[place].height, "width": ready[place].width}
                for place in places
            ]
            with torch.inference_mode(), self._precision():
                outputs = self.loaded.network(inputs)
            for place, output in zip(places, outputs, strict=True):
                found[place] = self._detections(output["instances"].to("cpu"))
        return found

    def _batches(self, ready: Sequence[Scaled]) -> list[list[int]]:
        """Positions that share a batch: pictures of one size, for padding is seen by the models that are not told."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, scaled in enumerate(ready):
            shape = () if self.loaded.pads_to_one_size else tuple(scaled.image.shape)
            groups.setdefault(shape, []).append(place)
        return list(groups.values())

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if self._settings.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.loaded.device.partition(":")[0], getattr(torch, self._settings.dtype))

    def _detections(self, instances: Any) -> list[Detection]:
        labels, made = self.loaded.labels, []
        fields = instances.pred_boxes.tensor.double(), instances.scores.double(), instances.pred_classes
        for box, score, number in zip(*(field.tolist() for field in fields), strict=True):
            if not 0 <= number < len(labels):
                raise DetectionError(f"the detector found class {number}, and {len(labels)} classes have names")
            made.append(Detection((box[0], box[1], box[2], box[3]), labels[number], score))
        return sorted(made, key=lambda detection: -detection.probability)


def detectron2_regions(settings: Detectron2RegionSettings, context: VerbalizerContext) -> DetectedRegions:  # noqa: ARG001 - of every verbalizer
    """The regions of the kind `detectron2`."""
    return DetectedRegions(Detectron2Detector(settings), settings)
