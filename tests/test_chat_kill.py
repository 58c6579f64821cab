"""A client that is killed at random instants pays for no answered request again."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.records import Conversation, Message, Reply
from ostensive.chat.scripted import ScriptedChat, ScriptedTeacherSettings
from ostensive.chat.server import ServerSettings, ServerThread

IN_FLIGHT = 6
TALKS = 40
TURNS = 3

CLIENT = """
import json, sys, threading
from pathlib import Path
from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.records import Conversation, Message
from ostensive.chat.served import ServedChat
from ostensive.chat.endpoint import ServedTeacherSettings
settings = ServedTeacherSettings(model="scripted", base_url=sys.argv[1], max_in_flight=int(sys.argv[3]))
follow_ups = tuple(Message("user", f"more {turn}") for turn in range(1, int(sys.argv[5])))
talks = [Conversation((Message("user", f"question {n}"),), follow_ups) for n in range(int(sys.argv[4]))]
with Journal(Path(sys.argv[2]), "r") as journal, ServedChat(
    settings, journal=journal, budget=Budget(), stop=threading.Event(), price=None
) as chat:
    print("entered", flush=True)
    for exchange in chat.chat(talks):
        print(json.dumps([reply.text for reply in exchange.replies]))
"""


def echo(messages: Sequence[Message], seed: int) -> str:
    return f"{len(messages)} messages, last {messages[-1].text!r} after {seed % 10_000}"


def client(base_url: str, path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CLIENT, base_url, str(path), str(IN_FLIGHT), str(TALKS), str(TURNS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def journaled(path: Path) -> list[bytes]:
    """The bodies of all requests whose answer has reached the journal."""
    if not path.exists():
        return []
    with Journal(path, "r"):
        pass  # recovers the write-ahead log of the killed process
    connection = sqlite3.connect(path)
    bodies = [request.encode() for (request,) in connection.execute("SELECT request FROM answers")]
    connection.close()
    return bodies


def kill_and_finish(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    path = folder / "killed.sqlite"
    with ServerThread(echo, ServerSettings(latency_s=0.02, jitter_s=0.04)) as server:
        before: dict[bytes, int] = {}
        for _ in range(kills):
            with client(server.base_url, path) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "entered\n"
                try:
                    process.wait(rng.uniform(0.05, 0.4))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
            assert {body: server.times_received(body) for body in before} == before
            before = {body: server.times_received(body) for body in journaled(path)}
            assert all(before.values())
        with client(server.base_url, path) as process:
            output, _ = process.communicate()
            assert process.returncode == 0
        assert {body: server.times_received(body) for body in before} == before
        assert server.stats.distinct == TALKS * TURNS
        assert server.stats.received - server.stats.distinct <= kills * IN_FLIGHT
    assert len(journaled(path)) == TALKS * TURNS
    assert [json.loads(line) for line in output.splitlines()[1:]] == uninterrupted(folder / "whole.sqlite")


def uninterrupted(path: Path) -> list[list[str]]:
    """What the same script says to the same conversations in one go."""
    follow_ups = tuple(Message("user", f"more {turn}") for turn in range(1, TURNS))
    talks = [Conversation((Message("user", f"question {n}"),), follow_ups) for n in range(TALKS)]
    with (
        Journal(path, "r") as journal,
        ScriptedChat(echo, ScriptedTeacherSettings(), journal=journal, budget=Budget(), stop=threading.Event()) as chat,
    ):
        exchanges = chat.chat(talks)
    return [[reply.text for reply in exchange.replies if isinstance(reply, Reply)] for exchange in exchanges]


@pytest.mark.slow
def test_three_kills(tmp_path: Path) -> None:
    kill_and_finish(tmp_path, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_kills(seed: int, tmp_path: Path) -> None:
    kill_and_finish(tmp_path, kills=5, seed=seed)
