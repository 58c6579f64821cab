"""What a recipe may say about the choice of regions among proposals, whoever proposes."""

from typing import Annotated

from pydantic import Field, field_validator

from ostensive.models.needs import ModelNeed
from ostensive.settings import Settings
from verbalizers.label_lists import folded

# As detectors, published vocabularies and people who write their own call them.
PEOPLE_LABELS = (
    "face",
    "human face",
    "person",
    "people",
    "human",
    "man",
    "men",
    "woman",
    "women",
    "lady",
    "boy",
    "girl",
    "child",
    "children",
    "kid",
    "baby",
    "toddler",
    "pedestrian",
)


class ChoiceSettings(Settings):
    """Which of the proposed regions are kept: the heuristics of LSKD, section 2.1, with numbers of our own."""

    max_regions: int = Field(default=8, ge=1, le=100)
    """Most regions an image. LSKD keeps about ten."""
    people_labels: tuple[Annotated[str, Field(min_length=1)], ...] = PEOPLE_LABELS
    """The labels that count as people, whatever their case; they are kept before all else."""
    max_people: int = Field(default=4, ge=0)
    """Most people or faces, the largest and most central first. LSKD, section 2.1: four."""
    max_per_kind: int = Field(default=4, ge=1)
    """Most regions of one kind, people included: of one label, or of one main colour where nobody knows labels."""
    max_overlap: float = Field(default=0.4, ge=0, le=1)
    """Two kept regions overlap at most by this intersection over union."""
    repeat_factor: float = Field(default=0.8, gt=0, le=1)
    """What each region of the same kind that is already kept leaves of the worth of another; 1 ignores variety."""
    size_exponent: float = Field(default=0.5, ge=0, le=2)
    """Worth grows with the share of the image to this power; 0 ignores size."""
    centrality_weight: float = Field(default=0.5, ge=0, le=1)
    """Share of the worth that a region in a corner loses against one in the centre; 0 ignores place."""
    rarity_exponent: float = Field(default=0.5, ge=0, le=2)
    """Worth falls with how often the label was seen before to this power, where `frequencies` says it; 0 ignores it.
    At 0.5, with size at its 0.5, a label seen a quarter as often makes up for a quarter of the size."""
    frequencies: str | None = None
    """A file of how often labels were seen, a label, a tab and a count a line; None takes all labels for equally rare.
    `ostensive frequencies` makes one of a pilot run."""

    @field_validator("people_labels")
    @classmethod
    def _folded(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(folded(label) for label in value))

    def needs(self) -> tuple[ModelNeed, ...]:
        """The file of frequencies, where there is one."""
        if self.frequencies is None:
            return ()
        return (ModelNeed(role="label counts", kind="file", name=self.frequencies),)
