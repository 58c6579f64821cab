"""The plots of a report, as SVG."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cards.distributions import Frequencies
from cards.plots import bars_svg, histogram_svg, plots_of
from cards.reading import CorpusManifest
from cards.report.choosing import ChosenRows
from cards.report.scanning import RunScan

_WIDTH: Final = 460  # narrow enough for words in it to be read on a phone


@dataclass(frozen=True, slots=True)
class PlotGroup:
    """Plots that belong together, as SVG."""

    title: str
    plots: tuple[str, ...]


def plot_groups(scan: RunScan, chosen: ChosenRows, manifest: CorpusManifest | None) -> tuple[PlotGroup, ...]:
    """The plots of all rows, whatever became of them, and those of the corpus; groups without a plot are left out."""
    corpus = () if manifest is None else tuple(plots_of(manifest.statistics, _WIDTH).values())
    groups = (PlotGroup("All rows", tuple(_of_all(scan, chosen))), PlotGroup("The corpus", corpus))
    return tuple(group for group in groups if group.plots)


def _of_all(scan: RunScan, chosen: ChosenRows) -> Iterator[str]:
    yield from (histogram_svg(one, _WIDTH) for one in scan.histograms())
    lost: Counter[str] = Counter()
    for (_, _, reason), count in chosen.by_fate.items():
        if reason:
            lost[reason] += count
    if lost:
        ordered = dict(sorted(lost.items(), key=lambda one: (-one[1], one[0])))
        yield bars_svg(Frequencies("reasons for which rows were lost", ordered), _WIDTH)
