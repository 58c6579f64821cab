"""What `ostensive critic` has to say, as a person reads it and for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from critics.threshold_choice import Chosen

if TYPE_CHECKING:
    from critics.threshold import Curve
    from critics.trained.card import TrainedFigures

_TABLE_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)


def trained_lines(figures: "TrainedFigures", out: Path) -> Iterator[str]:
    """What a training came to, measured on labels that it did not see."""
    test = figures.test
    base = test.part.accepted / test.part.rows
    yield f"critic      {out} (version {figures.version[:12]})"
    yield f"tested on   {test.part.rows:,} triples of {test.part.images:,} images, {base:.1%} of them accepted"
    yield f"best fifth  {test.accepted_in_best_fifth:.1%} accepted"
    yield f"at 0.5      precision {test.precision:.3f}, recall {test.recall:.3f}, F1 {test.f1:.3f}"
    yield f"card        {out / 'README.md'}"


def threshold_lines(chosen: Chosen) -> Iterator[str]:
    """The curve as a table, the choice marked, and what follows from it."""
    from critics.threshold import MIN_KEPT

    choice, curve = chosen.choice, chosen.curve
    if chosen.gone:
        of = "1 label of a candidate" if chosen.gone == 1 else f"{chosen.gone:,} labels of candidates"
        yield f"left out: {of} that this run has no score of (any more)"
    if chosen.learned_from:
        yield f"left out: {chosen.learned_from:,} labels of images that the critic was trained on"
    if choice.figures is not None and not choice.figures.are_unseen:
        yield "The critic may have been trained on some of these labels: the figures may be better than it is"
    if curve is not None:
        yield from _table(curve, choice.min_accept_probability)
        yield ""
    yield (
        f"{choice.critic}: {choice.chosen_by} is the threshold {choice.min_accept_probability:.6g}; it keeps"
        f" {choice.kept_share:.1%} of {choice.candidates:,} candidates"
    )
    if curve is None:
        yield "Nothing is labelled, so it is not known how good these are: label with `ostensive annotate RUN`"
    elif choice.figures is None:
        yield "It keeps none of the labelled rows, so it is not known how good these are"
    else:
        found, base = choice.figures, choice.figures.accepted_share
        yield (
            f"people accept {found.precision:.1%} of the {found.kept:,} labelled rows among it (95 %:"
            f" {found.precision_low:.1%} to {found.precision_high:.1%}), and {base:.1%} of all {found.rows:,}, which is"
            " what filtering at random would keep"
        )
        if found.kept < MIN_KEPT:
            yield f"that is too few to believe: label more, or take a threshold that keeps {MIN_KEPT} of them or more"
    if chosen.picture is not None:
        yield f"picture     {chosen.picture}"
    if chosen.corpus is None:
        yield "Nothing was changed; --apply puts it in force"
    else:
        yield f"corpus      {chosen.corpus.row_count:,} rows about {chosen.corpus.image_count:,} images"
        yield f"in force    in recipe.yaml of the run; in a recipe of your own set it too: {choice.critic}"


def _table(curve: "Curve", threshold: float) -> Iterator[str]:
    yield f"{'threshold':>11}{'kept':>9}{'precision':>11}{'95 %':>17}{'recall':>9}{'F1':>8}"
    nearest = {
        min(curve.points, key=lambda point: abs(point.kept_share.value - share)).min_accept_probability
        for share in _TABLE_SHARES
    }
    at = curve.at(threshold)
    shown = nearest if at is None else nearest | {at.min_accept_probability}
    for point in curve.points:
        if point.min_accept_probability in shown:
            interval = f"{point.precision.low:.1%} to {point.precision.high:.1%}"
            mark = "  <" if point is at else ""
            yield (
                f"{point.min_accept_probability:>11.4f}{point.kept_share.value:>9.1%}{point.precision.value:>11.1%}"
                f"{interval:>17}{point.recall.value:>9.1%}{point.f1.value:>8.3f}{mark}"
            )
    yield f"{'at random':>11}{'any':>9}{curve.accepted_share.value:>11.1%}"


def threshold_values(chosen: Chosen) -> dict[str, Any]:  # Any: JSON values
    """The same for programs, with every point of the curve."""
    return {
        **asdict(chosen.choice),
        "labels_left_out": chosen.gone,
        "curve": None if chosen.curve is None else asdict(chosen.curve),
        "picture": None if chosen.picture is None else str(chosen.picture),
        "rows": None if chosen.corpus is None else chosen.corpus.row_count,
    }
