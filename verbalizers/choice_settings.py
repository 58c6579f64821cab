"""What a recipe may say about the choice of regions among proposals, whoever proposes."""

from pydantic import Field

from ostensive.settings import Settings


class ChoiceSettings(Settings):
    """Which of the proposed regions are kept: the heuristics of LSKD, section 2.1, with numbers of our own."""

    max_regions: int = Field(default=8, ge=1, le=100)
    """Most regions an image. LSKD keeps about ten."""
    max_people: int = Field(default=4, ge=0)
    """Most people or faces, the largest and most central first. LSKD, section 2.1: four."""
    max_per_kind: int = Field(default=4, ge=1)
    """Most regions of one kind: of one class, or of one main colour where the proposer knows no classes."""
    max_overlap: float = Field(default=0.4, ge=0, le=1)
    """Two kept regions overlap at most by this intersection over union."""
    repeat_factor: float = Field(default=0.8, gt=0, le=1)
    """What each region of the same kind that is already kept leaves of the worth of another; 1 ignores variety."""
    size_exponent: float = Field(default=0.5, ge=0, le=2)
    """Worth grows with the share of the image to this power; 0 ignores size."""
    centrality_weight: float = Field(default=0.5, ge=0, le=1)
    """Share of the worth that a region in a corner loses against one in the centre; 0 ignores place."""
