"""How fast a run is, worked out from when its pieces of work began and ended: pure arithmetic.

Partitions are finished seldom and all at once, so that what was finished within a minute says little of them: a
partition is counted evenly over the time that was worked on it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final  # Any: JSON values

LATELY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work: when it began and ended, in seconds since 1970, and how many things were done in it."""

    began: float
    ended: float
    count: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Things a second: of late, and since the run was started; None where no time has passed."""

    lately: float | None
    overall: float | None


@dataclass(frozen=True, slots=True)
class FinishedPartition:
    """What the log says of a partition of a stage."""

    stage: str
    index: int
    kept: int
    began: float
    ended: float


def last_start(events: Sequence[Mapping[str, Any]]) -> float | None:
    """When the last command began its work; None where the log does not say."""
    return next((time for event in reversed(events) if event.get("event") == "start" and (time := _time(event))), None)


def last_time(events: Sequence[Mapping[str, Any]]) -> float | None:
    """When the last event was."""
    return next((time for event in reversed(events) if (time := _time(event)) is not None), None)


def finished_since_start(events: Sequence[Mapping[str, Any]]) -> Iterator[FinishedPartition]:
    """The partitions that the last command has finished, in order; a line that is not whole is passed over."""
    starts = [place for place, event in enumerate(events) if event.get("event") == "start"]
    for event in events[starts[-1] :] if starts else ():
        ended = _time(event)
        if event.get("event") != "partition" or ended is None:
            continue
        try:
            stage, index, kept = str(event["stage"]), int(event["index"]), int(event["kept"])
            began = ended - max(0.0, float(event["seconds"]))
        except (KeyError, TypeError, ValueError):
            continue
        yield FinishedPartition(stage, index, kept, began, ended)


def rates_of(work: Iterable[Work], start: float | None, now: float) -> Rates:
    """The rates of work since `start`.

    Of late means the last minute, or since the last piece of work was begun that is finished, where that is longer.
    """
    pieces = list(work)
    if start is None or now <= start:
        return Rates(None, None)
    begun = max(pieces, key=lambda piece: piece.ended).began if pieces else now
    since = max(start, min(now - LATELY_S, begun))
    return Rates(sum(_within(piece, since, now) for piece in pieces) / (now - since), _total(pieces) / (now - start))


def counted_rates(lately: int, overall: int, start: float | None, now: float) -> Rates:
    """The rates of what is counted one by one: in the last minute, and since `start`."""
    if start is None or now <= start:
        return Rates(None, None)
    return Rates(lately / min(LATELY_S, now - start), overall / (now - start))


def waiting(done: Sequence[frozenset[int]], planned: int) -> tuple[int, ...]:
    """How many partitions wait for each stage: those that the stage before has finished and this one has not.

    `done` are the partitions that each stage has finished, in the order of stages; of those that are planned only the
    number is known.
    """
    if not done:
        return ()
    first = max(0, planned - len(done[0]))
    return (first, *(len(before - own) for before, own in pairwise(done)))


def _within(piece: Work, since: float, until: float) -> float:
    """How much of a piece of work was done within a span of time."""
    if piece.ended <= piece.began:
        return piece.count if since <= piece.ended <= until else 0.0
    overlap = min(piece.ended, until) - max(piece.began, since)
    return piece.count * max(0.0, overlap) / (piece.ended - piece.began)


def _total(pieces: Sequence[Work]) -> int:
    return sum(piece.count for piece in pieces)


def _time(event: Mapping[str, Any]) -> float | None:
    value = event.get("t")
    return float(value) if isinstance(value, int | float) else None
