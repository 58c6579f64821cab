"""A run that is at work, as a person reads it: whole, in one line, and for programs."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any  # Any: JSON values

from ostensive.commands.show import duration, money, status_values
from ostensive.images.paths import shown_name
from ostensive.run.summary import requests_text

if TYPE_CHECKING:
    from ostensive.run.status import StageStatus
    from ostensive.run.watching import RunView


def watch_lines(view: "RunView") -> Iterator[str]:
    """The whole of it: stages, rates, failures, cost against limits, time left."""
    status = view.status
    yield f"run is {_ending(view)}; {status.images:,} source images"
    yield f"{'stage':<12}{'partitions':>12}{'waiting':>9}{'kept':>9}{'dropped':>9}{'failed':>9}{'images/s':>10}"
    for stage, waiting in _with_waiting(view):
        summary = stage.summary
        dropped, failed = sum(summary.dropped.values()), sum(summary.failed.values())
        done = f"{stage.partitions_done}/{status.partitions}"
        rates = view.stage_images.get(summary.name)
        rate = _rate(None if rates is None else rates.lately)
        name = shown_name(summary.name)
        yield f"{name:<12}{done:>12}{waiting:>9}{summary.kept:>9}{dropped:>9}{failed:>9}{rate:>10}"
    yield ""
    yield f"{'':<12}{'of late':>12}{'since start':>13}"
    for name, rates in (("images/s", view.images), ("rows/s", view.rows), ("requests/s", view.requests)):
        yield f"{name:<12}{_rate(rates.lately):>12}{_rate(rates.overall):>13}"
    for place, (stage_name, reason, count) in enumerate(_failures(view)):
        yield f"{'' if place else 'failed':<12}{count:,} {shown_name(reason)} ({shown_name(stage_name)})"
    for place, (reason, count) in enumerate(view.spoiled.items()):
        yield f"{'' if place else 'no use':<12}{count:,} replies: {shown_name(reason)}"
    yield f"cost        {_of_limit(money(view.spend.usd), view.spend.usd, view.max_cost_usd, money)}"
    whole = "{:,.0f}".format
    yield f"requests    {_of_limit(whole(view.spend.requests), view.spend.requests, view.max_requests, whole)}"
    if view.ending is None:
        yield f"time left   {_time_left(view)}{_silence(view)}"


def watch_line(view: "RunView") -> str:
    """The same in a line, for a log."""
    status = view.status
    done = ", ".join(
        f"{shown_name(stage.summary.name)} {stage.partitions_done}/{status.partitions}" for stage in status.stages
    )
    failed = sum(count for _, _, count in _failures(view))
    left = f"; time left {_time_left(view)}" if view.ending is None else ""
    return (
        f"{_ending(view)}: {done}; {_rate(view.images.lately)} images/s, {_rate(view.rows.lately)} rows/s,"
        f" {_rate(view.requests.lately)} requests/s; {failed:,} failed; {requests_text(view.spend)},"
        f" {money(view.spend.usd)}{left}"
    )


def watch_values(view: "RunView") -> dict[str, Any]:
    """The same for programs: what `ostensive status --json` says, and more."""
    values = status_values(view.status)
    for stage, (shown, waiting) in zip(values["stages"], _with_waiting(view), strict=True):
        rates = view.stage_images.get(shown.summary.name)
        stage |= {"waiting": waiting, "images_per_s": None if rates is None else asdict(rates)}
    return {
        **values,
        "usd": view.spend.usd,
        "spend": asdict(view.spend),
        "ending": view.ending,
        "seconds": view.seconds,
        "seconds_silent": view.seconds_silent,
        "images_per_s": asdict(view.images),
        "rows_per_s": asdict(view.rows),
        "requests_per_s": asdict(view.requests),
        "max_cost_usd": view.max_cost_usd,
        "max_requests": view.max_requests,
        "spoiled": dict(view.spoiled),
    }


def what_changes(view: "RunView") -> object:
    """What is another at two instants only where the run has come on, whatever the time is."""
    return (view.ending, view.status.stages, view.waiting, view.spend, tuple(view.spoiled.items()))


def _ending(view: "RunView") -> str:
    if view.ending is None:
        since = "" if view.seconds is None else f" for {duration(view.seconds)}"
        return f"at work{since}" if view.is_sure else f"unfinished{since}, by a process that is not seen from here"
    if view.ending == "stopped":
        return "stopped: its process is gone without a word; the same command continues"
    message = f": {shown_name(view.status.message)}" if view.status.message else ""
    return f"{shown_name(view.ending)}{message}"


def _with_waiting(view: "RunView") -> list[tuple["StageStatus", int]]:
    """Each stage with how many partitions wait for it; of the corpus, which is written as one, none."""
    stages = view.status.stages
    return list(zip(stages, (*view.waiting, *[0] * (len(stages) - len(view.waiting))), strict=True))


def _failures(view: "RunView") -> list[tuple[str, str, int]]:
    """What failed, by stage and reason, the most frequent first."""
    found = [
        (stage.summary.name, reason, count)
        for stage in view.status.stages
        for reason, count in stage.summary.failed.items()
    ]
    return sorted(found, key=lambda one: -one[2])


def _rate(per_second: float | None) -> str:
    if per_second is None:
        return "-"
    return f"{per_second:,.1f}" if per_second >= 100 else f"{per_second:.2f}"


def _of_limit(said: str, spent: float | None, limit: float | None, shown: Callable[[float], str]) -> str:
    if limit is None:
        return f"{said}, no limit"
    share = f" ({spent / limit:.1%})" if spent is not None and limit else ""
    return f"{said} of {shown(limit)}{share}"


def _time_left(view: "RunView") -> str:
    """As far as is known: of a stage that has finished nothing yet, it is not."""
    left = view.status.seconds_left
    is_least = any(
        stage.partitions_done < view.status.partitions and not rates.overall
        for stage in view.status.stages
        if (rates := view.stage_images.get(stage.summary.name)) is not None
    )
    return f"{'at least ' if is_least and left is not None else ''}{duration(left)}"


def _silence(view: "RunView") -> str:
    silent = view.seconds_silent
    return f"; nothing was finished for {duration(silent)}" if silent is not None and silent >= 60 else ""
