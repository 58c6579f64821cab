"""An evaluation, and a comparison of several, as a person reads them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: JSON values

from ostensive.user_paths import shown_path

if TYPE_CHECKING:
    from students.evaluation.compare import Comparison


def evaluation_lines(summary: Mapping[str, Any], out: Path) -> Iterator[str]:
    """What was measured and what was lost of the rows and items."""
    how = " per ".join(str(summary[key]) for key in ("scoring", "per") if key in summary)
    yield f"model       {summary['model']} ({str(summary['model_version'])[:19]})"
    yield f"task        {summary['task']}{f', scored by {how}' if how else ''}"
    passed = summary["rows_of_other_splits"]
    yield f"rows        {summary['rows']:,}{f', {passed:,} of other splits left out' if passed else ''}"
    yield from _lost("rows lost", summary["rows_lost"])
    yield f"items       {summary['items']:,}"
    yield from _lost("items lost", summary["items_lost"])
    if summary["ties"]:
        yield f"ties        {summary['ties']:,}: two choices share the highest score, which counts as wrong"
    yield ""
    yield f"{'figure':<28}{'items':>9}{'value':>10}  95 % interval"
    for figure in (*summary["figures"], *summary["by_kind"]):
        yield _figure_line(figure)
    if summary.get("has_meteor") is False:
        yield "METEOR is not given: it was not asked for, or there is no Java"
    yield f"results     {shown_path(out)}"


def value_and_interval(figure: Mapping[str, Any]) -> tuple[str, str]:
    """A figure and its interval, such as "66.7%" and "52.1% to 78.6%"."""
    is_share = _is_share(figure)
    low, high = (_number(end, is_share=is_share) for end in figure["interval_95"])
    return _number(figure["value"], is_share=is_share), f"{low} to {high}"


def _figure_line(figure: Mapping[str, Any]) -> str:
    value, interval = value_and_interval(figure)
    chance = f", by chance {_number(figure['chance'], is_share=_is_share(figure))}" if "chance" in figure else ""
    return f"{figure['name']:<28}{figure['items']:>9,}{value:>10}  {interval} ({figure['interval_by']}){chance}"


def _is_share(figure: Mapping[str, Any]) -> bool:
    return bool(figure["interval_by"] == "Wilson")


def _number(value: float, *, is_share: bool) -> str:
    if is_share:
        return f"{value:.1%}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"


def _lost(what: str, reasons: Mapping[str, int]) -> Iterator[str]:
    if reasons:
        parts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items(), key=lambda one: -one[1]))
        yield f"{what:<12}{sum(reasons.values()):,}: {parts}"


def comparison_lines(found: "Comparison") -> Iterator[str]:
    """A table with a line for each figure and file."""
    yield f"before      {found.baseline}"
    yield f"task        {found.task}"
    if found.left_out:
        yield f"left out    {found.left_out:,} items that not all files scored"
    width = max((len(one.file) for one in found.compared), default=0) + 2
    yield ""
    yield (
        f"{'figure':<28}{'after':<{width}}{'items':>8}{'before':>10}{'after':>10}{'gain':>10}"
        f"  {'95 % interval':<24}{'p':>8}  test"
    )
    for one in found.compared:
        difference = one.difference
        interval = f"{difference.interval.low:+.4g} to {difference.interval.high:+.4g}"
        yield (
            f"{one.name:<28}{one.file:<{width}}{one.items:>8,}{one.before:>10.4g}{one.after:>10.4g}"
            f"{difference.value:>+10.4g}  {interval:<24}{difference.p_value:>8.3g}  {difference.test}"
        )
