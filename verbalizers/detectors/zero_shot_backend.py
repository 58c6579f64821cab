"""Regions by a detector of `transformers` that is told what to look for (kind `zero_shot`).

A vocabulary that is too long for one prompt is asked in several, and what they find is put together: a box that two of
them name differently is settled by the overlap rule of the choice, in favour of the likelier name.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Self

import PIL.Image
from pydantic import Field, field_validator

from ostensive.models.devices import give_back_memory
from ostensive.models.files import model_version
from ostensive.models.needs import ModelNeed
from verbalizers.base import VerbalizerContext, Workers
from verbalizers.detectors.detection import DetectedRegions, Detection
from verbalizers.detectors.models import HubDetectorSettings, LoadedDetector, Pictures, load_detector, prepare_pictures
from verbalizers.detectors.zero_shot_prompts import PromptedDetector, ZeroShotTask, prompted_detector
from verbalizers.label_lists import BUILT_IN, LabelList, LabelSource, distinct, load_labels

LABEL_SLOT = "{label}"
ZERO_SHOT_VERSION = "zero-shot-1"

_log = logging.getLogger(__name__)


class ZeroShotRegionSettings(HubDetectorSettings):
    """Regions by a detector that is told what to look for: Grounding DINO, OWLv2, OWL-ViT, OmDet-Turbo."""

    kind: Literal["zero_shot"] = "zero_shot"
    vocabulary: LabelSource
    """What to look for: labels, or a UTF-8 text file with a label a line, or `imagenet`."""
    template: str = LABEL_SLOT
    """The words each label is put into before the model reads it, with {label} in them, once. OWL models have read many
    a "a photo of a {label}"."""
    labels_at_once: int = Field(default=80, ge=1, le=10_000)
    """Most labels in one prompt. A longer vocabulary takes several prompts, each a run of the model over the image; the
    OWL models read each label alone and run once whatever stands here."""
    min_probability: float = Field(default=0.25, ge=0, le=1)
    """Detections that their detector holds less likely are left out. 0.2 to 0.35 for Grounding DINO, 0.1 to 0.3 for the
    OWL models."""

    @field_validator("template")
    @classmethod
    def _has_a_slot(cls, value: str) -> str:
        if value.count(LABEL_SLOT) != 1:
            raise ValueError(f"a text with {LABEL_SLOT} in it, once, is expected")
        return value

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model, and the vocabulary where it is a file."""
        if not isinstance(self.vocabulary, str) or self.vocabulary in BUILT_IN:
            return super().needs()
        return (*super().needs(), ModelNeed(role="vocabulary", kind="file", name=self.vocabulary))


class ZeroShotDetector:
    """The model that `settings` name, looking for their vocabulary, as a `Detector`."""

    def __init__(self, settings: ZeroShotRegionSettings) -> None:
        """Raises `SettingsError` for a vocabulary that cannot be read."""
        self._settings = settings
        self.vocabulary = _read_vocabulary(settings.vocabulary)
        self._loaded: LoadedDetector | None = None
        self._prompted: PromptedDetector | None = None
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Changes with the content of the vocabulary, whatever its file is called, and with the weights."""
        if self._version is None:
            weights = model_version(self._settings.model, self._settings.revision)
            self._version = f"{ZERO_SHOT_VERSION}:{self.vocabulary.fingerprint[:16]}:{weights}"
        return self._version

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """Loads the model; raises `SettingsError` where it cannot be, or cannot read the vocabulary."""
        loaded = load_detector(self._settings, "ZeroShotObjectDetection")
        settings, labels = self._settings, self.vocabulary.labels
        words = tuple(settings.template.replace(LABEL_SLOT, label) for label in labels)
        task = ZeroShotTask(loaded, labels, words, settings.labels_at_once, settings.min_probability)
        self._prompted = prompted_detector(task)
        self._loaded = loaded
        try:
            yield self
        finally:
            self._loaded = self._prompted = None
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

        assert self._prompted is not None, "a detector is opened before it is asked"
        found: list[list[Detection]] = [[] for _ in ready.sizes]
        for places in ready.groups():
            with torch.inference_mode():
                answers = self._prompted.ask(ready.batch(places, self.loaded), [ready.sizes[place] for place in places])
            for place, answer in zip(places, answers, strict=True):
                found[place] = sorted(answer, key=lambda detection: -detection.probability)
        return found


def zero_shot_regions(settings: ZeroShotRegionSettings, context: VerbalizerContext) -> DetectedRegions:  # noqa: ARG001 - of every verbalizer
    """The regions of the kind `zero_shot`."""
    return DetectedRegions(ZeroShotDetector(settings), settings)


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
