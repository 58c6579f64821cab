"""What is known of a corpus as a whole: the figures that LSKD prints of its own, and a few more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self  # Any: JSON values, a row's fields of different types

from cards.distributions import Frequencies, Histogram

SMALL_BOX_AREA: Final = 0.05
"""LSKD: about half of all boxes cover at most this share of their image."""
NOT_GIVEN: Final = "(not given)"


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """Figures of a corpus; a mean over nothing is None."""

    images: int
    rows: int
    rows_per_image: float | None
    mean_words: Mapping[str, float]  # by the name of a shown text; see `cards.statistics.words` for what a word is
    mean_mentions: float | None  # distinct regions a row; None where rows mention none by their kind
    rows_by_field: Mapping[str, Mapping[str, int]]  # by counted field and its value
    mean_fields: Mapping[str, float]  # by averaged field, of the rows that have it: true counts as 1
    regions: int
    small_box_share: float | None  # of all regions, those that cover at most SMALL_BOX_AREA
    annotations: int
    images_by_field: Mapping[str, Mapping[str, int]]  # by what came in beside them: `source`, `license`
    mean_accept_probability: Mapping[str, float]  # by critic
    unlabelled_regions: int = 0  # those of which their proposer does not know what they are
    ungraded_rows: int = 0  # those that no critic judged who gives more than 0 and 1 in this corpus
    histograms: tuple[Histogram, ...] = ()
    frequencies: tuple[Frequencies, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = field(default=())  # the first row of the first images of the first split

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """From what `dataclasses.asdict` made of it; raises `TypeError` for other fields."""
        histograms = tuple(
            Histogram(one["name"], one["unit"], tuple(one["edges"]), tuple(one["counts"]))
            for one in values["histograms"]
        )
        frequencies = tuple(Frequencies(**one) for one in values["frequencies"])
        return cls(**{**values, "histograms": histograms, "frequencies": frequencies})
