"""`ostensive status --watch` beside a build in another process: it reads, tells, ends with it, and disturbs nothing."""

import json
import multiprocessing
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from drawing import write_scenes
from hardship import build_command, call, tree

from builders.localized.scripted import make_script
from ostensive.chat.faults import Faults
from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.chat.journal_reading import read_figures
from ostensive.chat.server import ServerSettings, ServerThread
from ostensive.commands.watch_lines import watch_line, watch_lines, watch_values
from ostensive.errors import StorageError
from ostensive.records import ImageRecord
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import PartitionInfo
from ostensive.run.processes import this_process
from ostensive.run.summary import StageSummary
from ostensive.run.watching import STOPPED, RunView, RunWatcher
from students.loop.folder import LoopFolder
from students.loop.records import LoopPlan

IMAGES = 6
FAST = ("--set", "dedupe.max_distance=0", "--set", "run.partition_size=1")


def build(words: list[str]) -> None:
    """In a process of its own."""
    sys.exit(call(*words).returncode)


@contextmanager
def at_work(words: list[str], run: Path) -> Iterator[Any]:
    """The build in another process, once it has begun; what is left of it is killed."""
    process = multiprocessing.get_context("fork").Process(target=build, args=(words,))
    process.start()
    try:
        deadline = time.monotonic() + 60
        while RunFolder(run).read_state().get("outcome") is None:
            assert process.is_alive(), "it ended before it began"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        if process.is_alive():
            process.kill()
        process.join()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("images") / "images", IMAGES)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with ServerThread(make_script(0.2), ServerSettings(latency_s=0.04)) as running:
        yield running


def words_of(images: Path, run: Path, server: ServerThread, *more: object) -> list[str]:
    return build_command(images, run, server.base_url, *FAST, *more, max_in_flight=4, max_attempts=2)


def test_failures_are_told_by_reason(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with ServerThread(make_script(0.0), ServerSettings(faults=Faults(server_error=0.2, bad_json=0.2))) as server:
        assert call(*words_of(images, run, server, "--set", "teacher.max_attempts=1")).returncode in {0, 1}
    view = RunWatcher(run).look(time.time())
    failed = view.status.stages[3].summary.failed
    assert set(failed) == {"server error", "malformed reply"}
    lines = list(watch_lines(view))
    for reason, count in failed.items():
        assert any(line.endswith(f" {count} {reason} (candidates)") for line in lines)
    assert f"{sum(failed.values())} failed; " in watch_line(view)
    # The replies themselves are told by what was wrong with them.
    reason, count = next(iter(view.spoiled.items()))
    assert reason == "malformed reply: not JSON"
    assert f"no use      {count} replies: {reason}" in lines


def test_a_build_is_watched_to_its_end(images: Path, server: ServerThread, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with at_work(words_of(images, run, server, "--max-requests", 500), run) as process:
        done = call("status", run, "--watch", "--interval", "0.1", "--json")
        process.join()
        assert process.exitcode == 0
    assert done.returncode == 0, done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(seen) > 3
    assert [one["ending"] for one in seen] == [None] * (len(seen) - 1) + ["done"]
    last = seen[-1]
    assert last["max_requests"] == 500
    assert last["max_cost_usd"] is None
    requests = [one["spend"]["requests"] for one in seen]
    assert requests == sorted(requests)
    assert requests[-1] > requests[0]
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        [(answers,)] = journal.execute("SELECT count(*) FROM answers").fetchall()
    assert requests[-1] == answers
    # What waits in between has been worked on at the end.
    assert max(sum(stage["waiting"] for stage in one["stages"]) for one in seen) > 0
    assert [stage["waiting"] for stage in last["stages"]] == [0] * len(last["stages"])
    assert all(stage["partitions_done"] == IMAGES for stage in last["stages"])
    assert last["images_per_s"]["overall"] == pytest.approx(IMAGES / last["seconds"], rel=1e-3)
    kept = next(stage["kept"] for stage in last["stages"] if stage["name"] == "judged")
    assert last["rows_per_s"]["overall"] == pytest.approx(kept / last["seconds"], rel=1e-3)
    assert last["requests_per_s"]["overall"] == pytest.approx(answers / last["seconds"], rel=0.2)
    # Watching again says the same at once, and leaves the folder as it is.
    before = tree(run)
    again = call("status", run, "--watch")
    assert (again.returncode, tree(run)) == (0, before)
    assert re.match(r"done: images 6/6, .* images/s, .* requests/s; \d+ failed; \d+ requests.*\n$", again.stdout)


def test_a_build_that_is_killed_is_seen_as_stopped(images: Path, server: ServerThread, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with at_work(words_of(images, run, server), run) as process:
        watcher = RunWatcher(run)
        assert watcher.look(time.time()).ending is None
        killer = threading.Timer(0.3, process.kill)
        killer.start()
        done = call("status", run, "--watch", "--interval", "0.1")
        killer.join()
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("at work for ")
    assert lines[-1].startswith("stopped: its process is gone without a word; the same command continues: images ")
    assert watcher.look(time.time()).ending == STOPPED
    assert json.loads((run / "run.json").read_text())["outcome"] == "unfinished", "nothing was written"


def test_a_limit_that_is_reached_is_told(images: Path, server: ServerThread, tmp_path: Path) -> None:
    run = tmp_path / "run"
    price = ["--set", "teacher.price.prompt=1", "--set", "teacher.price.completion=1", "--max-cost", "0.5"]
    assert call(*words_of(images, run, server, "--max-requests", 10, *price)).returncode == 1
    done = call("status", run, "--watch")
    assert done.returncode == 1
    assert done.stdout.startswith("BudgetReached: --max-requests: 10 of 10 requests are sent;")
    text = "\n".join(watch_lines(RunWatcher(run).look(time.time())))
    assert "requests    10 of 10 (100.0%)" in text
    assert re.search(r"^cost        \$0\.\d+ of \$0\.5000 \(\d+\.\d%\)$", text, re.MULTILINE)
    assert "time left" not in text


def test_a_terminal_is_drawn_on_in_place(images: Path, server: ServerThread, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with at_work(words_of(images, run, server), run) as process:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)  # so that it does not end before it was watched
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "ostensive", "status", str(run), "--watch", "--interval", "0.1"]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment) as watching:
            os.close(theirs)
            said = read_all(ours, until=b"requests/s", or_ended=watching)
            watching.send_signal(signal.SIGINT)
            said += read_all(ours, until=None, or_ended=watching)
            assert watching.wait(10) == 130
            assert watching.stderr is not None
            assert b"Traceback" not in watching.stderr.read()
        os.close(ours)
        assert b"of late  since start" in said
        os.kill(process.pid, signal.SIGCONT)
        process.join()
    assert RunFolder(run).read_state()["outcome"] == "done"


def read_all(terminal: int, *, until: bytes | None, or_ended: "subprocess.Popen[bytes]") -> bytes:
    said, deadline = b"", time.monotonic() + 30
    while (until is None or until not in said) and time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        if ready:
            try:
                said += os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
        elif or_ended.poll() is not None:
            break
    return said


def test_it_may_be_asked_at_any_moment(images: Path, server: ServerThread, tmp_path: Path) -> None:
    """Partitions are made again under it: files that it has listed are gone before it reads them."""
    run = tmp_path / "run"
    assert call(*words_of(images, run, server)).returncode == 0
    watcher, stop, faults = RunWatcher(run), threading.Event(), list[BaseException]()

    def look() -> None:
        while not stop.is_set():
            try:
                RunWatcher(run).look(time.time())
                watcher.look(time.time())
            except BaseException as error:  # noqa: BLE001 - told below
                faults.append(error)

    looking = threading.Thread(target=look)
    looking.start()
    assert call(*words_of(images, run, server, "--set", "seed=1")).returncode == 0
    stop.set()
    looking.join()
    assert faults == []


def test_a_loop_is_watched(tmp_path: Path) -> None:
    """Its rounds, the build that is at work in the last, then its end."""
    loop = LoopFolder(tmp_path / "loop")
    plan = LoopPlan(
        recipe="rationales",
        base="microworld:vlm-base",
        revision=None,
        commit=None,
        start="last",
        max_rounds=2,
        stop_below=0.0,
        keep_models=None,
        evaluated_on=None,
        made_from={},
    )
    loop.path.mkdir()
    loop.write_plan(plan, {})
    loop.write_state("unfinished", process=this_process())
    loop.write_round(loop.new_round(loop.place(plan, 0)))
    made_up(loop.run_path(0), process=this_process(), limits={"max_requests": 7})
    ending = threading.Timer(0.5, lambda: loop.write_state("StorageError", "the disk is full"))
    ending.start()
    done = call("status", loop.path, "--watch", "--interval", "0.1")
    ending.join()
    assert done.returncode == 1
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("loop is at work: round 0, build; at work: images 0/2; ")
    assert last.startswith("loop is StorageError: the disk is full")
    loop.write_state("done")
    values = json.loads(call("status", loop.path, "--watch", "--json").stdout)
    assert (values["outcome"], values["build"]["max_requests"]) == ("done", 7)
    loop.write_state("unfinished", process={**this_process(), "pid": 2**22 + 1})
    assert call("status", loop.path, "--watch").stdout.startswith("loop is stopped")


def test_what_cannot_be_watched_is_one_line(tmp_path: Path, images: Path) -> None:
    done = call("status", tmp_path, "--watch")
    assert done.returncode == 2
    assert "there is no run here" in done.complaint
    assert "--interval 3: is how often --watch looks" in call("status", tmp_path, "--interval", 3).complaint
    assert call("status", tmp_path, "--watch", "--interval", 0).returncode == 2


# ---- of runs that are made up ---------------------------------------------------------------------------------------


def made_up(folder: Path, **state: Any) -> RunFolder:
    run = RunFolder(folder)
    run.path.mkdir(parents=True)
    run.write_state(**{"outcome": "unfinished", "stages": ["images"], "images": 3, "partitions": 2, **state})
    return run


def look(run: RunFolder) -> RunView:
    return RunWatcher(run.path).look(time.time())


def test_a_run_of_another_machine_or_version(tmp_path: Path) -> None:
    old = look(made_up(tmp_path / "old"))
    assert (old.ending, old.is_sure, old.seconds, old.max_requests) == (None, False, None, None)
    assert next(iter(watch_lines(old))).startswith("run is unfinished, by a process that is not seen from here;")
    elsewhere = look(made_up(tmp_path / "elsewhere", process={"host": "elsewhere.invalid", "pid": 1, "began": 1}))
    assert (elsewhere.ending, elsewhere.is_sure) == (None, False)
    assert watch_values(elsewhere)["seconds_left"] is None


def test_a_partition_that_is_gone_since_it_was_listed_is_passed_over(tmp_path: Path) -> None:
    run = made_up(tmp_path / "run")
    (run.path / "images").mkdir()
    gone = run.partition_path("images", 0, "0" * 64)
    gone.symlink_to(tmp_path / "nowhere")  # listed, and not there when it is opened
    assert look(run).status.stages[0].partitions_done == 0
    gone.unlink()
    gone.write_bytes(b"no Parquet")
    with pytest.raises(StorageError, match="is not a partition of this program"):
        look(run)


def test_a_line_of_the_log_that_is_half_written_waits(tmp_path: Path) -> None:
    run = made_up(tmp_path / "run")
    watcher = RunWatcher(run.path)
    log = run.path / "log.jsonl"
    line = json.dumps({"event": "start", "t": time.time() - 9.0})
    log.write_text(line[:10])
    assert watcher.look(time.time()).seconds is None
    log.write_text(f"{line}\n[1]\nnot JSON\n")
    assert watcher.look(time.time()).seconds == pytest.approx(9, abs=3)


def test_the_time_that_is_left_is_the_least_while_a_stage_has_finished_nothing(tmp_path: Path) -> None:
    run, now = made_up(tmp_path / "run", stages=["images", "judged"], partitions=4), time.time()
    run.log("start")
    for stage, expected in (("images", "at least "), ("judged", "")):
        for index in (0, 1):
            path = run.partition_path(stage, index, "0" * 64)
            info = PartitionInfo(stage, index, "0" * 64, "", "ImageRecord", StageSummary(stage, 2, 2))
            partitions.write(path, partitions.outcome_table([], [], ImageRecord), info)
            run.log_partition(info, 0.5)
        said = next(line for line in watch_lines(RunWatcher(run.path).look(now + 8)) if line.startswith("time left"))
        assert re.fullmatch(rf"time left   {expected}\d+ s", said), said


def test_what_others_wrote_does_not_act_on_the_terminal(tmp_path: Path) -> None:
    run = made_up(tmp_path / "run", outcome="StorageError", message="\x1b[2Jdisk\nfull \u202e", stages=["\x1b[31m"])
    view = look(run)
    said = "\n".join([*watch_lines(view), watch_line(view)])
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "StorageError: \\x1b[2Jdisk\\nfull" in said


def test_the_journal_of_a_loop_counts_for_all_its_rounds(tmp_path: Path) -> None:
    journal = tmp_path / "journal é?#.sqlite"
    began = time.time()
    for account in ("loop", "other"):
        with Journal(journal, account) as writing:
            paid = [Answer(f"{account}{n}", "http://e", "m", "{}", 5, 2, 0, 0.25) for n in range(3)]
            free = Answer(f"{account} free", "local", "m", "{}", 1, 1, 0, 0.0)
            spoiled = Entry(Answer(f"{account} bad", "http://e", "m", "x", 1, 1, 0, 0.25), "{}", "malformed reply")
            writing.record([*(Entry(one, "{}") for one in (*paid, free)), spoiled]).result()
            expected = writing.totals(account)
            open_figures = read_figures(journal, account, lately=began - 60, start=began - 60)
    found = read_figures(journal, "other", lately=began - 60, start=time.time() + 60)
    assert open_figures is not None
    assert found is not None
    assert found.spend == open_figures.spend == expected
    assert (found.spend.requests, found.spend.usd, found.spoiled) == (4, 1.0, {"malformed reply": 1})
    assert (found.answered_lately, found.answered_since_start) == (5, 0), "those of this machine are answers too"
    assert found.last_answer == pytest.approx(began, abs=30)
    assert read_figures(tmp_path / "none.sqlite", "x", lately=0, start=0) is None
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "odd.sqlite").write_text("no database at all, but a text of some length")
    assert read_figures(tmp_path / "odd.sqlite", "x", lately=0, start=0) is None
    run = made_up(tmp_path / "run", journal=str(journal), account="loop", limits={"max_cost_usd": 2.0})
    view = look(run)
    assert (view.spend.usd, view.max_cost_usd) == (1.0, 2.0)
    assert "cost        $1.00 of $2.00 (50.0%)" in watch_lines(view)
