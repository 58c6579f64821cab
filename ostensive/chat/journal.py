"""The journal: every answered request and its raw answer, in one SQLite file that runs and processes may share.

An answer counts as had once it is here, so a write returns only when the answer is on the disk (WAL, synchronous=FULL).
One thread commits whatever has queued since its last commit: under load one flush carries dozens of answers. A commit
an answer was the alternative; it would cap a run at what the disk can flush. Answers to a request that another process
answered meanwhile are not stored a second time: the first one stands, for everybody. What was paid for and is no answer
(a malformed reply, a second answer) is kept in a table of its own, so that the sums are right and nothing is lost.

A request is claimed before it is sent, so that no other process sends it too (`claims.py`). The claim ends when the
answer is on the disk, or when the request ends without one.
"""

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar  # Any: rows of SQLite

from ostensive.chat.claims import Claims
from ostensive.records import Spend
from ostensive.sqlite_files import FileKind

FREE_ENDPOINT = "local"
"""Under which the answers of models on this machine stand that verbalize: no limit counts them."""
_KEYS_A_QUERY = 500
_ROWS_AN_INSERT = 256
_SECOND = "answered before"  # why an answer is spoiled: by another process, or twice in one call

# The request is last: SQLite reads a row from its start, so looking up an answer does not touch it.
_SCHEMA = """
CREATE TABLE answers (
    key TEXT PRIMARY KEY, endpoint TEXT NOT NULL, model TEXT NOT NULL, response TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, usd REAL,
    estimated INTEGER NOT NULL, run_id TEXT NOT NULL, answered_at TEXT NOT NULL, request TEXT NOT NULL);
CREATE INDEX answers_by_run ON answers (run_id);
CREATE TABLE spoiled (
    key TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, response TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, usd REAL,
    estimated INTEGER NOT NULL, run_id TEXT NOT NULL, answered_at TEXT NOT NULL, request TEXT NOT NULL,
    reason TEXT NOT NULL);
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


ResultT = TypeVar("ResultT")
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
    released: tuple[str, ...] = ()  # keys whose claims end with it


class Journal:
    """The journal at `path`, made if it is not there; entries are written in the name of `run_id`.

    Raises `StorageError` in one line when the file cannot be opened, read or written, is no journal, or was made by
    another version. All methods may be called from any thread between `__enter__` and `__exit__`.
    """

    def __init__(self, path: Path, run_id: str) -> None:
        self.path = path
        self.run_id = run_id
        self._claims = Claims(path)
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._reading = threading.Lock()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._writer = stack.enter_context(contextlib.closing(JOURNAL.connect(self.path)))
            self._reader = stack.enter_context(contextlib.closing(JOURNAL.connect(self.path)))
            stack.enter_context(self._claims)
            self._resources = stack.pop_all()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._orders.put(None)
        self._thread.join()
        with self._reading:
            self._resources.close()

    def lookup(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers there are to the requests with these keys."""
        wanted = list(dict.fromkeys(keys))
        return self._read(lambda reader: _select(reader, wanted))

    def request(self, key: str) -> str | None:
        """The request with this key as JSON; None if it was not answered."""
        query = "SELECT request FROM answers WHERE key = ?"
        row = self._read(lambda reader: reader.execute(query, (key,)).fetchone())
        return None if row is None else str(row[0])

    def spoiled_spend(self, keys: Sequence[str]) -> dict[str, Spend]:
        """What was paid, by whomever, for replies to these keys that were no answers; only keys that have any.

        A second answer to an answered request is not among them: it says nothing of what an answer takes.
        """
        query = (
            f"SELECT key, {_SUMS} FROM (SELECT *, 1 AS spoiled FROM spoiled WHERE reason <> '{_SECOND}')"  # noqa: S608 - constants
            " WHERE key IN ({marks}) GROUP BY key"
        )
        wanted = list(dict.fromkeys(keys))
        return {key: _spend(sums) for key, *sums in self._read(lambda reader: _rows(reader, query, wanted))}

    def _read(self, read: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        with self._reading:
            try:
                return read(self._reader)
            except sqlite3.Error as error:
                raise JOURNAL.storage_error(self.path, error) from error

    def claim(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that nobody had claimed and that are claimed from now on; see `Claims.claim`.

        A claim ends when an answer with its key is recorded, by `release`, and with this process. Whoever holds one
        must not wait for those of others. For others' claims, see `settled`.
        """
        return self._claims.claim(keys)

    def release(self, keys: Sequence[str]) -> None:
        """Ends claims that are had on `keys`, once all that was recorded before is on the disk."""
        if self._claims.held(keys):
            self._orders.put(_Order((), Future(), tuple(keys)))

    def settled(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that are answered or claimed by nobody: what one who waits for a claim need wait for."""
        free = self._claims.unclaimed(keys)
        rest = [key for key in keys if key not in free]
        query = "SELECT key FROM answers WHERE key IN ({marks})"
        return free | {row[0] for row in self._read(lambda reader: _rows(reader, query, rest))}

    def last_row(self) -> int:
        """A number that changes whenever somebody's answer comes in."""
        query = "SELECT coalesce(max(rowid), 0) FROM answers"
        return int(self._read(lambda reader: reader.execute(query).fetchone())[0])

    def pass_over(self, keys: Sequence[str]) -> None:
        """Waits no more for those who have claimed `keys`; see `Claims.pass_over`."""
        self._claims.pass_over(keys)

    def has_answers(self, endpoint: str, model: str) -> bool:
        """Whether this run was ever answered by that model at that endpoint."""
        query = "SELECT 1 FROM answers WHERE run_id = ? AND endpoint = ? AND model = ? LIMIT 1"
        values = (self.run_id, endpoint, model)
        return self._read(lambda reader: reader.execute(query, values).fetchone()) is not None

    def totals(self, run_id: str) -> Spend:
        """What the run `run_id` has asked and paid so far, spoiled answers included and those of `FREE_ENDPOINT` not.

        `usd` is None if any price is not known.
        """
        columns, condition = "prompt_tokens, completion_tokens, usd, estimated", "run_id = :run AND endpoint <> :free"
        query = (
            f"SELECT {_SUMS} FROM (SELECT {columns}, 0 AS spoiled FROM answers WHERE {condition}"  # noqa: S608 - constants
            f" UNION ALL SELECT {columns}, 1 FROM spoiled WHERE {condition})"
        )
        values = {"run": run_id, "free": FREE_ENDPOINT}
        return _spend(self._read(lambda reader: reader.execute(query, values).fetchone()))

    def record(self, entries: Sequence[Entry]) -> _CommitFuture:
        """A future that is done when `entries` are on the disk: the answers that stand, by key.

        Where another process had answered first, the standing answer is that one. Raises `StorageError` from the
        future; nothing of `entries` is stored then.
        """
        future: _CommitFuture = Future()
        future.set_running_or_notify_cancel()  # what is under way to the disk cannot be called back
        self._orders.put(_Order(tuple(entries), future))
        return future

    def discard(self, answers: Sequence[Answer], reason: str) -> None:
        """Makes spoiled ones of `answers`, in one transaction: their requests count as not answered any more.

        Where the journal holds another answer by now, that one stands.
        """
        columns = f"{_COLUMNS}, run_id, answered_at, request"
        try:
            with contextlib.closing(JOURNAL.connect(self.path)) as connection, _transaction(connection):
                for answer in answers:
                    which = (answer.key, answer.response)
                    connection.execute(
                        f"INSERT INTO spoiled SELECT {columns}, ? FROM answers WHERE key = ? AND response = ?",  # noqa: S608 - constants
                        (reason, *which),
                    )
                    connection.execute("DELETE FROM answers WHERE key = ? AND response = ?", which)
        except sqlite3.Error as error:
            raise JOURNAL.storage_error(self.path, error) from error

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
        standing: dict[str, Answer] = {}
        problem: Exception | None = None
        try:
            try:
                standing = _store(self._writer, [entry for order in orders for entry in order.entries], self.run_id)
            finally:
                self._claims.release([*standing, *(key for order in orders for key in order.released)])
        except Exception as error:  # noqa: BLE001 - whoever waits for the commit has to hear of it, whatever it is
            problem = error
            if isinstance(error, sqlite3.Error):
                problem = JOURNAL.storage_error(self.path, error)
                problem.__cause__ = error
        for order in orders:
            if problem is not None:
                order.future.set_exception(problem)
                continue
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
    with _transaction(connection):
        # Looked up within the transaction, where no other process can write: what is missing now is ours to write.
        standing = _select(connection, list(first))
        spoiled += [replace(first[key], spoiled=_SECOND) for key in standing]
        fresh = [entry for key, entry in first.items() if key not in standing]
        _insert(connection, "answers", [_row(entry, run_id, answered_at) for entry in fresh])
        _insert(connection, "spoiled", [(*_row(entry, run_id, answered_at), entry.spoiled) for entry in spoiled])
    return standing | {entry.answer.key: entry.answer for entry in fresh}


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk makes SQLite roll back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


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
    rows = _rows(connection, f"SELECT {_COLUMNS} FROM answers WHERE key IN ({{marks}})", keys)  # noqa: S608 - constants
    return {row[0]: _answer(row) for row in rows}


def _rows(connection: sqlite3.Connection, query: str, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    rows = []
    for start in range(0, len(keys), _KEYS_A_QUERY):
        part = keys[start : start + _KEYS_A_QUERY]
        rows += connection.execute(query.format(marks=", ".join("?" * len(part))), part).fetchall()
    return rows


def _answer(row: tuple[Any, ...]) -> Answer:
    key, endpoint, model, response, prompt, completion, cached, usd, estimated = row
    return Answer(key, endpoint, model, response, prompt, completion, cached, usd, estimated=bool(estimated))
