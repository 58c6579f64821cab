"""Draws what was measured: for each claim a panel with every arm, its interval of 95 %, and each seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any  # Any: axes of matplotlib, which is not installed where nothing is drawn

from evidence.records import Claim, Pooled

Found = Mapping[tuple[str, str], Pooled]  # by arm and measure
_WIDTH = 8.0  # in inches, as all sizes
_COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8d6a9f")


def draw(path: Path, claims: Sequence[tuple[Claim, Found]]) -> bool:
    """Draws a panel for each measure that a claim expects something of; False where matplotlib is not installed."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        return False
    panels = {claim.name: panels_of(claim) for claim, _ in claims}
    heights = [sum(height_of(claim, found, one) for one in panels[claim.name]) for claim, found in claims]
    with mpl.rc_context(
        {"svg.hashsalt": path.stem, "font.size": 9, "axes.spines.right": False, "axes.spines.top": False}
    ):
        figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(claims), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, (claim, found) in zip(parts, claims, strict=True):
            part.suptitle(claim.title, x=0.01, horizontalalignment="left", fontweight="bold")
            ratios = [height_of(claim, found, one) for one in panels[claim.name]]
            axes = part.subplots(len(ratios), 1, squeeze=False, height_ratios=ratios)[:, 0]
            for place, measures in zip(axes, panels[claim.name], strict=True):
                (curves if claim.is_curve else arms)(place, found, measures)
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
    return True


def height_of(claim: Claim, found: Found, measures: Sequence[str]) -> float:
    return 2.6 if claim.is_curve else 0.8 + 0.26 * len(arms_of(found, measures))


def panels_of(claim: Claim) -> list[tuple[str, ...]]:
    """The measures of each panel: all that are expected in one for a curve, else each in its own."""
    measures = tuple(dict.fromkeys(one.measure for one in claim.expectations))
    return [measures] if claim.is_curve else [(one,) for one in measures]


def arms_of(found: Found, measures: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(arm for arm, measure in found if measure in measures))


def arms(axes: Any, found: Found, measures: Sequence[str]) -> None:
    (measure,) = measures
    names = arms_of(found, measures)
    for row, arm in enumerate(names):
        one = found[arm, measure]
        scale = scale_of(one)
        low, high = (scale * end for end in (one.interval.low, one.interval.high))
        axes.plot((low, high), (row, row), color=_COLOURS[0], linewidth=2, solid_capstyle="round")
        axes.plot([scale * value for value in one.by_seed], [row] * len(one.by_seed), "|", color="grey")
        axes.plot(scale * one.value, row, "o", color=_COLOURS[0])
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"{measure}{unit_of(found[names[0], measure])}")


def curves(axes: Any, found: Found, measures: Sequence[str]) -> None:
    for number, arm in enumerate(arms_of(found, measures)):
        points = [(place, found[arm, one]) for place, one in enumerate(measures) if (arm, one) in found]
        colour, dashed = _COLOURS[number % len(_COLOURS)], "--" if number >= len(_COLOURS) - 1 else "-"
        places = [place for place, _ in points]
        axes.plot(places, [scale_of(one) * one.value for _, one in points], f"o{dashed}", color=colour, label=arm)
        for place, one in points:
            ends = [scale_of(one) * end for end in (one.interval.low, one.interval.high)]
            axes.plot((place, place), ends, color=colour, alpha=0.6)
    axes.set_xticks(range(len(measures)), measures)
    axes.set_ylabel(unit_of(next(iter(found.values()))).strip(" ,"))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)


def scale_of(one: Pooled) -> float:
    return 100.0 if one.deviation is None else 1.0


def unit_of(one: Pooled) -> str:
    return ", %" if one.deviation is None else ""
