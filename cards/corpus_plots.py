"""Which plots a corpus has, and under which names."""

from dataclasses import dataclass
from typing import Final

from cards.distributions import Frequencies, Histogram
from cards.plots import bars_svg, histogram_svg, plot_names
from cards.statistics.figures import CorpusStatistics

PLOTS: Final = "plots"


@dataclass(frozen=True, slots=True)
class CorpusPlot:
    """A plot of a corpus."""

    name: str  # what is shown
    path: str  # relative to the corpus, with `/`
    svg: str
    counted: int  # the values that it shows


def plots_of(figures: CorpusStatistics) -> tuple[CorpusPlot, ...]:
    """A plot of everything that is spread over more than one bin or value, in the order of the figures."""
    every: list[Histogram | Frequencies] = [*figures.histograms, *figures.frequencies]
    shown = [one for one in every if _is_spread(one)]
    names = plot_names(f"{'histogram' if isinstance(one, Histogram) else 'bars'}-{one.name}" for one in shown)
    return tuple(
        CorpusPlot(one.name, f"{PLOTS}/{name}", _svg(one), one.total) for one, name in zip(shown, names, strict=True)
    )


def _is_spread(distribution: Histogram | Frequencies) -> bool:
    if isinstance(distribution, Histogram):
        return sum(count > 0 for count in distribution.counts) > 1
    return len(distribution.counts) > 1


def _svg(distribution: Histogram | Frequencies) -> str:
    return histogram_svg(distribution) if isinstance(distribution, Histogram) else bars_svg(distribution)
