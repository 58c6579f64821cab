"""The journal: every answered request and its raw answer, in one SQLite file that runs and processes may share.

An answer counts as had once it is here, so a write returns only when the answer is on the disk (WAL, synchronous=FULL).
One thread commits whatever has queued since its last commit: under load one flush carries dozens of answers. A commit
an answer was the alternative; it would cap a run at what the disk can flush. Answers to a request that another process
answered meanwhile are not stored a second time: the first one stands, for everybody. What was paid for and is no answer
(a malformed reply, a second answer) is kept in a table of its own, so that the sums are right and nothing is lost.
"""

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self  # Any: values of a row

from ostensive.records import Spend
from ostensive.sqlite_files import FileKind

FREE_ENDPOINT = "local"
"""Under which the answers of models on this machine stand that verbalize: no limit counts them."""
_KEYS_A_QUERY = 500
_ROWS_AN_INSERT = 256

# The request is last: SQLite reads a row from its start, so looking up an answer does not touch it.
_SCHEMA = """
CREATE TABLE answers (
    key TEXT PRIMARY KEY, endpoint TEXT NOT NULL, model TEXT NOT NULL, response TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, usd REAL,
    estimated INTEGER NOT NULL,
    run_id TEXT NOT NULL, answered_at TEXT NOT NULL, request TEXT NOT NULL);
CREATE INDEX answers_by_run ON answers (run_id);
CREATE TABLE spoiled (
    key TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, response TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, usd REAL,
    estimated INTEGER NOT NULL,
    run_id TEXT NOT NULL, answered_at TEXT NOT NULL, request TEXT NOT NULL, reason TEXT NOT NULL);
CREATE INDEX spoiled_by_run ON spoiled (run_id);
CREATE INDEX spoiled_by_key ON spoiled (key);
"""

JOURNAL = FileKind(
    what="a journal",
    application_id=0x6F737431,  # "ost1"
    version=2,
    schema=_SCHEMA,
    instead="name another file with --journal",
    again="run the same command again",
    busy_timeout_s=60.0,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the server gave it, and what it cost. `usd` is None where the price is not known."""

    key: str
    endpoint: str
    model: str  # that was asked for
    response: str  # the body, before any parsing
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int  # those of `prompt_tokens` that the server had in its cache
    usd: float | None
    estimated: bool = False  # tokens and cost are the most they can be, not what the server said


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer on its way into the journal, with the request it answers."""

    answer: Answer
    request: str  # the body as JSON, images replaced by their hash, MIME type and length; no header, no key
    spoiled: str = ""  # why it does not count as an answer; empty when it does


_COLUMNS = ", ".join(field.name for field in fields(Answer))
_SUMS = (
    "count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), coalesce(sum(usd), 0.0),"
    " count(*) - count(usd), coalesce(sum(spoiled), 0), coalesce(sum(estimated), 0)"
)
_CommitFuture = Future[dict[str, Answer]]


@dataclass(frozen=True, slots=True)
class _Order:
    entries: tuple[Entry, ...]
    future: _CommitFuture


class Journal:
    """The journal at `path`, made if it is not there; entries are written in the name of `run_id`.

    Raises `StorageError` in one line when the file cannot be opened, read or written, is no journal, or was made by
    another version. All methods may be called from any thread between `__enter__` and `__exit__`.
    """

    def __init__(self, path: Path, run_id: str) -> None:
        self.path = path
        self.run_id = run_id
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._reading = threading.Lock()

    def __enter__(self) -> Self:
        self._writer = JOURNAL.connect(self.path)
        try:
            self._reader = JOURNAL.connect(self.path)
        except BaseException:
            self._writer.close()
            raise
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._orders.put(None)
        self._thread.join()
        with self._reading:
            self._reader.close()
        self._writer.close()

    def lookup(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers there are to the requests with these keys."""
        wanted = list(dict.fromkeys(keys))
        with self._reading:
            try:
                return _select(self._reader, wanted)
            except sqlite3.Error as error:
                raise JOURNAL.storage_error(self.path, error) from error

    def request(self, key: str) -> str | None:
        """The request with this key as JSON; None if it was not answered."""
        with self._reading:
            try:
                row = self._reader.execute("SELECT request FROM answers WHERE key = ?", (key,)).fetchone()
            except sqlite3.Error as error:
                raise JOURNAL.storage_error(self.path, error) from error
        return None if row is None else str(row[0])

    def has_answers(self, endpoint: str, model: str) -> bool:
        """Whether this run was ever answered by that model at that endpoint."""
        query = "SELECT 1 FROM answers WHERE run_id = ? AND endpoint = ? AND model = ? LIMIT 1"
        with self._reading:
            try:
                return self._reader.execute(query, (self.run_id, endpoint, model)).fetchone() is not None
            except sqlite3.Error as error:
                raise JOURNAL.storage_error(self.path, error) from error

    def totals(self, run_id: str) -> Spend:
        """What the run `run_id` has asked and paid so far, spoiled answers included and those of `FREE_ENDPOINT` not.

        `usd` is None if any price is not known.
        """
        columns, condition = "prompt_tokens, completion_tokens, usd, estimated", "run_id = :run AND endpoint <> :free"
        query = (
            f"SELECT {_SUMS} FROM (SELECT {columns}, 0 AS spoiled FROM answers WHERE {condition}"  # noqa: S608 - constants
            f" UNION ALL SELECT {columns}, 1 FROM spoiled WHERE {condition})"
        )
        with self._reading:
            try:
                sums = self._reader.execute(query, {"run": run_id, "free": FREE_ENDPOINT}).fetchone()
            except sqlite3.Error as error:
                raise JOURNAL.storage_error(self.path, error) from error
        return _spend(sums)

    def spoiled_spend(self, keys: Sequence[str]) -> dict[str, Spend]:
        """What was paid for replies of no use to the requests with these keys; those that have none are left out."""
        found: dict[str, Spend] = {}
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _KEYS_A_QUERY):
            part = wanted[start : start + _KEYS_A_QUERY]
            query = (
                f"SELECT key, {_SUMS} FROM (SELECT *, 1 AS spoiled FROM spoiled)"  # noqa: S608 - constants and marks
                f" WHERE reason <> ? AND key IN ({', '.join('?' * len(part))}) GROUP BY key"
            )
            with self._reading:
                try:
                    rows = self._reader.execute(query, [_SECOND, *part]).fetchall()
                except sqlite3.Error as error:
                    raise JOURNAL.storage_error(self.path, error) from error
            found.update({key: _spend(sums) for key, *sums in rows})
        return found

    def discard(self, answers: Sequence[Answer], reason: str) -> None:
        """Moves `answers` to what is spoiled, for `reason`, where they still stand as they are here."""
        columns = f"{_COLUMNS}, run_id, answered_at, request"
        with self._reading:
            connection = self._reader
            try:
                connection.execute("BEGIN IMMEDIATE")
                for answer in answers:
                    still = "FROM answers WHERE key = ? AND response = ?"
                    values = (answer.key, answer.response)
                    connection.execute(f"INSERT INTO spoiled SELECT {columns}, ? {still}", (reason, *values))
                    connection.execute(f"DELETE {still}", values)
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise JOURNAL.storage_error(self.path, error) from error

    def record(self, entries: Sequence[Entry]) -> _CommitFuture:
        """A future that is done when `entries` are on the disk: the answers that stand, by key.

        Where another process had answered first, the standing answer is that one. Raises `StorageError` from the
        future; nothing of `entries` is stored then.
        """
        future: _CommitFuture = Future()
        future.set_running_or_notify_cancel()  # what is under way to the disk cannot be called back
        self._orders.put(_Order(tuple(entries), future))
        return future

    def _write(self) -> None:
        while (order := self._orders.get()) is not None:
            orders, last = [order], False
            while not last and not self._orders.empty():
                following = self._orders.get()
                if following is None:
                    last = True
                else:
                    orders.append(following)
            self._commit(orders)
            if last:
                return

    def _commit(self, orders: Sequence[_Order]) -> None:
        try:
            standing = _store(self._writer, [entry for order in orders for entry in order.entries], self.run_id)
        except Exception as error:  # noqa: BLE001 - whoever waits for the commit has to hear of it, whatever it is
            problem: Exception = error
            if isinstance(error, sqlite3.Error):
                problem = JOURNAL.storage_error(self.path, error)
                problem.__cause__ = error
            for order in orders:
                order.future.set_exception(problem)
            return
        for order in orders:
            keys = [entry.answer.key for entry in order.entries if not entry.spoiled]
            order.future.set_result({key: standing[key] for key in keys})


def _store(connection: sqlite3.Connection, entries: Sequence[Entry], run_id: str) -> dict[str, Answer]:
    """Writes `entries` in one transaction; the answers that stand, by key."""
    answered_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    keys = {entry.answer.key for entry in entries}
    if len(keys) == len(entries) <= _ROWS_AN_INSERT and not any(entry.spoiled for entry in entries):
        # Nearly always: one statement, which is a transaction by itself. Each statement gives up the interpreter lock
        # and has to have it back from a busy event loop, while the request keeps its place in flight.
        with contextlib.suppress(sqlite3.IntegrityError):  # raised, and nothing written, if a key is there
            _insert(connection, "answers", [_row(entry, run_id, answered_at) for entry in entries])
            return {entry.answer.key: entry.answer for entry in entries}
    first: dict[str, Entry] = {}
    spoiled = []
    for entry in entries:
        if entry.spoiled:
            spoiled.append(entry)
        elif first.setdefault(entry.answer.key, entry) is not entry:
            spoiled.append(replace(entry, spoiled=_SECOND))
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Looked up within the transaction, where no other process can write: what is missing now is ours to write.
        standing = _select(connection, list(first))
        spoiled += [replace(first[key], spoiled=_SECOND) for key in standing]
        fresh = [entry for key, entry in first.items() if key not in standing]
        _insert(connection, "answers", [_row(entry, run_id, answered_at) for entry in fresh])
        _insert(connection, "spoiled", [(*_row(entry, run_id, answered_at), entry.spoiled) for entry in spoiled])
        connection.execute("COMMIT")
    except BaseException:
        # A full disk makes SQLite roll back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return standing | {entry.answer.key: entry.answer for entry in fresh}


_SECOND = "answered before"  # by another process, or twice in one call


def _spend(sums: Sequence[Any]) -> Spend:
    requests, prompt, completion, usd, unknown, spoiled, estimated = sums
    return Spend(requests, prompt, completion, None if unknown else usd, spoiled, estimated)


def _row(entry: Entry, run_id: str, answered_at: str) -> tuple[object, ...]:
    return (*astuple(entry.answer), run_id, answered_at, entry.request)


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    # One statement for many rows: `executemany` gives up the interpreter lock for each row and, beside a busy event
    # loop, waits up to the switch interval (5 ms) to have it back each time.
    for start in range(0, len(rows), _ROWS_AN_INSERT):
        part = rows[start : start + _ROWS_AN_INSERT]
        row = f"({', '.join('?' * len(part[0]))})"
        statement = f"INSERT INTO {table} VALUES {', '.join([row] * len(part))}"  # noqa: S608 - constants and marks
        connection.execute(statement, [value for values in part for value in values])


def _select(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Answer]:
    answers = {}
    for start in range(0, len(keys), _KEYS_A_QUERY):
        part = keys[start : start + _KEYS_A_QUERY]
        marks = ", ".join("?" * len(part))
        rows = connection.execute(f"SELECT {_COLUMNS} FROM answers WHERE key IN ({marks})", part)  # noqa: S608 - marks
        answers.update({row[0]: Answer(*(*row[:-1], bool(row[-1]))) for row in rows.fetchall()})
    return answers
