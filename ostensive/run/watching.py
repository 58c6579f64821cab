"""Looking on while a run works: its folder and its journal are read, and nothing in them is touched or locked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from ostensive.chat.journal_reading import JournalFigures, read_figures
from ostensive.images.intake import IMAGES
from ostensive.json_text import parse_json
from ostensive.records import Judged, Spend
from ostensive.run.folder import existing_run
from ostensive.run.processes import is_alive
from ostensive.run.rates import (
    LATELY_S,
    FinishedPartition,
    Rates,
    Work,
    counted_rates,
    finished_since_start,
    last_start,
    last_time,
    rates_of,
    waiting,
)
from ostensive.run.status import PartitionReader, RunStatus, status_of
from ostensive.stage import record_name

DONE: Final = "done"
STOPPED: Final = "stopped"
"""The ending of a run whose process is gone without having said why: killed, or the machine with it."""
AT_WORK: Final = "unfinished"


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it is at one instant. Figures are since the last command began its work, sums of the whole run."""

    status: RunStatus
    ending: str | None  # None while it is at work, `DONE`, `STOPPED`, or why it stopped
    is_sure: bool  # whether its process is known to be alive, where it is at work
    seconds: float | None  # since the last command began
    seconds_silent: float | None  # since anything was finished or answered
    waiting: tuple[int, ...]  # partitions that wait for each stage that works on partitions
    stage_images: Mapping[str, Rates]  # images a second, by stage
    images: Rates  # that have come through to the judgements, or through the last stage
    rows: Rates  # that were accepted there
    requests: Rates
    spend: Spend  # of what limits count
    max_cost_usd: float | None
    max_requests: int | None
    spoiled: Mapping[str, int]  # paid replies of no use, by reason


class RunWatcher:
    """Looks at the run in a folder again and again; raises `SettingsError` when there is none."""

    def __init__(self, out: Path | str) -> None:
        self._run = existing_run(out)
        self._reader = PartitionReader()
        self._log = _LogReader(self._run.path / "log.jsonl")
        self._figures: JournalFigures | None = None

    def look(self, now: float) -> RunView:
        """The run at `now`, in seconds since 1970; raises `SettingsError` when its folder is gone."""
        state = existing_run(self._run.path).read_state()
        events = self._log.events()
        status = status_of(self._run, state, events, self._reader)
        alive = is_alive(state.get("process"))
        ending = status.outcome if status.outcome != AT_WORK else STOPPED if alive is False else None
        start, heard = last_start(events), last_time(events)
        if ending is not None and heard is not None:
            now = heard  # so that rates do not fall when it has ended
        figures = self._journal_figures(state, now - LATELY_S, start or now)
        if figures is not None and figures.last_answer is not None:
            heard = max(heard or 0.0, figures.last_answer)
        finished, names = list(finished_since_start(events)), list(state.get("stages", []))
        done = [frozenset(info.index for info in self._reader.known(name)) for name in names]
        last, limits = self._judging(names), state.get("limits") or {}
        kept = [Work(one.began, one.ended, one.kept) for one in finished if one.stage == last]
        return RunView(
            status=status,
            ending=ending,
            is_sure=bool(alive),
            seconds=None if start is None else max(0.0, now - start),
            seconds_silent=None if heard is None else max(0.0, now - heard),
            waiting=waiting(done, status.partitions),
            stage_images={name: rates_of(self._images(finished, name), start, now) for name in names},
            images=rates_of(self._images(finished, last), start, now),
            rows=rates_of(kept, start, now),
            requests=_request_rates(figures, start, now),
            spend=status.spend if figures is None else figures.spend,
            max_cost_usd=limits.get("max_cost_usd"),
            max_requests=limits.get("max_requests"),
            spoiled={} if figures is None else figures.spoiled,
        )

    def _journal_figures(self, state: Mapping[str, Any], lately: float, start: float) -> JournalFigures | None:
        journal = state.get("journal")
        path = self._run.journal_path if journal is None else Path(journal)
        found = read_figures(path, state.get("account") or state["run_id"], lately=lately, start=start)
        self._figures = found or self._figures  # what cannot be read at this instant is as it was
        return self._figures

    def _judging(self, names: list[str]) -> str | None:
        """The last stage that judges; the last of all where none does, or none has begun to."""
        judging = record_name(Judged)
        found = [name for name in names if any(info.record == judging for info in self._reader.known(name))]
        return next(reversed([*names[-1:], *found]), None)

    def _images(self, finished: list[FinishedPartition], stage: str | None) -> list[Work]:
        counts = {info.index: info.summary.inputs for info in self._reader.known(IMAGES)}
        return [Work(one.began, one.ended, counts.get(one.index, 0)) for one in finished if one.stage == stage]


def _request_rates(figures: JournalFigures | None, start: float | None, now: float) -> Rates:
    if figures is None:
        return Rates(None, None)
    lately = min(figures.answered_lately, figures.answered_since_start)
    return counted_rates(lately, figures.answered_since_start, start, now)


class _LogReader:
    """The events of a log that grows: each line is read once, and the last one when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0
        self._events: list[dict[str, Any]] = []

    def events(self) -> list[dict[str, Any]]:
        """All events so far, in order; a line that a kill cut short is passed over."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                text = file.read()
        except OSError:
            return self._events
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.split(b"\n"):
            try:
                event = parse_json(line, strict=False)
            except ValueError:
                continue
            if isinstance(event, dict):
                self._events.append(event)
        return self._events
