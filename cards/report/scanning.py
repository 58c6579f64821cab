"""One pass over the rows of a run: what became of each in short, what they were made by, how critics' scores spread.

Memory holds the ids and fates of one partition's rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final  # Any: pyarrow ships no types

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cards.distributions import Histogram
from cards.lineage import State
from cards.report.choosing import RowSummary
from cards.run_rows import KEPT, RowStage, RunRows

_BINS: Final = 20  # of scores, 0-1
_OUTCOME: Final = ("input_id", "outcome", "outcome_reason")


@dataclass(slots=True)
class RunScan:
    """What is found on the way, complete when all rows have passed by."""

    teachers: set[str] = field(default_factory=set)
    prompt_hashes: set[str] = field(default_factory=set)
    critics: set[tuple[str, str]] = field(default_factory=set)  # name and version
    _scores: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def rows(self, run: RunRows) -> Iterator[RowSummary]:
        """Every row of the run once, partition by partition."""
        for index in run.indices:
            missing = next(iter(run.missing_stages(index)), "")
            found: dict[str, RowSummary] = {}
            counted: set[str] = set()  # critics
            for stage in run.stages:
                if index in stage.paths:
                    self._scan(stage, index, missing, found)
                    if stage.verdicts:
                        self._count(pq.read_table(stage.paths[index], columns=[stage.verdicts]), counted)
            yield from found.values()

    def histograms(self) -> list[Histogram]:
        """How the scores of each critic spread, over all rows that it scored."""
        edges = tuple(round(place / _BINS, 2) for place in range(_BINS + 1))
        return [
            Histogram(f"acceptance probability by {critic}", "probability", edges, tuple(counts.tolist()))
            for critic, counts in sorted(self._scores.items())
        ]

    def _scan(self, stage: RowStage, index: int, missing: str, found: dict[str, RowSummary]) -> None:
        lineage = [stage.column(name) for name in ("row_id", "image_id", "teacher", "prompt_hash")]
        table = pq.read_table(
            stage.paths[index], columns=[*_OUTCOME, *lineage, *([stage.verdicts] if stage.verdicts else [])]
        )
        self.teachers.update(pc.unique(table.column("teacher")).drop_null().to_pylist())
        self.prompt_hashes.update(pc.unique(table.column("prompt_hash")).drop_null().to_pylist())
        columns = (table.column(name).to_pylist() for name in (*_OUTCOME, "row_id", "image_id"))
        for input_id, outcome, reason, row_id, image_id, least in zip(*columns, _least(table, stage), strict=True):
            key = row_id or input_id
            known = found.get(key)
            if row_id is None and (known is None or known.stage == stage.name):
                continue  # lost without a row to show, or beside one that was kept
            state: State = "kept" if outcome == KEPT else "failed" if outcome == "failed" else "dropped"
            if state == "kept" and missing:
                state = "waiting"
            if known is None:
                found[key] = RowSummary(key, image_id, index, state, stage.name, reason or "", least)
            else:
                probability = known.accept_probability if least is None else least
                found[key] = RowSummary(key, known.image_id, index, state, stage.name, reason or "", probability)

    def _count(self, table: pa.Table, counted: set[str]) -> None:
        """Counts the scores of critics, each in the first stage that has them, and adds these critics to `counted`."""
        (column,) = table.columns
        verdicts = column.combine_chunks().flatten()
        names = verdicts.field("critic")
        pairs = set(zip(names.to_pylist(), verdicts.field("critic_version").to_pylist(), strict=True))
        for critic in sorted({name for name, _ in pairs} - counted):
            values = verdicts.field("accept_probability").filter(pc.equal(names, critic))
            counts, _ = np.histogram(values.to_numpy(zero_copy_only=False), bins=_BINS, range=(0, 1))
            self._scores[critic] = self._scores.get(critic, np.zeros(_BINS, np.int64)) + counts
            counted.add(critic)
        self.critics |= pairs


def _least(table: Any, stage: RowStage) -> list[float | None]:
    """The least probability that the critics gave each row, as far as a stage tells."""
    if not stage.verdicts:
        return [None] * int(table.num_rows)
    given = table.column(stage.verdicts).to_pylist()
    return [min((one["accept_probability"] for one in row), default=None) if row else None for row in given]
