"""The journal: kept, shared, durable, and clear about what is wrong with it."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ostensive.chat.journal import JOURNAL, Answer, Entry, Journal
from ostensive.errors import StorageError
from ostensive.records import NO_SPEND, Spend


def answer(key: str, response: str = "{}", usd: float | None = 0.25) -> Answer:
    return Answer(key, "http://127.0.0.1/v1", "m", response, 10, 3, 2, usd)


def entry(key: str, response: str = "{}", usd: float | None = 0.25, spoiled: str = "") -> Entry:
    return Entry(answer(key, response, usd), '{"model":"m"}', spoiled)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_what_was_recorded_is_found_again_by_another_process(path: Path) -> None:
    with Journal(path, "run-1") as journal:
        journal.record([entry("a", "ä\u2028\x00"), entry("b", usd=None)]).result()
    with Journal(path, "run-2") as journal:
        assert journal.lookup(["a", "b", "c", "a"]) == {"a": answer("a", "ä\u2028\x00"), "b": answer("b", usd=None)}
        assert journal.request("a") == '{"model":"m"}'
        assert journal.request("c") is None


def test_nothing_recorded_and_nothing_asked(path: Path) -> None:
    with Journal(path, "r") as journal:
        assert journal.record([]).result() == {}
        assert journal.lookup([]) == {}
        assert journal.totals("r") == NO_SPEND


def test_many_keys_at_once(path: Path) -> None:
    keys = [f"k{number}" for number in range(1_300)]
    with Journal(path, "r") as journal:
        journal.record([entry(key) for key in keys]).result()
        assert set(journal.lookup([*keys, "none"])) == set(keys)


def test_totals_are_of_one_run_and_include_what_was_spoiled(path: Path) -> None:
    with Journal(path, "one") as journal:
        journal.record([entry("a"), entry("b"), entry("b", spoiled="not JSON")]).result()
        assert journal.totals("one") == Spend(3, 30, 9, 0.75, spoiled_requests=1)
        assert journal.totals("other") == NO_SPEND
    with Journal(path, "other") as journal:
        journal.record([entry("c", usd=None), entry("d")]).result()
        assert journal.totals("other") == Spend(2, 20, 6, None)


def test_a_spoiled_answer_is_kept_but_is_no_answer(path: Path) -> None:
    with Journal(path, "r") as journal:
        assert journal.record([entry("a", "<html>", spoiled="not JSON")]).result() == {}
        assert journal.lookup(["a"]) == {}
        journal.record([entry("a")]).result()
        assert journal.lookup(["a"]) == {"a": answer("a")}
    rows = sqlite3.connect(path).execute("SELECT key, response, reason FROM spoiled").fetchall()
    assert rows == [("a", "<html>", "not JSON")]


def test_the_first_answer_stands_for_everybody(path: Path) -> None:
    with Journal(path, "one") as one, Journal(path, "two") as two:
        assert one.record([entry("a", "first")]).result() == {"a": answer("a", "first")}
        standing = two.record([entry("a", "second"), entry("b", "new")]).result()
        assert standing == {"a": answer("a", "first"), "b": answer("b", "new")}
        assert one.lookup(["a", "b"]) == standing
        assert two.totals("two").requests == 2  # the second answer was paid for as well


def test_the_same_key_twice_in_one_call(path: Path) -> None:
    with Journal(path, "r") as journal:
        assert journal.record([entry("a", "first"), entry("a", "second")]).result() == {"a": answer("a", "first")}
        assert journal.totals("r").requests == 2


def test_whether_tokens_and_cost_are_estimated_is_kept(path: Path) -> None:
    estimated = replace(answer("a"), estimated=True)
    with Journal(path, "r") as journal:
        spoiled = Entry(replace(estimated, key="c"), "{}", spoiled="no JSON")
        journal.record([Entry(estimated, "{}"), entry("b"), spoiled]).result()
        assert journal.lookup(["a", "b"]) == {"a": estimated, "b": answer("b")}
        assert journal.lookup(["a"])["a"].estimated is True
        assert journal.lookup(["b"])["b"].estimated is False
        assert journal.totals("r") == Spend(3, 30, 9, 0.75, spoiled_requests=1, estimated_requests=2)
    query = "SELECT key, estimated FROM answers UNION ALL SELECT key, estimated FROM spoiled ORDER BY key"
    assert sqlite3.connect(path).execute(query).fetchall() == [("a", 1), ("b", 0), ("c", 1)]


def test_an_answer_that_is_discarded_is_spoiled_as_it_was(path: Path) -> None:
    with Journal(path, "one") as journal:
        journal.record([entry("a", "first"), entry("b")]).result()
    with Journal(path, "two") as journal:
        journal.discard([answer("a", "first"), answer("c")], "cannot be read")
        assert journal.lookup(["a", "b"]) == {"b": answer("b")}
        assert journal.totals("one") == Spend(2, 20, 6, 0.5, spoiled_requests=1)
        assert journal.totals("two") == NO_SPEND
        assert journal.record([entry("a", "second")]).result() == {"a": answer("a", "second")}
        journal.discard([answer("a", "first")], "cannot be read")
        assert journal.lookup(["a"]) == {"a": answer("a", "second")}, "it is another answer by now"
        journal.discard([], "nothing")
    rows = sqlite3.connect(path).execute("SELECT key, response, run_id, request, reason FROM spoiled").fetchall()
    assert rows == [("a", "first", "one", '{"model":"m"}', "cannot be read")]


def test_discarding_is_all_or_nothing(path: Path) -> None:
    with Journal(path, "r") as journal:
        journal.record([entry("a"), entry("b")]).result()
        with sqlite3.connect(path) as connection:
            connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON spoiled WHEN NEW.key = 'b' BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        connection.close()
        with pytest.raises(StorageError, match=r"journal\.sqlite: no$"):
            journal.discard([answer("a"), answer("b")], "cannot be read")
        assert set(journal.lookup(["a", "b"])) == {"a", "b"}


def test_what_spoiled_replies_cost_by_key(path: Path) -> None:
    with Journal(path, "one") as one, Journal(path, "two") as two:
        one.record([entry("a", spoiled="no JSON"), entry("a", spoiled="no text"), entry("b")]).result()
        two.record([entry("b", "second"), entry("c", usd=None, spoiled="no JSON"), entry("c", spoiled="x")]).result()
        assert one.totals("two").requests == 3
        expected = {"a": Spend(2, 20, 6, 0.5, spoiled_requests=2), "c": Spend(2, 20, 6, None, spoiled_requests=2)}
        assert one.spoiled_spend(["a", "b", "c", "d", "a"]) == two.spoiled_spend(["c", "a", "b"]) == expected
        assert one.spoiled_spend([]) == {}
        assert one.spoiled_spend([*(str(number) for number in range(2_000)), "a"]) == {"a": expected["a"]}


def test_many_threads_record_and_look_up_at_once(path: Path) -> None:
    with Journal(path, "r") as journal, ThreadPoolExecutor(8) as pool:

        def work(number: int) -> bool:
            key = f"k{number}"
            journal.record([entry(key)]).result()
            return journal.lookup([key]) == {key: answer(key)}

        assert all(pool.map(work, range(400)))
        assert journal.totals("r").requests == 400


def test_what_is_queued_when_it_closes_is_still_written(path: Path) -> None:
    with Journal(path, "r") as journal:
        futures = [journal.record([entry(f"k{number}")]) for number in range(50)]
    assert all(future.done() for future in futures)
    with Journal(path, "r") as journal:
        assert journal.totals("r").requests == 50


def test_a_commit_cannot_be_called_back(path: Path) -> None:
    with Journal(path, "r") as journal:
        future = journal.record([entry("a")])
        assert not future.cancel()
        assert future.result() == {"a": answer("a")}


def test_an_entry_that_cannot_be_stored_is_reported_and_stops_nobody_else(path: Path) -> None:
    with Journal(path, "r") as journal:
        with pytest.raises(OverflowError):
            journal.record([Entry(replace(answer("a"), prompt_tokens=2**70), "{}")]).result()
        assert journal.record([entry("b")]).result() == {"b": answer("b")}
        assert journal.lookup(["a"]) == {}


RECORDER = """
import sys
from pathlib import Path
from ostensive.chat.journal import Answer, Entry, Journal
with Journal(Path(sys.argv[1]), sys.argv[2]) as journal:
    for number in range(int(sys.argv[3])):
        key = f"{sys.argv[2]}-{number}"
        journal.record([Entry(Answer(key, "e", "m", "{}", 1, 1, 0, 0.0), "{}")]).result()
        print(key, flush=True)
"""


def recorder(path: Path, run_id: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RECORDER, str(path), run_id, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_process_loses_nothing_that_was_committed(path: Path) -> None:
    with recorder(path, "r", 10**9) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(100)]
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.read().split()
    with Journal(path, "r") as journal:
        assert set(journal.lookup(said)) == set(said)
        assert journal.totals("r").requests - len(said) in (0, 1)  # one may have been committed and not said


def test_two_processes_share_a_journal(path: Path) -> None:
    processes = [recorder(path, run_id, 200) for run_id in ("one", "two")]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with Journal(path, "three") as journal:
        assert journal.totals("one").requests == journal.totals("two").requests == 200


def refused(path: Path) -> str:
    with pytest.raises(StorageError) as caught, Journal(path, "r"):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_version_is_refused(path: Path) -> None:
    with Journal(path, "r"):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    assert refused(path) == (
        f"{path}: a journal in format 9, this version of ostensive works with format {JOURNAL.version};"
        " use the version that made the file, or name another file with --journal"
    )


def test_a_database_that_is_no_journal_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE holidays (day TEXT)")
    connection.close()
    before = path.read_bytes()
    assert refused(path) == f"{path}: an SQLite file, but not a journal; name another file with --journal"
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"holidays: none\n" * 100)
    assert refused(path) == f"{path}: not a journal (not an SQLite file); name another file with --journal"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "journal.sqlite"
    assert refused(path) == f"{path}: the file cannot be opened or made; look at its folder and permissions"


def test_a_damaged_journal_is_named(path: Path) -> None:
    with Journal(path, "r") as journal:
        journal.record([entry(f"k{number}", "x" * 2000) for number in range(100)]).result()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\x5a" * (len(whole) - 4096))
    with pytest.raises(StorageError) as caught, Journal(path, "r") as journal:
        journal.lookup(["k1"])
    assert str(caught.value).startswith(f"{path}: the file is damaged; move it away")


FILLER = """
import resource, sys
from pathlib import Path
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
with Journal(Path(sys.argv[1]), "r") as journal:
    try:
        for number in range(1000):
            journal.record([Entry(Answer(f"k{number}", "e", "m", "x" * 5000, 1, 1, 0, 0.0), "{}")]).result()
            print(number, flush=True)
    except StorageError as error:
        print(error, flush=True)
"""


def test_without_room_it_says_so_and_goes_on_when_there_is(path: Path) -> None:
    command = [sys.executable, "-c", FILLER, str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    problem = "the disk is full, broken or over a file size limit; make room and run the same command again"
    assert lines[-1] == f"{path}: {problem}"
    kept = [f"k{line}" for line in lines[:-1]]
    assert kept
    with Journal(path, "r") as journal:
        assert set(journal.lookup(kept)) == set(kept)
        journal.record([entry("after")]).result()
        assert "after" in journal.lookup(["after"])


def test_a_reader_that_lags_blocks_no_writer(path: Path) -> None:
    with Journal(path, "r") as journal:
        journal.record([entry("a")]).result()
        stranger = sqlite3.connect(path)
        stranger.execute("BEGIN")
        assert stranger.execute("SELECT count(*) FROM answers").fetchone() == (1,)
        done = threading.Event()
        journal.record([entry("b")]).add_done_callback(lambda _: done.set())
        assert done.wait(10)
        stranger.close()


def test_a_full_disk_and_a_read_only_file_are_told_by_their_codes(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as full:
        connection.executescript("CREATE TABLE a (b); CREATE TABLE c (d); CREATE TABLE e (f);")
    assert str(JOURNAL.storage_error(path, full.value)) == (
        f"{path}: the disk is full; make room and run the same command again"
    )
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as read_only:
        reader.execute("CREATE TABLE x (y)")
    assert str(JOURNAL.storage_error(path, read_only.value)) == (
        f"{path}: the file or its folder is read-only; make it writable, or name another file with --journal"
    )
