"""One partition of one stage as an Arrow table: what came in, what became of it, and the records that go on.

Columns: `input_id`, `outcome` (kept, dropped, failed), `outcome_reason`, `outcome_detail`, what the answers behind the
row cost (the fields of `Spend`), then the fields of the record, null where there is none. The file's metadata carry the
stage's summary and a digest of the rows, so that counting and resuming read no row.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ostensive import arrow
from ostensive.errors import StorageError
from ostensive.files import replacing
from ostensive.json_text import parse_json
from ostensive.records import NO_SPEND, Record, Spend
from ostensive.run.summary import StageSummary
from ostensive.stage import Dropped, Kept, Outcome

RecordT = TypeVar("RecordT", bound=Record)

METADATA_KEY = b"ostensive"
_OUTCOME_FIELDS = [
    pa.field("input_id", pa.string(), nullable=False),
    pa.field("outcome", pa.string(), nullable=False),
    pa.field("outcome_reason", pa.string()),
    pa.field("outcome_detail", pa.string()),
    pa.field("requests", pa.int64(), nullable=False),
    pa.field("prompt_tokens", pa.int64(), nullable=False),
    pa.field("completion_tokens", pa.int64(), nullable=False),
    pa.field("usd", pa.float64()),
    pa.field("spoiled_requests", pa.int64(), nullable=False),
    pa.field("estimated_requests", pa.int64(), nullable=False),
]
_SPEND_COLUMNS = frozenset(field.name for field in dataclasses.fields(Spend))


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """What a finished partition file says of itself without its rows."""

    stage: str
    index: int
    fingerprint: str
    digest: str  # of the rows that later stages can see
    record: str  # the name of the class of its records
    summary: StageSummary


@dataclass(frozen=True, slots=True)
class _Line:
    input_id: str
    outcome: str
    reason: str | None
    detail: str | None
    spend: Spend
    record: Record | None


def outcome_schema(record: Any) -> pa.Schema:  # Any: a record class, parametrised or not
    """The schema of a stage's partitions."""
    return pa.schema([*_OUTCOME_FIELDS, *(field.with_nullable(True) for field in arrow.schema_of(record))])


def outcome_table(inputs: Sequence[Record], outcomes: Sequence[Outcome[RecordT]], record: Any) -> pa.Table:  # as above
    """The partition's rows, in the order of the inputs and, within one, kept records before losses."""
    assert len(inputs) == len(outcomes), f"{len(inputs)} rows in, {len(outcomes)} outcomes"
    lines = [line for row, outcome in zip(inputs, outcomes, strict=True) for line in _lines(row.record_id, outcome)]
    names = arrow.schema_of(record).names
    columns: dict[str, list[Any]] = {  # Any: the values of a column
        "input_id": [line.input_id for line in lines],
        "outcome": [line.outcome for line in lines],
        "outcome_reason": [line.reason for line in lines],
        "outcome_detail": [line.detail for line in lines],
        **{name: [getattr(line.spend, name) for line in lines] for name in _SPEND_COLUMNS},
    }
    make = arrow.plain_maker(record)
    values = [{} if line.record is None else make(line.record) for line in lines]
    for name in names:
        columns[name] = [value.get(name) for value in values]
    return pa.table(columns, schema=outcome_schema(record))


def _lines(input_id: str, outcome: Outcome[RecordT]) -> Iterator[_Line]:
    spend = NO_SPEND
    if isinstance(outcome, Kept):
        spend = outcome.spend
        for record in outcome.records:
            yield _Line(input_id, "kept", None, None, spend, record)
            spend = NO_SPEND
    losses = outcome.losses if isinstance(outcome, Kept) else (outcome,)
    for loss in losses:
        kind = "dropped" if isinstance(loss, Dropped) else "failed"
        yield _Line(input_id, kind, loss.reason, _utf8(loss.detail), spend, loss.record)
        spend = NO_SPEND


def _utf8(text: str) -> str:
    """`text` with lone surrogates, which Arrow refuses, shown as `?`. Details quote file names and replies."""
    return text.encode("utf-8", "replace").decode("utf-8")


def summarize(name: str, inputs: int, outcomes: Sequence[Outcome[RecordT]]) -> StageSummary:
    """Counts of `outcomes`; a kept row's losses count by their own reasons."""
    kept, dropped, failed, spend = 0, Counter[str](), Counter[str](), NO_SPEND
    for outcome in outcomes:
        if isinstance(outcome, Kept):
            kept += len(outcome.records)
            spend += outcome.spend
        for loss in outcome.losses if isinstance(outcome, Kept) else (outcome,):
            (dropped if isinstance(loss, Dropped) else failed)[loss.reason] += 1
    return StageSummary(name, inputs, kept, dict(sorted(dropped.items())), dict(sorted(failed.items())), spend)


def digest_of(table: pa.Table, record: Any) -> str:  # Any: a record class
    """Digest of what later stages can see: the kept rows, without their price and what the record excludes."""
    excluded = _SPEND_COLUMNS | getattr(record, "DIGEST_EXCLUDES", frozenset())
    kept = table.filter(pc.equal(table.column("outcome"), "kept"))
    return arrow.digest(kept.drop_columns([name for name in kept.column_names if name in excluded]))


def write(path: Path, table: pa.Table, info: PartitionInfo) -> None:
    """Writes a partition under a temporary name and renames it; raises `StorageError`."""
    stored = table.replace_schema_metadata({METADATA_KEY: json.dumps(_to_json(info), sort_keys=True).encode()})
    with replacing(path) as temporary:
        arrow.write_parquet(stored, temporary)


def read_info(path: Path) -> PartitionInfo:
    """What a partition file says of itself; raises `StorageError` when it is not one."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        return _from_json(parse_json(metadata[METADATA_KEY], strict=False))
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise StorageError(f"{path} is not a partition of this program; remove it and run the command again") from error


def read_kept(path: Path, record: type[RecordT]) -> list[RecordT]:
    """The records of a partition that go on to the next stage."""
    return arrow.from_table(pq.read_table(path, filters=[("outcome", "==", "kept")]), record)


def read_column(path: Path, column: str, *, kept_only: bool) -> list[str]:
    """One text column of a partition, in row order."""
    filters = [("outcome", "==", "kept")] if kept_only else None
    values: list[str] = pq.read_table(path, columns=[column], filters=filters).column(column).to_pylist()
    return values


def read_pairs(path: Path, first: str, second: str) -> list[tuple[str, str | None]]:
    """Two text columns of a partition side by side, in row order, of all rows."""
    table = pq.read_table(path, columns=[first, second])
    return list(zip(table.column(first).to_pylist(), table.column(second).to_pylist(), strict=True))


def _to_json(info: PartitionInfo) -> dict[str, Any]:  # Any: JSON values
    summary = info.summary
    return {
        "stage": info.stage,
        "index": info.index,
        "fingerprint": info.fingerprint,
        "digest": info.digest,
        "record": info.record,
        "inputs": summary.inputs,
        "kept": summary.kept,
        "dropped": dict(summary.dropped),
        "failed": dict(summary.failed),
        "spend": dataclasses.asdict(summary.spend),
    }


def _from_json(values: dict[str, Any]) -> PartitionInfo:  # Any: JSON values
    summary = StageSummary(
        values["stage"], values["inputs"], values["kept"], values["dropped"], values["failed"], Spend(**values["spend"])
    )
    return PartitionInfo(
        values["stage"], values["index"], values["fingerprint"], values["digest"], values["record"], summary
    )
