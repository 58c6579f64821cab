"""The five parts from pixels and geometry alone: thin classes around the pure functions of this room."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from ostensive.records import Probe, Verbalization
from verbalizers.choice import Proposal
from verbalizers.chooser import Chooser
from verbalizers.parts import PartTools, Unsaid, View
from verbalizers.pixels.captions import caption_of
from verbalizers.pixels.concepts import tell_concepts
from verbalizers.pixels.narratives import tell_narratives
from verbalizers.pixels.probes import ask_probes
from verbalizers.pixels.proposals import load_cascade, propose
from verbalizers.settings import (
    PixelCaptionSettings,
    PixelConceptSettings,
    PixelNarrativeSettings,
    PixelProbeSettings,
    PixelRegionSettings,
)

PIXELS_VERSION = "pixels-1"


class _PixelPart:
    """What the five have alike: no resource to acquire."""

    version = PIXELS_VERSION
    images_wanted = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class PixelConcepts(_PixelPart):
    """Palette, light and layout."""

    def __init__(self, settings: PixelConceptSettings, tools: PartTools) -> None:
        self._settings, self._tools = settings, tools

    def concepts(self, views: Sequence[View]) -> Sequence[tuple[str, ...] | Unsaid]:
        return self._tools.workers.map(self._of, views)

    def _of(self, view: View) -> tuple[str, ...]:
        return tell_concepts(view.scene, self._settings.max_colours, self._tools.rng(view.image_id, "concepts"))


class PixelNarratives(_PixelPart):
    """Walks over the scene."""

    def __init__(self, settings: PixelNarrativeSettings, tools: PartTools) -> None:
        self._settings, self._tools = settings, tools

    def narratives(self, views: Sequence[View]) -> Sequence[tuple[str, ...] | Unsaid]:
        return self._tools.workers.map(self._of, views)

    def _of(self, view: View) -> tuple[str, ...]:
        return tell_narratives(view.scene, self._settings.count, self._tools.rng(view.image_id, "narratives"))


class PixelRegions(_PixelPart):
    """Segments that stand out, and faces."""

    def __init__(self, settings: PixelRegionSettings, tools: PartTools) -> None:
        """Raises `SettingsError` for a file of label frequencies that cannot be used."""
        self._settings, self._tools = settings, tools
        self._choose = Chooser(settings.choice)
        self.version = f"{PIXELS_VERSION}+{self._choose.version}"
        self._cascade: Any | None = None  # Any: scikit-image is untyped

    def __enter__(self) -> Self:
        self._cascade = load_cascade() if self._settings.faces else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cascade = None

    def regions(self, views: Sequence[View]) -> Sequence[tuple[Proposal, ...] | Unsaid]:
        return self._tools.workers.map(self._of, views)

    def _of(self, view: View) -> tuple[Proposal, ...]:
        return self._choose(propose(view.raster, self._cascade, self._settings))


class PixelCaptions(_PixelPart):
    """Size, colour, texture and place."""

    def __init__(self, settings: PixelCaptionSettings, tools: PartTools) -> None:
        self._settings, self._tools = settings, tools

    def captions(
        self, views: Sequence[View], regions: Sequence[tuple[Proposal, ...]]
    ) -> Sequence[tuple[str, ...] | Unsaid]:
        return self._tools.workers.map(self._of, list(zip(views, regions, strict=True)))

    def _of(self, item: tuple[View, tuple[Proposal, ...]]) -> tuple[str, ...]:
        view, regions = item
        rng = self._tools.rng(view.image_id, "captions")
        return tuple(caption_of(view.region(region.box, region.label), rng) for region in regions)


class PixelProbes(_PixelPart):
    """Questions with computed answers."""

    def __init__(self, settings: PixelProbeSettings, tools: PartTools) -> None:
        self._settings, self._tools = settings, tools

    def probes(self, views: Sequence[View], drafts: Sequence[Verbalization]) -> Sequence[tuple[Probe, ...] | Unsaid]:
        return self._tools.workers.map(self._of, list(zip(views, drafts, strict=True)))

    def _of(self, item: tuple[View, Verbalization]) -> tuple[Probe, ...]:
        view, draft = item
        regions = [view.region(region.box, region.label) for region in draft.regions]
        return ask_probes(view.scene, regions, self._settings.count, self._tools.rng(view.image_id, "probes"))
