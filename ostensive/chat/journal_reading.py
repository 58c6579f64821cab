"""Figures of a journal for those who only look on: nothing is made, locked for others or left behind."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final  # Any: rows of SQLite
from urllib.parse import quote

from ostensive.chat.journal import FREE_ENDPOINT
from ostensive.records import Spend

_COLUMNS: Final = "prompt_tokens, completion_tokens, usd, estimated, answered_at, endpoint"
_WHOLE: Final = f"""
SELECT count(*) FILTER (WHERE paid), coalesce(sum(prompt_tokens) FILTER (WHERE paid), 0),
    coalesce(sum(completion_tokens) FILTER (WHERE paid), 0), coalesce(sum(usd) FILTER (WHERE paid), 0.0),
    count(*) FILTER (WHERE paid AND usd IS NULL), count(*) FILTER (WHERE paid AND spoiled),
    count(*) FILTER (WHERE paid AND estimated),
    count(*) FILTER (WHERE answered_at >= :lately), count(*) FILTER (WHERE answered_at >= :start), max(answered_at)
FROM (SELECT *, endpoint <> :free AS paid FROM (
    SELECT {_COLUMNS}, 0 AS spoiled FROM answers WHERE run_id = :run
    UNION ALL SELECT {_COLUMNS}, 1 FROM spoiled WHERE run_id = :run))
"""  # noqa: S608 - constants
_REASONS: Final = (
    "SELECT reason, count(*) FROM spoiled WHERE run_id = :run GROUP BY reason ORDER BY count(*) DESC, reason"
)


@dataclass(frozen=True, slots=True)
class JournalFigures:
    """What a run, or a loop, has asked so far; `spend` is what its limits count, the counts have local models too."""

    spend: Spend
    answered_lately: int
    answered_since_start: int
    last_answer: float | None  # seconds since 1970
    spoiled: Mapping[str, int]  # paid replies that were of no use, by reason, the most frequent first


def read_figures(path: Path, run_id: str, *, lately: float, start: float) -> JournalFigures | None:
    """The figures of `run_id`; None where there is no journal, or one that cannot be read at this instant.

    `lately` and `start` are since when answers are counted, in seconds since 1970.
    """
    # A reader of a write-ahead log makes its files where they are not there, and leaves them. Without them nobody has
    # the journal open, and it is read as a file that does not change.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    values = {"run": run_id, "free": FREE_ENDPOINT, "lately": _text(lately), "start": _text(start)}
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=1.0)) as connection:
            figures = connection.execute(_WHOLE, values).fetchone()
            reasons = dict(connection.execute(_REASONS, values).fetchall())
    except sqlite3.Error:
        return None
    return _figures(figures, reasons)


def _figures(row: tuple[Any, ...], reasons: Mapping[str, int]) -> JournalFigures:
    requests, prompt, completion, usd, unknown, spoiled, estimated, lately, since_start, last = row
    spend = Spend(requests, prompt, completion, None if unknown else usd, spoiled, estimated)
    return JournalFigures(spend, lately, since_start, _seconds(last), reasons)


def _text(seconds: float) -> str:
    """As the journal writes times, so that they compare as text."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
