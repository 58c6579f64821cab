"""The pictures of the page: the measures of a claim that form a row, as lines with their intervals."""

import re
from collections.abc import Mapping
from pathlib import Path

from evidence.records import Claim, Pooled

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SIZE_INCHES, _DOTS = (6.4, 3.6), 110
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5a5a5a")  # Okabe and Ito's


def draw(claim: Claim, found: Mapping[tuple[str, str], Pooled], folder: Path) -> str | None:
    """The name of the picture of a claim, drawn into `folder`; None where its measures are no row of numbers."""
    arms, measures = (list(dict.fromkeys(key[place] for key in found)) for place in (0, 1))
    places = [_NUMBER.search(measure) for measure in measures]
    stems = {_NUMBER.sub("", measure) for measure in measures}
    if len(measures) < 3 or None in places or len(stems) > 1:
        return None
    import matplotlib.figure

    figure = matplotlib.figure.Figure(_SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    for colour, arm in zip(_COLOURS, arms, strict=False):
        line = [(float(place[0]), found[arm, name]) for place, name in zip(places, measures, strict=True) if place and (arm, name) in found]
        x, y = [at for at, _ in line], [one.value for _, one in line]
        below = [one.value - one.interval.low for _, one in line]
        above = [one.interval.high - one.value for _, one in line]
        axes.errorbar(x, y, yerr=[below, above], label=arm, color=colour, marker="o", markersize=4, capsize=3)
    axes.set_xlabel(measures[0].replace(_NUMBER.findall(measures[0])[0], "").strip(" %,"))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    name = f"evidence-{claim.name}.png"
    figure.savefig(folder / name, dpi=_DOTS, metadata={"Software": None})
    return name
