"""The plots of a report, as SVG."""

from collections import Counter

from cards.distributions import Frequencies
from cards.plots import bars_svg, histogram_svg
from cards.report.choosing import ChosenRows
from cards.report.scanning import RunScan


def plots_of(scan: RunScan, chosen: ChosenRows) -> list[str]:
    """How the scores of each critic spread over all rows that it scored, and why rows were lost."""
    lost: Counter[str] = Counter()
    for (_, _, reason), count in chosen.by_fate.items():
        if reason:
            lost[reason] += count
    ordered = dict(sorted(lost.items(), key=lambda one: (-one[1], one[0])))
    losses = [bars_svg(Frequencies("reasons for which rows were lost", ordered))] if lost else []
    return [*map(histogram_svg, scan.histograms()), *losses]
