"""Claims: one holder each, in one process or several; they end with their process and with nothing else."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.claims import SUFFIX, Claims
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.chat.waiting import Waiting, wait_for_others
from ostensive.errors import StorageError

HOLDER = """
import json, os, sys, time
from pathlib import Path
from ostensive.chat.claims import Claims
with Claims(Path(sys.argv[1])) as claims:
    for line in sys.stdin:
        what, keys = json.loads(line)
        if what == "fork" and not os.fork():
            time.sleep(600)
        print(json.dumps(sorted(getattr(claims, what)(keys) or ()) if what != "fork" else []), flush=True)
"""


class Holder:
    """Claims in another process."""

    def __init__(self, journal: Path) -> None:
        command = [sys.executable, "-c", HOLDER, str(journal)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def claim(self, keys: list[str]) -> set[str]:
        return self._tell("claim", keys)

    def release(self, keys: list[str]) -> None:
        self._tell("release", keys)

    def unclaimed(self, keys: list[str]) -> set[str]:
        return self._tell("unclaimed", keys)

    def fork(self) -> None:
        """Starts a child that has the file open and lives on."""
        self._tell("fork", [])

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> None:
        with self._process:
            self._process.kill()

    def _tell(self, what: str, keys: list[str]) -> set[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, keys]) + "\n")
        self._process.stdin.flush()
        return set(json.loads(self._process.stdout.readline()))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    with Journal(path, "made"):
        pass
    return path


@pytest.fixture
def holder(journal: Path) -> Iterator[Holder]:
    other = Holder(journal)
    yield other
    other.end()


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Claims | Holder]]:
    """Two journals of this process, and two other processes."""
    path = tmp_path_factory.mktemp("four") / "journal.sqlite"
    path.touch()
    others = [Holder(path), Holder(path)]
    with Claims(path) as one, Claims(path) as two:
        yield [one, two, *others]
    for other in others:
        other.end()


KEYS = [f"key {number}" for number in range(6)]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["claim", "release", "unclaimed"]),
        st.lists(st.sampled_from(KEYS), max_size=4),
    ),
    max_size=25,
)


@given(steps=STEPS)
def test_a_key_has_one_holder(four: list[Claims | Holder], steps: list[tuple[int, str, list[str]]]) -> None:
    held_by: dict[str, int] = {}
    for who, what, keys in steps:
        if what == "claim":
            assert four[who].claim(keys) == set(keys) - held_by.keys()
            held_by |= {key: who for key in keys if key not in held_by}
        elif what == "release":
            four[who].release(keys)
            held_by = {key: holder for key, holder in held_by.items() if holder != who or key not in keys}
        else:
            assert four[who].unclaimed(keys) == set(keys) - held_by.keys()
    for claims in four:
        claims.release(KEYS)


def test_claims_end_with_a_process_that_is_killed_whatever_its_children(journal: Path, holder: Holder) -> None:
    holder.fork()
    assert holder.claim(KEYS) == set(KEYS)
    with Claims(journal) as claims:
        assert claims.claim(KEYS) == set()
        holder.end()
        assert claims.claim(KEYS) == set(KEYS)


def test_a_stopped_process_keeps_its_claims(journal: Path, holder: Holder) -> None:
    holder.claim(["a"])
    holder.send(signal.SIGSTOP)
    with Claims(journal) as claims:
        assert claims.claim(["a", "b"]) == {"b"}
        assert claims.unclaimed(["a", "c"]) == {"c"}
        holder.send(signal.SIGCONT)
        holder.release(["a"])
        assert claims.claim(["a"]) == {"a"}


def test_a_journal_that_is_closed_takes_no_claim_of_another_in_the_process_along(journal: Path, holder: Holder) -> None:
    with Claims(journal) as claims:
        with Claims(journal) as others:
            assert claims.claim(["a"]) == {"a"}
            assert others.claim(["a", "b"]) == {"b"}
        assert holder.claim(["a", "b"]) == {"b"}


def test_of_several_who_pass_over_a_claim_one_has_the_key(journal: Path, holder: Holder) -> None:
    holder.claim(["a", "b"])
    with Claims(journal) as one, Claims(journal) as other:
        one.pass_over(["a"])
        other.pass_over(["a"])
        assert one.claim(["a", "b"]) == {"a"}
        assert other.claim(["a"]) == set()
        one.release(["a"])
        assert other.claim(["a"]) == {"a"}


def test_claims_outlive_their_file(journal: Path, holder: Holder) -> None:
    path = journal.with_name(journal.name + SUFFIX)
    with Claims(journal) as claims:
        claims.claim(["a"])
        path.unlink()
        time.sleep(1.1)  # it is looked for once a second
        assert claims.claim(["b"]) == {"b"}
        assert holder.claim(["a", "b", "c"]) == {"c"}
        path.unlink()
        time.sleep(1.1)
        assert holder.claim(["d"]) == {"d"}
        assert claims.unclaimed(["c", "d", "e"]) == {"e"}


def test_a_folder_that_is_removed_is_named(journal: Path) -> None:
    with Claims(journal) as claims:
        claims.claim(["a"])
        shutil.rmtree(journal.parent)
        time.sleep(1.1)
        with pytest.raises(StorageError, match=rf"^cannot write {journal}{SUFFIX}: No such file or directory$"):
            claims.claim(["b"])
    journal.parent.mkdir()
    journal.touch()
    with Claims(journal) as claims:
        assert claims.claim(["a"]) == {"a"}


def test_a_link_to_the_journal_leads_to_the_same_claims(journal: Path, holder: Holder, tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(journal)
    holder.claim(["a"])
    with Claims(link) as claims:
        assert claims.claim(["a", "b"]) == {"b"}


def test_whoever_may_write_to_the_journal_may_claim(journal: Path) -> None:
    journal.chmod(0o664)
    before = os.umask(0o077)
    try:
        with Claims(journal):
            assert journal.with_name(journal.name + SUFFIX).stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


def test_a_file_that_cannot_be_made_is_named(journal: Path) -> None:
    path = journal.with_name(journal.name + SUFFIX)
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError) as caught, Journal(journal, "r"):
        pass
    assert str(caught.value) == f"cannot write {path}: a folder is there already; choose another name"
    path.rmdir()
    with Journal(journal, "r") as opened:
        assert opened.claim(["a"]) == {"a"}


def test_many_keys_are_claimed_quickly(journal: Path) -> None:
    keys = [str(number) for number in range(5_000)]
    with Claims(journal) as claims:
        began_at = time.monotonic()
        assert claims.claim(keys) == set(keys)
        claims.release(keys)
        assert time.monotonic() - began_at < 5.0


# Claims of a journal end with the answer.


def entry(key: str, spoiled: str = "") -> Entry:
    return Entry(Answer(key, "e", "m", "{}", 1, 1, 0, 0.0), "{}", spoiled)


def test_a_claim_ends_when_the_answer_is_on_the_disk(journal: Path) -> None:
    with Journal(journal, "a") as one, Journal(journal, "b") as other:
        assert one.claim(["a", "b", "c"]) == {"a", "b", "c"}
        assert other.claim(["a", "b", "c"]) == set()
        assert other.settled(["a", "b", "c"]) == set()
        one.record([entry("a"), entry("b", spoiled="no JSON")]).result()
        assert other.settled(["a", "b", "c"]) == {"a"}
        assert other.claim(["a", "b", "c"]) == {"a"}
        assert "a" in other.lookup(["a"]), "who has a claim sees the answer that came before it"
        assert one.settled(["a"]) == {"a"}, "an answer is enough"


def test_a_release_comes_after_what_was_recorded(journal: Path) -> None:
    with Journal(journal, "a") as one, Journal(journal, "b") as other, ExitStack() as held:
        one.claim(["a"])
        blocker = held.enter_context(Journal(journal, "blocker"))
        blocker._writer.execute("BEGIN IMMEDIATE")
        recorded = one.record([entry("a")])
        one.release(["a"])
        time.sleep(0.1)
        assert other.claim(["a"]) == set()
        blocker._writer.execute("ROLLBACK")
        recorded.result()
        assert other.settled(["a"]) == {"a"}


def test_a_release_that_meets_a_broken_entry_takes_place(journal: Path) -> None:
    with Journal(journal, "a") as one, Journal(journal, "b") as other:
        one.claim(["a"])
        broken = one.record([Entry(Answer("x", "e", "m", "{}", 2**70, 1, 0, 0.0), "{}")])
        one.release(["a"])
        with pytest.raises(OverflowError):
            broken.result()
        one.record([entry("y")]).result()
        assert other.claim(["a"]) == {"a"}


def test_a_journal_that_is_closed_has_no_claims(journal: Path) -> None:
    with Journal(journal, "b") as other:
        with Journal(journal, "a") as one:
            one.claim(["a"])
        assert other.claim(["a"]) == {"a"}


# Waiting.


def seconds_waited(waiter: Journal, patience_s: float, notice_s: float = 60.0) -> float:
    async def wait() -> float:
        began_at = time.monotonic()
        await Waiting(waiter, asyncio.Event(), patience_s, notice_s).until_settled("a")
        return time.monotonic() - began_at

    return asyncio.run(wait())


def test_a_claim_that_does_not_end_is_passed_over(journal: Path) -> None:
    with Journal(journal, "a") as one, Journal(journal, "b") as other, Journal(journal, "c") as third:
        one.claim(["a"])
        assert 0.7 <= seconds_waited(other, 0.8) < 5.0
        assert other.claim(["a"]) == {"a"}
        seconds_waited(third, 0.1)
        assert third.claim(["a"]) == set()
        other.record([entry("a")]).result()
        assert seconds_waited(third, 60.0) < 5.0


def test_time_in_which_who_waits_did_not_run_does_not_count(journal: Path) -> None:
    async def wait(waiter: Journal) -> None:
        waiting = asyncio.create_task(Waiting(waiter, asyncio.Event(), 2.5).until_settled("a"))
        await asyncio.sleep(0.1)
        time.sleep(3.0)  # as if the process had been stopped
        await asyncio.sleep(0.3)
        assert not waiting.done()
        waiting.cancel()

    with Journal(journal, "a") as one, Journal(journal, "b") as other:
        one.claim(["a"])
        asyncio.run(wait(other))


def test_a_journal_that_breaks_ends_the_waiting(journal: Path) -> None:
    async def wait(waiter: Journal) -> None:
        waiting = asyncio.create_task(Waiting(waiter, asyncio.Event(), 60.0).until_settled("a"))
        await asyncio.sleep(0.1)
        waiter._reader.close()
        with pytest.raises(StorageError):
            await asyncio.wait_for(waiting, 5.0)

    with Journal(journal, "a") as one, Journal(journal, "b") as other:
        one.claim(["a"])
        asyncio.run(wait(other))


def test_a_long_wait_is_said_once(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Journal(journal, "a") as one, Journal(journal, "b") as other:
        one.claim(["a", "b"])
        seconds_waited(other, 1.0, notice_s=0.3)
        wait_for_others(other, ["b"], threading.Event(), idle_s=1.0, notice_s=0.3)
    notice = f"{journal}: another process has asked 1 of the same requests for some time; waiting for its answers"
    assert [record.getMessage() for record in caplog.records] == [notice] * 2


def test_a_model_is_passed_over_when_nothing_comes_in_any_more(journal: Path) -> None:
    with Journal(journal, "a") as one, Journal(journal, "b") as other:
        one.claim(["a", "b", "c"])
        timers = [threading.Timer(0.5 * number, one.record, [[entry(key)]]) for number, key in enumerate("bc", 1)]
        for timer in timers:
            timer.start()
        began_at = time.monotonic()
        wait_for_others(other, ["a"], threading.Event(), idle_s=0.8)
        assert 1.6 < time.monotonic() - began_at < 6.0
        assert other.claim(["a"]) == {"a"}


def test_a_stop_ends_the_waiting_for_a_model(journal: Path) -> None:
    stop = threading.Event()
    with Journal(journal, "a") as one, Journal(journal, "b") as other:
        one.claim(["a"])
        threading.Timer(0.3, stop.set).start()
        began_at = time.monotonic()
        wait_for_others(other, ["a"], stop)
        assert time.monotonic() - began_at < 2.0
