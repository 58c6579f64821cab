"""Choosing regions among proposals: people first, then what is large, central, rare, prominent and unlike the rest.

LSKD (section 2.1) names five heuristics and two numbers; the formula here is our own: each step takes the proposal
of most worth, and what is kept lowers the worth of its own kind; non-maximum suppression alone would spend all regions
on one corner of a busy image.

The result does not depend on the order of the proposals. Regions are numbered in reading order (top third before
middle before bottom, left to right within each), so that a number says nothing of importance.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, field_validator

from ostensive.models.needs import ModelNeed
from ostensive.records import AREA_LABEL, Box
from ostensive.settings import Settings
from ostensive.user_paths import UserPath
from verbalizers.frequencies import NO_FREQUENCIES, Frequencies, load_frequencies
from verbalizers.label_lists import folded

CHOICE_VERSION = "choice-2"
WHOLE_BOX = Box(0.0, 0.0, 1.0, 1.0)
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
    frequencies: UserPath | None = None
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


@dataclass(frozen=True, slots=True)
class Proposal:
    """A box that may become a region."""

    box: Box
    label: str  # what the proposer took it for, `AREA_LABEL` where it does not know
    label_probability: float | None  # the proposer's own confidence, 0-1; None where it has none
    kind: str  # what variety is counted by: the label, or the main colour of an area
    prominence: float  # how much it stands out, 0-1: the detector's confidence, or what a proposer has instead


def centrality(box: Box) -> float:
    """1 for a box in the middle of the view, 0 for one whose middle is a corner."""
    x, y = box.center
    return 1 - math.hypot(x - 0.5, y - 0.5) / math.hypot(0.5, 0.5)


def worth(proposal: Proposal, settings: ChoiceSettings, frequencies: Frequencies = NO_FREQUENCIES) -> float:
    """Prominence, size, centrality and rarity in one number, 0-1. People are not weighed by how rare they are."""
    place = 1 - settings.centrality_weight * (1 - centrality(proposal.box))
    rarity = 1.0 if is_person(proposal, settings) else frequencies.rarity(proposal.label, settings.rarity_exponent)
    return float(proposal.prominence * proposal.box.area**settings.size_exponent * place * rarity)


def is_person(proposal: Proposal, settings: ChoiceSettings) -> bool:
    """Whether the label is one of those that count as people."""
    return folded(proposal.label) in settings.people_labels


def choose(
    proposals: Iterable[Proposal], settings: ChoiceSettings, frequencies: Frequencies = NO_FREQUENCIES
) -> tuple[Proposal, ...]:
    """The proposals to keep, in the order of their numbers; one of the whole view where none can be kept."""
    worths = {proposal: worth(proposal, settings, frequencies) for proposal in proposals}
    ranked = sorted(worths, key=lambda proposal: (-worths[proposal], *_fixed_order(proposal)))
    people = [proposal for proposal in ranked if is_person(proposal, settings)]
    others = [proposal for proposal in ranked if not is_person(proposal, settings)]
    kept: list[Proposal] = []
    for proposal in people:
        if len(kept) < min(settings.max_people, settings.max_regions) and _has_room(proposal, kept, settings):
            kept.append(proposal)
    whole = Proposal(WHOLE_BOX, AREA_LABEL, None, AREA_LABEL, 0.0)
    return tuple(sorted(_fill(kept, others, worths, settings), key=_reading_order)) or (whole,)


def _fill(
    kept: list[Proposal], others: list[Proposal], worths: Mapping[Proposal, float], settings: ChoiceSettings
) -> list[Proposal]:
    """`kept` and as many of `others` as there is room for, most worth first."""
    kept, kinds = list(kept), Counter(proposal.kind for proposal in kept)
    others = [proposal for proposal in others if _has_room(proposal, kept, settings)]
    while others and len(kept) < settings.max_regions:
        # `max` takes the first of equals, and `others` is in a fixed order.
        best = max(others, key=lambda other: worths[other] * settings.repeat_factor ** kinds[other.kind])
        kept.append(best)
        kinds[best.kind] += 1
        others = [
            other
            for other in others
            if kinds[other.kind] < settings.max_per_kind
            and other.box.overlap(best.box) <= settings.max_overlap
            and other is not best
        ]
    return kept


def _has_room(proposal: Proposal, kept: list[Proposal], settings: ChoiceSettings) -> bool:
    """Whether `proposal` may stand beside `kept`: overlap, and the cap of its kind."""
    alike = sum(other.kind == proposal.kind for other in kept)
    clear = all(proposal.box.overlap(other.box) <= settings.max_overlap for other in kept)
    return clear and alike < settings.max_per_kind


def _corners(proposal: Proposal) -> tuple[float, float, float, float, str]:
    box = proposal.box
    return box.y1, box.x1, box.y2, box.x2, proposal.label


def _fixed_order(proposal: Proposal) -> tuple[tuple[float, float, float, float, str], str, float, float]:
    """Differs for any two proposals that differ."""
    probability = -1.0 if proposal.label_probability is None else proposal.label_probability
    return _corners(proposal), proposal.kind, -proposal.prominence, -probability


def _reading_order(proposal: Proposal) -> tuple[int, float, tuple[object, ...]]:
    x, y = proposal.box.center
    return min(int(3 * y), 2), x, _fixed_order(proposal)


class Chooser:
    """`choose` as a verbalizer uses it, its settings and its prior read once; may be called from several threads."""

    def __init__(self, settings: ChoiceSettings) -> None:
        """Raises `SettingsError` for a file of frequencies that cannot be used."""
        self._settings = settings
        self._frequencies = NO_FREQUENCIES if settings.frequencies is None else load_frequencies(settings.frequencies)

    @property
    def version(self) -> str:
        """Changes with the content of the file of frequencies; a part of the version of whoever chooses."""
        if self._settings.frequencies is None:
            return CHOICE_VERSION
        return f"{CHOICE_VERSION}:{self._frequencies.fingerprint[:16]}"

    def __call__(self, proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
        """The proposals to keep, in the order of their numbers: at least one."""
        return choose(proposals, self._settings, self._frequencies)
