"""Regions by a detector of `transformers` that is told what to look for (kind `zero_shot`).

A vocabulary that is too long for one prompt is asked in several, and what they find is put together: a box that two of
them name differently is settled by the overlap rule of the choice, in favour of the likelier name.
"""

import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import PIL.Image

from ostensive.models.devices import give_back_memory
from ostensive.models.files import model_version
from verbalizers.detectors.detection import DetectedRegions, Detection
from verbalizers.detectors.models import LoadedDetector, Pictures, load_detector, prepare_pictures
from verbalizers.detectors.settings import ZeroShotRegionSettings
from verbalizers.detectors.zero_shot_prompts import Asker, Told, asker_of
from verbalizers.label_lists import BUILT_IN, LabelList, distinct, load_labels
from verbalizers.parts import PartTools, Workers

ZERO_SHOT_VERSION = "zero-shot-1"

_log = logging.getLogger(__name__)


class ZeroShotDetector:
    """The model that `settings` name, looking for their vocabulary, as a `Detector`."""

    def __init__(self, settings: ZeroShotRegionSettings, workers: Workers) -> None:
        """Raises `SettingsError` for a vocabulary that cannot be read."""
        self._settings, self._workers = settings, workers
        self.vocabulary = _read_vocabulary(settings.vocabulary)
        self._loaded: LoadedDetector | None = None
        self._asker: Asker | None = None
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Changes with the content of the vocabulary, whatever its file is called, and with the weights."""
        if self._version is None:
            weights = model_version(self._settings.model, self._settings.revision)
            self._version = f"{ZERO_SHOT_VERSION}:{self.vocabulary.fingerprint[:16]}:{weights}"
        return self._version

    def __enter__(self) -> Self:
        """Loads the model; raises `SettingsError` where it cannot be, or cannot read the vocabulary."""
        loaded = load_detector(self._settings, "ZeroShotObjectDetection")
        self._asker = asker_of(Told(loaded, self.vocabulary.labels, self._settings))
        self._loaded = loaded
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = self._asker = None
        give_back_memory()

    @property
    def loaded(self) -> LoadedDetector:
        """The model itself and its processor."""
        assert self._loaded is not None, "a detector is entered before it is asked"
        return self._loaded

    def prepare(self, pictures: Sequence[PIL.Image.Image]) -> Pictures:
        return prepare_pictures(self._workers, self.loaded, pictures)

    def detect(self, ready: Pictures) -> list[list[Detection]]:
        import torch

        assert self._asker is not None, "a detector is entered before it is asked"
        found: list[list[Detection]] = [[] for _ in ready.sizes]
        for places in ready.groups():
            with torch.inference_mode():
                answers = self._asker.ask(ready.batch(places, self.loaded), [ready.sizes[place] for place in places])
            for place, answer in zip(places, answers, strict=True):
                found[place] = sorted(answer, key=lambda detection: -detection.probability)
        return found


def zero_shot_regions(settings: ZeroShotRegionSettings, tools: PartTools) -> DetectedRegions:
    """The part `regions` of the kind `zero_shot`."""
    return DetectedRegions(ZeroShotDetector(settings, tools.workers), settings, tools)


def _read_vocabulary(source: tuple[str, ...] | str) -> LabelList:
    labels = load_labels(source) if isinstance(source, str) else distinct(source)
    if labels.repeated and source not in BUILT_IN:  # nobody can mend a built-in list
        _log.warning(
            "vocabulary: %s repeats %d of its labels; each counts once (%d labels)",
            source if isinstance(source, str) else "the list",
            labels.repeated,
            len(labels.labels),
        )
    return labels
