"""How a run ends when its stages are done: well, or with one line that says what was lost, and in whose words."""

from collections.abc import Mapping, Sequence

import pyarrow.parquet as pq

from ostensive.errors import EmptyCorpusError, TooManyFailedError, one_line
from ostensive.run.folder import RunFolder
from ostensive.run.summary import StageSummary


def check_failures(run: RunFolder, stages: Sequence[StageSummary], max_failed_share: float) -> None:
    """Raises `TooManyFailedError` for the first stage of whose rows more than `max_failed_share` (0-1) failed."""
    for stage in stages:
        failed = sum(stage.failed.values())
        if failed > max_failed_share * stage.rows:
            raise TooManyFailedError(
                f"{stage.name}: {failed} of {stage.rows} rows failed, {_most(run, stage.name, stage.failed)}; the"
                " corpus holds what is left; mend the cause and run the same command with --retry-failed, or allow"
                " more with --set run.max_failed_share=1"
            )


def check_emptied(run: RunFolder, stages: Sequence[StageSummary], row_count: int, notes: Sequence[str] = ()) -> None:
    """Raises `EmptyCorpusError` for a corpus without rows, with the stage that kept nothing and the run's `notes`."""
    if row_count:
        return
    for stage in stages:
        lost = {**stage.dropped, **stage.failed}
        if not stage.kept and lost:
            raise EmptyCorpusError(
                f"the corpus is empty: {stage.name} kept none of {stage.rows} rows, {_most(run, stage.name, lost)};"
                f"{''.join(f' {note};' for note in notes)} mend the cause and run the same command again"
            )


def _most(run: RunFolder, stage: str, reasons: Mapping[str, int]) -> str:
    """The reason for most losses, with the last words about it: a server says best what is wrong with a request."""
    reason, count = max(reasons.items(), key=lambda item: item[1])
    words = _last_words(run, stage, reason)
    return f"{count} of them with {reason!r}{f' (the last: {words})' if words else ''}"


def _last_words(run: RunFolder, stage: str, reason: str) -> str:
    for path in reversed(run.partition_paths(stage)):
        filters = [("outcome_reason", "==", reason)]
        details = pq.read_table(path, columns=["outcome_detail"], filters=filters).column("outcome_detail").to_pylist()
        words = next((detail for detail in reversed(details) if detail), "")
        if words:
            return one_line(ValueError(words))
    return ""
