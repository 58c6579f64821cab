"""What a recipe may say about verbalizing: five sections, each a choice of `kind`, composed into one.

Every part of a verbalization (concepts, narratives, regions, captions, probes) is chosen on its own, so that a detector
can be used with pixel captions. Where a number comes from LSKD it is cited; the others are this project's own, for the
paper publishes none.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ostensive.chat.pictures import SentImageSettings
from ostensive.settings import Operational, Settings
from verbalizers.choice_settings import ChoiceSettings
from verbalizers.clip.settings import ClipConceptSettings
from verbalizers.detectors.detectron2_settings import Detectron2RegionSettings
from verbalizers.detectors.settings import DetectorRegionSettings, TorchvisionRegionSettings, ZeroShotRegionSettings
from verbalizers.image_text.settings import (
    EndpointSettings,
    GeneratorCaptionSettings,
    GeneratorNarrativeSettings,
    GeneratorProbeSettings,
    ServedCaptionSettings,
    ServedNarrativeSettings,
    ServedProbeSettings,
)


class PixelConceptSettings(Settings):
    """Whole sentences on palette, light and layout, from pixels alone."""

    kind: Literal["pixels"] = "pixels"
    max_colours: int = Field(default=3, ge=1, le=8)
    """Most colours named in the palette sentence. LSKD, section 2.1, names three concepts an image."""


class PixelNarrativeSettings(Settings):
    """Short descriptions that walk over the scene, from pixels alone."""

    kind: Literal["pixels"] = "pixels"
    count: int = Field(default=5, ge=0, le=6)
    """Descriptions of each image. LSKD, section 2.1: five localized narratives."""


class PixelRegionSettings(Settings):
    """Regions by segmentation and by the face cascade of scikit-image."""

    kind: Literal["pixels"] = "pixels"
    segments: int = Field(default=150, ge=4, le=2000)
    """Superpixels that merging starts from."""
    min_area: float = Field(default=0.006, ge=0, le=1)
    """Smallest box, as a share of the image."""
    max_area: float = Field(default=0.85, gt=0, le=1)
    """Largest box, as a share of the image; more is background."""
    min_fill: float = Field(default=0.45, ge=0, le=1)
    """Least share of its box that a segment fills; less and the box shows something else."""
    min_contrast: float = Field(default=6.0, ge=0)
    """Least difference in CIELAB between a segment and its neighbours; about 2 can be seen at all."""
    faces: bool = True
    """Look for faces."""
    choice: ChoiceSettings = ChoiceSettings()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError("min_area is at most max_area")
        return self


class PixelCaptionSettings(Settings):
    """Size, colour, texture and place of each region, from pixels alone."""

    kind: Literal["pixels"] = "pixels"


class PixelProbeSettings(Settings):
    """Questions whose answers are computed from the pixels and the regions."""

    kind: Literal["pixels"] = "pixels"
    count: int = Field(default=15, ge=0)
    """Most questions of each image; fewer where fewer have a clear answer. LSKD, section 2.1: fifteen."""


ConceptSettings = Annotated[PixelConceptSettings | ClipConceptSettings, Field(discriminator="kind")]
NarrativeSettings = Annotated[
    PixelNarrativeSettings | GeneratorNarrativeSettings | ServedNarrativeSettings, Field(discriminator="kind")
]
RegionSettings = Annotated[
    PixelRegionSettings
    | DetectorRegionSettings
    | ZeroShotRegionSettings
    | TorchvisionRegionSettings
    | Detectron2RegionSettings,
    Field(discriminator="kind"),
]
CaptionSettings = Annotated[
    PixelCaptionSettings | GeneratorCaptionSettings | ServedCaptionSettings, Field(discriminator="kind")
]
ProbeSettings = Annotated[
    PixelProbeSettings | GeneratorProbeSettings | ServedProbeSettings, Field(discriminator="kind")
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
