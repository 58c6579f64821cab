"""The figures of a corpus: those that LSKD prints of its own (section 3 and appendix), and a few more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final  # Any: JSON values

from cards.distributions import Frequencies, Histogram

SMALL_BOX_AREA: Final = 0.05
"""LSKD: about half of all boxes cover at most this share of their image."""
NOT_GIVEN: Final = "(not given)"
QUESTION_TYPES: Final = "types of questions"
REGION_LABELS: Final = "labels of regions"


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """Figures of a corpus; a mean over nothing is None."""

    images: int
    rows: int
    rows_per_image: float | None
    mean_words: Mapping[str, float]  # by the name of a shown text; for words see `cards.statistics.words`
    mean_mentions: float | None  # distinct regions a row; None where rows mention none by their kind
    rows_by_field: Mapping[str, Mapping[str, int]]  # by counted field and its value
    mean_fields: Mapping[str, float]  # by averaged field, of the rows that have it: true counts as 1
    regions: int
    small_box_share: float | None  # of all regions, those that cover at most SMALL_BOX_AREA
    unnamed_region_share: float | None  # of all regions, those of which the proposer does not know what they are
    mean_box: Mapping[str, float]  # `width`, `height` and `area`, shares of the image; empty without regions
    annotations: int
    images_by_field: Mapping[str, Mapping[str, int]]  # by what came in beside them: `source`, `license`
    mean_accept_probability: Mapping[str, float]  # by critic
    ungraded_rows: int  # judged by no critic that gives, anywhere in this corpus, more than 0 and 1
    histograms: tuple[Histogram, ...] = ()
    frequencies: tuple[Frequencies, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ()  # the first row of the images with the least ids


def statistics_from_json(values: Mapping[str, Any]) -> CorpusStatistics:
    """The figures as `dataclasses.asdict` and JSON gave them; raises `TypeError` or `KeyError` for anything else."""
    histograms = tuple(
        Histogram(one["name"], one["unit"], tuple(one["edges"]), tuple(one["counts"])) for one in values["histograms"]
    )
    frequencies = tuple(Frequencies(**one) for one in values["frequencies"])
    return CorpusStatistics(**{**values, "histograms": histograms, "frequencies": frequencies})
