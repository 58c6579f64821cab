"""Choosing regions among proposals: people first, then what is large, central, rare, prominent and unlike the rest.

LSKD (section 2.1) names five heuristics and two numbers; the formula here is our own: each step takes the proposal
of most worth, and what is kept lowers the worth of its own kind. Choosing by non-maximum suppression alone was given
up, for it spends all regions on one corner of a busy image.

The result does not depend on the order of the proposals. Regions are numbered in reading order (top third before
middle before bottom, left to right within each), so that a number says nothing of importance.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ostensive.records import Box
from verbalizers.choice_settings import ChoiceSettings
from verbalizers.frequencies import NO_FREQUENCIES, Frequencies, load_frequencies
from verbalizers.label_lists import folded

CHOICE_VERSION = "choice-2"
AREA_LABEL = "area"  # the label of what no detector has named
WHOLE_BOX = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A box that may become a region."""

    box: Box
    label: str  # what the proposer took it for, "area" where it does not know
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
