"""Several processes with one journal: each request is sent once, whoever dies, stops, fails or gives up."""

import dataclasses
import itertools
import json
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from asking import (
    Job,
    NotingServer,
    Process,
    Processes,
    SlowModel,
    assert_sent_again_only_after_a_kill,
    conversations,
    settings_of,
    texts,
)

from ostensive.chat.budget import Budget
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.chat.records import Completion
from ostensive.chat.served import ServedChat
from ostensive.chat.turns import JournaledModel
from ostensive.chat.wire import completion_json
from ostensive.errors import BudgetReached, Interrupted

PROCESSES = 4
QUESTIONS = [f"question {number}" for number in range(20)]
TURNS = 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


# The law, with four processes.


def latency_s(question: str) -> float:
    return 0.05 + random.Random(question).random() * 0.2


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("processes")) as started:
        yield started


def ask_together(processes: Processes, path: Path, seed: int, kills: int) -> None:
    """Four processes ask overlapping questions; `kills` of them are killed at some moment and started anew."""
    rng = random.Random(seed)
    killed_at: dict[str, float] = {}
    with NotingServer(latency_s) as server:

        def start(job: Job, name: str) -> Process:
            return processes.start(dataclasses.replace(job, base_url=server.url(name)))

        jobs = [
            Job(
                journal=str(path),
                run_id=f"run {number}",
                questions=rng.sample(QUESTIONS, 14),
                turns=TURNS,
                settings={"max_in_flight": rng.randint(1, 4)},
            )
            for number in range(PROCESSES)
        ]
        names = [f"p{number}.0" for number in range(PROCESSES)]
        running = list(map(start, jobs, names))
        for kill in range(1, kills + 1):
            time.sleep(rng.uniform(0.02, 0.3))
            number = rng.randrange(PROCESSES)
            killed_at[names[number]] = time.monotonic()
            running[number].kill()
            names[number] = f"p{number}.{kill}"
            running[number] = start(jobs[number], names[number])
        answers = [process.result() for process in running]
        assert_sent_again_only_after_a_kill(server, killed_at)
        distinct = server.by_request()
    asked = {question for job in jobs for question in job.questions}
    assert [set(answer) for answer in answers] == [set(job.questions) for job in jobs]
    merged: dict[str, list[str]] = {}
    for question, said in itertools.chain.from_iterable(answer.items() for answer in answers):
        assert len(said) == TURNS
        assert merged.setdefault(question, said) == said, "everybody has the same answer"
    assert merged.keys() == asked
    assert rows(path, "SELECT count(*), count(DISTINCT key) FROM answers") == [(len(distinct), len(distinct))]
    assert rows(path, "SELECT reason FROM spoiled") == []


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_request_is_sent_once(processes: Processes, path: Path, seed: int) -> None:
    ask_together(processes, path, seed, kills=0)


@pytest.mark.parametrize("seed", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_a_request_is_sent_again_only_when_its_sender_was_killed(processes: Processes, path: Path, seed: int) -> None:
    ask_together(processes, path, seed, kills=4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 22))
def test_many_kills(processes: Processes, path: Path, seed: int) -> None:
    ask_together(processes, path, seed, kills=8)


# One who waits, in this process, and one whose request it is, in another or with a journal of its own in this one.


@contextmanager
def asking(
    path: Path,
    base_url: str,
    *,
    run_id: str = "waiting",
    budget: Budget | None = None,
    stop: threading.Event | None = None,
    **settings: object,
) -> Iterator[ServedChat]:
    with (
        Journal(path, run_id) as journal,
        ServedChat(
            settings_of(base_url, **settings),
            journal=journal,
            budget=budget or Budget(),
            stop=stop or threading.Event(),
            price=None,
        ) as chat,
    ):
        yield chat


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def ask(chat: ServedChat, questions: Sequence[str]) -> dict[str, list[str]]:
    return texts(questions, chat.chat(conversations(questions)))


def counts(server: NotingServer) -> Counter[str]:
    return Counter(receipt.question for receipt in server.receipts)


def test_two_journals_in_one_process_pay_once_each_in_its_own_name(path: Path, pool: ThreadPoolExecutor) -> None:
    with (
        NotingServer(lambda _: 0.1) as server,
        asking(path, server.url("a"), run_id="a", max_in_flight=3) as one,
        asking(path, server.url("b"), run_id="b", max_in_flight=3) as other,
    ):
        answers = [future.result() for future in [pool.submit(ask, chat, QUESTIONS) for chat in (one, other)]]
        assert answers[0] == answers[1]
        assert set(counts(server).values()) == {1}
        sent = Counter(receipt.asker for receipt in server.receipts)
    assert min(sent["a"], sent["b"]) > 2, "claimed when it is about to be sent, so that both have something to do"
    with Journal(path, "c") as journal:
        assert (journal.totals("a").requests, journal.totals("b").requests) == (sent["a"], sent["b"])
        assert journal.totals("c").requests == 0


def test_two_clients_of_one_journal_send_once(path: Path, pool: ThreadPoolExecutor) -> None:
    with NotingServer(lambda _: 0.1) as server, Journal(path, "run") as journal:

        def client(name: str) -> ServedChat:
            stop = threading.Event()
            return ServedChat(
                settings_of(server.url(name)), journal=journal, budget=Budget(), stop=stop, price=None, environment={}
            )

        with client("teacher") as one, client("judge") as other:
            futures = [pool.submit(ask, chat, QUESTIONS) for chat in (one, other)]
            assert futures[0].result() == futures[1].result()
        assert set(counts(server).values()) == {1}


def test_who_waits_holds_no_place_in_flight(path: Path, pool: ThreadPoolExecutor) -> None:
    with (
        NotingServer(lambda question: 2.0 if question == "slow" else 0.0) as server,
        asking(path, server.url("a")) as one,
        asking(path, server.url("b"), max_in_flight=1) as other,
    ):
        first = pool.submit(ask, one, ["slow"])
        server.wait_for("slow")
        second = pool.submit(ask, other, ["slow", "quick", "quick too"])
        server.wait_for("quick too")
        assert not first.done()
        assert second.result()["slow"] == first.result()["slow"]
        assert set(counts(server).values()) == {1}


def test_each_waits_for_what_the_other_holds(path: Path, pool: ThreadPoolExecutor) -> None:
    with (
        NotingServer(lambda _: 0.5) as server,
        asking(path, server.url("a"), max_in_flight=1) as one,
        asking(path, server.url("b"), max_in_flight=1) as other,
    ):
        first = pool.submit(ask, one, ["x", "y"])
        server.wait_for("x")
        second = pool.submit(ask, other, ["y", "x"])
        server.wait_for("y")
        assert first.result(10) == second.result(10)
        assert {receipt.question: receipt.asker for receipt in server.receipts} == {"x": "a", "y": "b"}


def test_what_is_waited_for_counts_nothing_against_the_budget(path: Path, pool: ThreadPoolExecutor) -> None:
    with (
        NotingServer(lambda question: 1.0 if question == "theirs" else 0.0) as server,
        asking(path, server.url("a")) as one,
        asking(path, server.url("b"), budget=Budget(max_requests=1)) as other,
    ):
        first = pool.submit(ask, one, ["theirs"])
        server.wait_for("theirs")
        assert ask(other, ["theirs", "mine"])["theirs"] == first.result()["theirs"]
        assert counts(server) == {"theirs": 1, "mine": 1}


def test_a_reached_budget_ends_the_waiting(path: Path, pool: ThreadPoolExecutor) -> None:
    with (
        NotingServer(lambda question: 2.0 if question == "theirs" else 0.0) as server,
        asking(path, server.url("a")) as one,
        asking(path, server.url("b"), budget=Budget(max_requests=1)) as other,
    ):
        first = pool.submit(ask, one, ["theirs"])
        server.wait_for("theirs")
        with pytest.raises(BudgetReached):
            ask(other, ["theirs", "mine", "mine too"])
        assert not first.done()
        first.result()
        assert counts(server)["theirs"] == 1


def test_a_stop_ends_the_waiting(path: Path, pool: ThreadPoolExecutor) -> None:
    stop = threading.Event()
    with (
        NotingServer(lambda _: 4.0) as server,
        asking(path, server.url("a")) as one,
        asking(path, server.url("b"), stop=stop) as other,
    ):
        first = pool.submit(ask, one, ["theirs"])
        server.wait_for("theirs")
        second = pool.submit(ask, other, ["theirs"])
        with pytest.raises(TimeoutError):
            second.result(1.0)
        stopped_at = time.monotonic()
        stop.set()
        with pytest.raises(Interrupted):
            second.result()
        assert time.monotonic() - stopped_at < 1.0
        assert not first.done()
        assert first.result()
        assert counts(server) == {"theirs": 1}


def test_a_request_that_fails_is_tried_by_those_who_waited_for_it(path: Path, pool: ThreadPoolExecutor) -> None:
    with (
        NotingServer(lambda _: 0.5) as server,
        asking(path, server.url("a")) as one,
        asking(path, server.url("b")) as other,
        asking(path, server.url("c")) as third,
    ):
        first = pool.submit(ask, one, ["refuse this"])
        server.wait_for("refuse this")
        futures: list[Future[dict[str, list[str]]]] = [first]
        futures += [pool.submit(ask, chat, ["refuse this"]) for chat in (other, third)]
        assert len({str(future.result()) for future in futures}) == 1
        assert first.result()["refuse this"][0].startswith("(")
        (receipts,) = server.by_request().values()
    assert sorted(receipt.asker for receipt in receipts) == ["a", "b", "c"]
    for earlier, later in itertools.pairwise(receipts):
        assert later.at - earlier.at >= 0.5, "one after the other"
    assert rows(path, "SELECT * FROM answers") == []


def test_what_a_budget_leaves_unsent_is_free_for_others(path: Path) -> None:
    with NotingServer() as server:
        with asking(path, server.url("a"), budget=Budget(max_requests=3)) as one, pytest.raises(BudgetReached):
            ask(one, QUESTIONS)
        with asking(path, server.url("b")) as other:
            ask(other, QUESTIONS)
        assert set(counts(server).values()) == {1}


def test_a_client_that_is_closed_leaves_no_claim(path: Path, pool: ThreadPoolExecutor) -> None:
    stop = threading.Event()
    with NotingServer(lambda _: 0.7) as server, Journal(path, "run") as journal:
        settings = settings_of(server.url("a"))
        with ServedChat(
            settings, journal=journal, budget=Budget(), stop=stop, price=None, environment={}, stop_grace_s=0.1
        ) as chat:
            future = pool.submit(ask, chat, ["cut off"])
            server.wait_for("cut off")
            stop.set()
            with pytest.raises(Interrupted):
                future.result()
        with asking(path, server.url("b")) as other:
            assert ask(other, ["cut off"])["cut off"][0].endswith("time 2")


class Overtaken(Journal):
    """A journal in which another process answers what is claimed here: just before that, or when `answer` is called."""

    def __init__(self, path: Path, *, before: bool) -> None:
        super().__init__(path, "overtaken")
        self._before = before
        self._keys: Sequence[str] = ()

    def claim(self, keys: Sequence[str]) -> set[str]:
        self._keys = keys
        if self._before:
            self.answer()
        return super().claim(keys)

    def answer(self) -> None:
        response = json.dumps(completion_json(Completion("theirs", "stop", 1, 1), "m", completion_id="1"))
        with Journal(self.path, "other") as other:
            other.record(
                [Entry(Answer(key, "noting", "m", response, 1, 1, 0, 0.0), "{}") for key in self._keys]
            ).result()


@pytest.mark.parametrize(
    ("question", "before", "sent", "spoiled"),
    [("any", True, 0, []), ("any", False, 1, [("answered before",)]), ("refuse", False, 1, [])],
)
def test_an_answer_of_another_stands_whenever_it_comes(
    path: Path, question: str, before: bool, sent: int, spoiled: list[tuple[str]]
) -> None:
    """Just before the claim, and, by one who had passed it over, while the request is in flight; if it fails, too."""
    with Overtaken(path, before=before) as journal:

        def latency_s(_: str) -> float:
            journal.answer()
            return 0.0

        with (
            NotingServer(latency_s) as server,
            ServedChat(
                settings_of(server.url("a")), journal=journal, budget=Budget(), stop=threading.Event(), price=None
            ) as chat,
        ):
            assert ask(chat, [question]) == {question: ["theirs"]}
            assert len(server.receipts) == sent
    assert rows(path, "SELECT reason FROM spoiled") == spoiled


def test_a_model_generates_nothing_that_was_answered_just_before_the_claim(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Overtaken(path, before=True) as journal:
        model = JournaledModel(SlowModel(log, 4, 0.0), journal=journal, budget=Budget(), stop=threading.Event())
        assert texts(QUESTIONS, model.chat(conversations(QUESTIONS))) == {key: ["theirs"] for key in QUESTIONS}
    assert not log.exists()


# A process that is stopped (SIGSTOP: Ctrl-Z, a debugger) is not gone.


def stopped_in_the_middle(processes: Processes, server: NotingServer, path: Path) -> Process:
    process = processes.start(Job(journal=str(path), run_id="a", questions=["theirs"], base_url=server.url("a")))
    server.wait_for("theirs")
    process.kill(signal.SIGSTOP)
    return process


def test_a_process_that_is_stopped_is_waited_for(processes: Processes, path: Path, pool: ThreadPoolExecutor) -> None:
    with NotingServer(lambda _: 0.3) as server:
        stopped = stopped_in_the_middle(processes, server, path)
        with asking(path, server.url("b")) as other:
            second = pool.submit(ask, other, ["theirs", "mine"])
            server.wait_for("mine")
            with pytest.raises(TimeoutError):
                second.result(1.5)
            stopped.kill(signal.SIGCONT)
            assert second.result()["theirs"] == stopped.result()["theirs"]
        assert counts(server) == {"theirs": 1, "mine": 1}
    assert rows(path, "SELECT * FROM spoiled") == []


def test_a_stopped_process_that_is_killed_is_taken_over_at_once(
    processes: Processes, path: Path, pool: ThreadPoolExecutor
) -> None:
    with NotingServer(lambda _: 0.3) as server:
        stopped = stopped_in_the_middle(processes, server, path)
        with asking(path, server.url("b")) as other:
            second = pool.submit(ask, other, ["theirs"])
            time.sleep(0.5)
            killed_at = time.monotonic()
            stopped.kill()
            second.result()
            assert time.monotonic() - killed_at < 3.0
        assert_sent_again_only_after_a_kill(server, {"a": killed_at})


@pytest.mark.slow
def test_who_is_stopped_longer_than_a_request_may_take_is_passed_over(
    processes: Processes, path: Path, pool: ThreadPoolExecutor
) -> None:
    """By one of those who wait; that the stopped one receives its answer after all changes nobody's."""
    with NotingServer(lambda _: 0.3) as server:
        stopped = stopped_in_the_middle(processes, server, path)
        with (
            asking(path, server.url("b"), total_timeout_s=1.0) as other,
            asking(path, server.url("c"), total_timeout_s=1.0) as third,
        ):
            futures = [pool.submit(ask, chat, ["theirs"]) for chat in (other, third)]
            answers = [future.result() for future in futures]
        assert answers[0] == answers[1]
        assert answers[0]["theirs"][0].endswith("time 2")
        stopped.kill(signal.SIGCONT)
        assert stopped.result() == answers[0]
        assert counts(server) == {"theirs": 2}
    assert rows(path, "SELECT reason FROM spoiled") == [("answered before",)]
    assert len(rows(path, "SELECT key FROM answers")) == 1


def test_removing_the_file_of_claims_in_the_middle_harms_nothing(path: Path, pool: ThreadPoolExecutor) -> None:
    with (
        NotingServer(lambda _: 0.1) as server,
        asking(path, server.url("a"), max_in_flight=2) as one,
        asking(path, server.url("b"), max_in_flight=2) as other,
    ):
        futures = [pool.submit(ask, chat, QUESTIONS) for chat in (one, other)]
        server.wait_for(QUESTIONS[2])
        Path(f"{path}-claims").unlink()
        assert futures[0].result() == futures[1].result()
        assert set(counts(server).values()) == {1}


# A model on this machine, in two processes.


def generated(log: Path) -> Counter[str]:
    return Counter(log.read_text().splitlines())


def test_two_processes_generate_each_reply_once(processes: Processes, path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = Job(journal=str(path), run_id="a", questions=QUESTIONS[:12], turns=TURNS, log=str(log), batch_s=0.05)
    jobs = [job, dataclasses.replace(job, run_id="b", questions=QUESTIONS[19:3:-1])]
    one, other = (process.result() for process in [processes.start(job) for job in jobs])
    both = one.keys() & other.keys()
    assert len(both) == 8
    assert {key: one[key] for key in both} == {key: other[key] for key in both}
    said = generated(log)
    assert {question: count for question, count in said.items() if question in QUESTIONS} == dict.fromkeys(QUESTIONS, 1)
    assert said["more 1"] == len(QUESTIONS)
    assert rows(path, "SELECT * FROM spoiled") == []


def test_what_a_killed_process_was_generating_is_generated_by_who_waits(
    processes: Processes, path: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    job = Job(journal=str(path), run_id="a", questions=QUESTIONS, log=str(log), batch_s=0.2)
    killed = processes.start(job)
    while not log.exists():
        time.sleep(0.01)
    waiting = processes.start(dataclasses.replace(job, run_id="b", batch_s=0.01))
    time.sleep(0.3)
    killed.kill()
    assert list(waiting.result()) == QUESTIONS
    said = generated(log)
    assert set(said) == set(QUESTIONS)
    assert said.total() - len(QUESTIONS) <= 4, "a kill costs one batch"


def test_threads_of_one_process_generate_each_reply_once(path: Path, tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    log = tmp_path / "log"
    job = Job(journal=str(path), run_id="a", questions=QUESTIONS, log=str(log), batch_s=0.02)
    one, other = pool.map(lambda _: job.ask(), range(2))
    assert one == other
    assert set(generated(log).values()) == {1}
