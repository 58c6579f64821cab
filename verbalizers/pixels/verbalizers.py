"""The five verbalizers of the kind `pixels`: thin classes around the pure functions of this room."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal, Self  # Any: scikit-image is untyped

import PIL.Image
from pydantic import Field

from ostensive.records import Box, Probe, Verbalization
from ostensive.run.services import Services
from ostensive.settings import Settings
from verbalizers.base import DecodedImage, ImageFailure, Verbalizer, VerbalizerContext, Workers
from verbalizers.choice import Chooser, Proposal
from verbalizers.pixels.captions import RegionFacts, caption_of, measure_region
from verbalizers.pixels.concepts import tell_concepts
from verbalizers.pixels.narratives import tell_narratives
from verbalizers.pixels.probes import ask_probes
from verbalizers.pixels.proposals import PixelRegionSettings, load_cascade, propose
from verbalizers.pixels.raster import Raster, make_raster
from verbalizers.pixels.scene import Scene, measure_scene

PIXELS_VERSION = "pixels-1"


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


class PixelCaptionSettings(Settings):
    """Size, colour, texture and place of each region, from pixels alone."""

    kind: Literal["pixels"] = "pixels"


class PixelProbeSettings(Settings):
    """Questions whose answers are computed from the pixels and the regions."""

    kind: Literal["pixels"] = "pixels"
    count: int = Field(default=15, ge=0)
    """Most questions of each image; fewer where fewer have a clear answer. LSKD, section 2.1: fifteen."""


class PixelFacts:
    """The figures of an image, as soon as somebody asks; used by one thread at a time."""

    def __init__(self, pixels: PIL.Image.Image, working_side_px: int, sharpness_side_px: int) -> None:
        self._pixels, self._working_side_px, self._sharpness_side_px = pixels, working_side_px, sharpness_side_px
        self._regions: dict[tuple[Box, str], RegionFacts] = {}

    @cached_property
    def raster(self) -> Raster:
        return make_raster(self._pixels, self._working_side_px)

    @cached_property
    def scene(self) -> Scene:
        return measure_scene(self._pixels, self.raster, self._sharpness_side_px)

    def region(self, box: Box, label: str) -> RegionFacts:
        """The figures of a box."""
        if (box, label) not in self._regions:
            self._regions[box, label] = measure_region(self.raster, box, label)
        return self._regions[box, label]


def facts_of(image: DecodedImage, context: VerbalizerContext) -> PixelFacts:
    """The figures of `image`, the same for all verbalizers that ask for them."""
    if "pixels" not in image.memo:
        image.memo["pixels"] = PixelFacts(image.pixels, context.working_side_px, context.sharpness_side_px)
    facts: PixelFacts = image.memo["pixels"]
    return facts


class PixelConcepts(Verbalizer):
    """Palette, light and layout."""

    version = PIXELS_VERSION

    def __init__(self, settings: PixelConceptSettings, context: VerbalizerContext) -> None:
        self._settings, self._context = settings, context

    def concepts(self, images: Sequence[DecodedImage]) -> Sequence[tuple[str, ...] | ImageFailure]:
        return self.workers.map(self._of, images)

    def _of(self, image: DecodedImage) -> tuple[str, ...]:
        facts, rng = facts_of(image, self._context), self._context.rng(image.image_id, "concepts")
        return tell_concepts(facts.scene, self._settings.max_colours, rng)


class PixelNarratives(Verbalizer):
    """Walks over the scene."""

    version = PIXELS_VERSION

    def __init__(self, settings: PixelNarrativeSettings, context: VerbalizerContext) -> None:
        self._settings, self._context = settings, context

    def narratives(self, images: Sequence[DecodedImage]) -> Sequence[tuple[str, ...] | ImageFailure]:
        return self.workers.map(self._of, images)

    def _of(self, image: DecodedImage) -> tuple[str, ...]:
        facts, rng = facts_of(image, self._context), self._context.rng(image.image_id, "narratives")
        return tell_narratives(facts.scene, self._settings.count, rng)


class PixelRegions(Verbalizer):
    """Segments that stand out, and faces."""

    def __init__(self, settings: PixelRegionSettings, context: VerbalizerContext) -> None:
        """Raises `SettingsError` for a file of label frequencies that cannot be used."""
        self._settings, self._context = settings, context
        self._choose = Chooser(settings.choice)
        self._cascade: Any | None = None

    @property
    def version(self) -> str:
        return f"{PIXELS_VERSION}+{self._choose.version}"

    @contextmanager
    def opened(self, services: Services, workers: Workers) -> Iterator[Self]:
        with super().opened(services, workers):
            self._cascade = load_cascade() if self._settings.faces else None
            try:
                yield self
            finally:
                self._cascade = None

    def regions(self, images: Sequence[DecodedImage]) -> Sequence[tuple[Proposal, ...] | ImageFailure]:
        return self.workers.map(self._of, images)

    def _of(self, image: DecodedImage) -> tuple[Proposal, ...]:
        return self._choose(propose(facts_of(image, self._context).raster, self._cascade, self._settings))


class PixelCaptions(Verbalizer):
    """Size, colour, texture and place."""

    version = PIXELS_VERSION

    def __init__(self, settings: PixelCaptionSettings, context: VerbalizerContext) -> None:
        self._settings, self._context = settings, context

    def captions(
        self, images: Sequence[DecodedImage], regions: Sequence[tuple[Proposal, ...]]
    ) -> Sequence[tuple[str, ...] | ImageFailure]:
        return self.workers.map(self._of, list(zip(images, regions, strict=True)))

    def _of(self, item: tuple[DecodedImage, tuple[Proposal, ...]]) -> tuple[str, ...]:
        image, regions = item
        rng = self._context.rng(image.image_id, "captions")
        facts = facts_of(image, self._context)
        return tuple(caption_of(facts.region(region.box, region.label), rng) for region in regions)


class PixelProbes(Verbalizer):
    """Questions with computed answers."""

    version = PIXELS_VERSION

    def __init__(self, settings: PixelProbeSettings, context: VerbalizerContext) -> None:
        self._settings, self._context = settings, context

    def probes(
        self, images: Sequence[DecodedImage], drafts: Sequence[Verbalization]
    ) -> Sequence[tuple[Probe, ...] | ImageFailure]:
        return self.workers.map(self._of, list(zip(images, drafts, strict=True)))

    def _of(self, item: tuple[DecodedImage, Verbalization]) -> tuple[Probe, ...]:
        image, draft = item
        facts = facts_of(image, self._context)
        regions = [facts.region(region.box, region.label) for region in draft.regions]
        return ask_probes(facts.scene, regions, self._settings.count, self._context.rng(image.image_id, "probes"))
