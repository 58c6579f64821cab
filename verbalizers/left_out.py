"""Parts that are left out: what a teacher learns from each of them shows when it is missing (LSKD, section 3)."""

from collections.abc import Sequence
from typing import Final, Literal

from ostensive.records import Probe, Verbalization
from ostensive.settings import Settings
from verbalizers.base import DecodedImage, Verbalizer, VerbalizerContext
from verbalizers.choice import Proposal


class LeftOutSettings(Settings):
    """This part of the text is left out."""

    kind: Literal["none"] = "none"


class LeftOut(Verbalizer):
    """Says nothing of an image, whichever of the four parts it stands for; regions alone cannot be left out."""

    version: Final = "none-1"

    def __init__(self, settings: LeftOutSettings, context: VerbalizerContext) -> None:
        del settings, context  # as every verbalizer is made

    def concepts(self, images: Sequence[DecodedImage]) -> list[tuple[str, ...]]:
        return [()] * len(images)

    def narratives(self, images: Sequence[DecodedImage]) -> list[tuple[str, ...]]:
        return [()] * len(images)

    def captions(
        self, images: Sequence[DecodedImage], regions: Sequence[tuple[Proposal, ...]]
    ) -> list[tuple[str, ...]]:
        """An empty caption for each region: a prompt gives its label and its box."""
        del images
        return [("",) * len(proposals) for proposals in regions]

    def probes(self, images: Sequence[DecodedImage], drafts: Sequence[Verbalization]) -> list[tuple[Probe, ...]]:
        del drafts
        return [()] * len(images)
