"""The one table of kinds: which class gives which part of a verbalization.

A new kind is its module, its test, its settings and a line here.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar  # Any: each kind has settings of its own

from verbalizers.base import Captioner, ConceptLabeller, Narrator, Prober, RegionProposer, VerbalizerContext
from verbalizers.clip.concepts import ClipConcepts
from verbalizers.detectors.detectron2_backend import detectron2_regions
from verbalizers.detectors.torchvision_backend import torchvision_regions
from verbalizers.detectors.transformers_backend import detector_regions
from verbalizers.detectors.zero_shot_backend import zero_shot_regions
from verbalizers.image_text.verbalizers import ModelCaptions, ModelNarratives, ModelProbes
from verbalizers.pixels.verbalizers import PixelCaptions, PixelConcepts, PixelNarratives, PixelProbes, PixelRegions

VerbalizerT = TypeVar("VerbalizerT")
Table = Mapping[str, Callable[[Any, VerbalizerContext], VerbalizerT]]

CONCEPTS: Table[ConceptLabeller] = {"pixels": PixelConcepts, "clip": ClipConcepts}
NARRATIVES: Table[Narrator] = {
    "pixels": PixelNarratives,
    "generator": ModelNarratives,
    "served": ModelNarratives,
}
REGIONS: Table[RegionProposer] = {
    "pixels": PixelRegions,
    "detector": detector_regions,
    "zero_shot": zero_shot_regions,
    "torchvision": torchvision_regions,
    "detectron2": detectron2_regions,
}
CAPTIONS: Table[Captioner] = {"pixels": PixelCaptions, "generator": ModelCaptions, "served": ModelCaptions}
PROBES: Table[Prober] = {"pixels": PixelProbes, "generator": ModelProbes, "served": ModelProbes}
