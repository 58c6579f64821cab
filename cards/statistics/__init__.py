"""Figures of a corpus: what they are, how they are gathered while it is written, and again from its files."""

from cards.statistics.figures import NOT_GIVEN, SMALL_BOX_AREA, CorpusStatistics
from cards.statistics.gathering import StatisticsGatherer
from cards.statistics.recounting import statistics_of

__all__ = ["NOT_GIVEN", "SMALL_BOX_AREA", "CorpusStatistics", "StatisticsGatherer", "statistics_of"]
