"""The plots of a report, as SVG."""

from cards.distributions import Frequencies
from cards.plots import bars_svg, histogram_svg
from cards.report.choosing import ChosenRows
from cards.report.scanning import RunScan


def plots_of(scan: RunScan, chosen: ChosenRows) -> list[str]:
    """How critics' scores spread over all rows that they scored, and what became of all rows."""
    fates = {
        f"{state}, {stage}: {reason}" if reason else state: count
        for (state, stage, reason), count in sorted(chosen.by_fate.items(), key=lambda one: (-one[1], one[0]))
    }
    return [*map(histogram_svg, scan.histograms()), *([bars_svg(Frequencies("fates of rows", fates))] if fates else [])]
