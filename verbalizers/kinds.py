"""The one table of kinds: which class tells which part of a verbalization.

A new kind is its module, its test, its settings and a line here. Kinds that register themselves when they are imported
were given up: nobody could read anywhere which there are.
"""

from collections.abc import Callable, Mapping
from typing import Any

from verbalizers import parts
from verbalizers.clip.concepts import ClipConcepts
from verbalizers.detectors.detectron2_backend import detectron2_regions
from verbalizers.detectors.torchvision_backend import torchvision_regions
from verbalizers.detectors.transformers_backend import detector_regions
from verbalizers.detectors.zero_shot_backend import zero_shot_regions
from verbalizers.image_text.parts import ModelCaptions, ModelNarratives, ModelProbes
from verbalizers.pixels.parts import PixelCaptions, PixelConcepts, PixelNarratives, PixelProbes, PixelRegions

# Any: each kind has settings of its own.
CONCEPT_PARTS: Mapping[str, Callable[[Any, parts.PartTools], parts.ConceptPart]] = {
    "pixels": PixelConcepts,
    "clip": ClipConcepts,
}
NARRATIVE_PARTS: Mapping[str, Callable[[Any, parts.PartTools], parts.NarrativePart]] = {
    "pixels": PixelNarratives,
    "generator": ModelNarratives,
    "served": ModelNarratives,
}
REGION_PARTS: Mapping[str, Callable[[Any, parts.PartTools], parts.RegionPart]] = {
    "pixels": PixelRegions,
    "detector": detector_regions,
    "zero_shot": zero_shot_regions,
    "torchvision": torchvision_regions,
    "detectron2": detectron2_regions,
}
CAPTION_PARTS: Mapping[str, Callable[[Any, parts.PartTools], parts.CaptionPart]] = {
    "pixels": PixelCaptions,
    "generator": ModelCaptions,
    "served": ModelCaptions,
}
PROBE_PARTS: Mapping[str, Callable[[Any, parts.PartTools], parts.ProbePart]] = {
    "pixels": PixelProbes,
    "generator": ModelProbes,
    "served": ModelProbes,
}
