"""Which class gives which part of a verbalization, by the settings that choose it, and the section that they make up.

Every part (concepts, narratives, regions, captions, probes) is chosen on its own, so that a detector can be used with
pixel captions. A verbalizer is a module with its settings and its class, its test, and a line in the table of its part
and in the type below it. Where a number comes from LSKD it is cited; the others are this project's own, for the paper
publishes none.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar  # Any: each kind has settings of its own

from pydantic import Field

from ostensive.chat.pictures import SentImageSettings
from ostensive.settings import Operational, Settings
from verbalizers.base import Captioner, ConceptLabeller, Narrator, Prober, RegionProposer, VerbalizerContext
from verbalizers.clip.concepts import ClipConcepts
from verbalizers.clip.settings import ClipConceptSettings
from verbalizers.detectors.detectron2_backend import detectron2_regions
from verbalizers.detectors.detectron2_weights import Detectron2RegionSettings
from verbalizers.detectors.torchvision_backend import TorchvisionRegionSettings, torchvision_regions
from verbalizers.detectors.transformers_backend import DetectorRegionSettings, detector_regions
from verbalizers.detectors.zero_shot_backend import ZeroShotRegionSettings, zero_shot_regions
from verbalizers.image_text.settings import (
    EndpointSettings,
    GeneratorCaptionSettings,
    GeneratorNarrativeSettings,
    GeneratorProbeSettings,
    ServedCaptionSettings,
    ServedNarrativeSettings,
    ServedProbeSettings,
)
from verbalizers.image_text.verbalizers import ModelCaptions, ModelNarratives, ModelProbes
from verbalizers.left_out import LeftOut, LeftOutSettings
from verbalizers.pixels.proposals import PixelRegionSettings
from verbalizers.pixels.verbalizers import (
    PixelCaptions,
    PixelCaptionSettings,
    PixelConcepts,
    PixelConceptSettings,
    PixelNarratives,
    PixelNarrativeSettings,
    PixelProbes,
    PixelProbeSettings,
    PixelRegions,
)

VerbalizerT = TypeVar("VerbalizerT")
Table = Mapping[type[Settings], Callable[[Any, VerbalizerContext], VerbalizerT]]

CONCEPTS: Final[Table[ConceptLabeller]] = {
    PixelConceptSettings: PixelConcepts,
    ClipConceptSettings: ClipConcepts,
    LeftOutSettings: LeftOut,
}
ConceptSettings = Annotated[PixelConceptSettings | ClipConceptSettings | LeftOutSettings, Field(discriminator="kind")]

NARRATIVES: Final[Table[Narrator]] = {
    PixelNarrativeSettings: PixelNarratives,
    GeneratorNarrativeSettings: ModelNarratives,
    ServedNarrativeSettings: ModelNarratives,
    LeftOutSettings: LeftOut,
}
NarrativeSettings = Annotated[
    PixelNarrativeSettings | GeneratorNarrativeSettings | ServedNarrativeSettings | LeftOutSettings,
    Field(discriminator="kind"),
]

REGIONS: Final[Table[RegionProposer]] = {
    PixelRegionSettings: PixelRegions,
    DetectorRegionSettings: detector_regions,
    ZeroShotRegionSettings: zero_shot_regions,
    TorchvisionRegionSettings: torchvision_regions,
    Detectron2RegionSettings: detectron2_regions,
}
RegionSettings = Annotated[
    PixelRegionSettings
    | DetectorRegionSettings
    | ZeroShotRegionSettings
    | TorchvisionRegionSettings
    | Detectron2RegionSettings,
    Field(discriminator="kind"),
]

CAPTIONS: Final[Table[Captioner]] = {
    PixelCaptionSettings: PixelCaptions,
    GeneratorCaptionSettings: ModelCaptions,
    ServedCaptionSettings: ModelCaptions,
    LeftOutSettings: LeftOut,
}
CaptionSettings = Annotated[
    PixelCaptionSettings | GeneratorCaptionSettings | ServedCaptionSettings | LeftOutSettings,
    Field(discriminator="kind"),
]

PROBES: Final[Table[Prober]] = {
    PixelProbeSettings: PixelProbes,
    GeneratorProbeSettings: ModelProbes,
    ServedProbeSettings: ModelProbes,
    LeftOutSettings: LeftOut,
}
ProbeSettings = Annotated[
    PixelProbeSettings | GeneratorProbeSettings | ServedProbeSettings | LeftOutSettings, Field(discriminator="kind")
]


class VerbalizeSettings(Settings):
    """How images are turned into text."""

    working_side_px: int = Field(default=160, ge=32, le=2048)
    """Images with more pixels than this squared are shrunk to about as many before colours, light and segments are
    worked out; time grows with its square."""
    sharpness_side_px: int = Field(default=384, ge=32, le=4096)
    """The same for telling sharp from blurred, which shrinking would hide."""
    concepts: ConceptSettings = PixelConceptSettings()
    """Sentences on the image as a whole."""
    narratives: NarrativeSettings = PixelNarrativeSettings()
    """Descriptions of the image."""
    regions: RegionSettings = PixelRegionSettings()
    """Where to look for what gets a number."""
    captions: CaptionSettings = PixelCaptionSettings()
    """What is said of each region."""
    probes: ProbeSettings = PixelProbeSettings()
    """Questions and answers."""
    endpoint: EndpointSettings | None = None
    """The chat model of the sections of kind `served`; None takes the teacher's, which then has to be a served one."""
    sent_images: SentImageSettings = SentImageSettings()
    """How images go to a served model."""
    max_pixels_at_once: Operational[Annotated[int, Field(ge=1)]] = 128_000_000
    """Decoded pixels held at a time (3 bytes each), half of them of the images that come next; one image is always let
    through."""

    @property
    def asks_endpoint(self) -> bool:
        """Whether the served model is asked."""
        return "served" in (self.narratives.kind, self.captions.kind, self.probes.kind)
