"""`transformers serve`, a chat server of another project, as a process of its own over a tiny model on disk."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

START_DEADLINE_S = 120.0
"""It takes some 6 s, of which the libraries' import is most; a machine with much else to do takes longer."""
_GUARD = """
import os, signal, subprocess, sys, threading
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: (sys.stdin.read(), os.killpg(0, signal.SIGKILL)), daemon=True).start()
sys.exit(server.wait())
"""
"""Starts the server and ends it, and all it has started, when standard input does: even if the tests are killed."""
_RECEIVED = "[Request received]"  # written by the server when a conversation arrives
_FINISHED = '"POST /v1/chat/completions HTTP/1.1"'  # and by its HTTP library when the answer goes out


class TransformersServer:
    """The server of the model in `folder`, on loopback. Its log goes on through restarts; its port stays."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.model = folder.name
        self._folder = folder
        self._home = home
        self._log = home / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Returns once the server says that it is healthy."""
        environment = {
            **os.environ,
            "HF_HOME": str(self._home / "hub"),  # nothing of this machine's cache, and no folder there
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        command = [str(Path(sys.executable).with_name("transformers")), "serve", self.model, "--host", "127.0.0.1"]
        options = ["--port", str(self._port), "--device", "cpu", "--dtype", "float32"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _GUARD, *command, *options],
                cwd=self._folder.parent,  # so that the model's name is that of its folder
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(self._healthy, "the server is healthy", START_DEADLINE_S)

    def kill(self) -> None:
        """Ends the server and whatever it has started, at once. A server that is not there is none to end."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None

    @contextmanager
    def held_for(self, seconds: float) -> Iterator[None]:
        """For so long the server does not run: what is sent to it meanwhile waits in its sockets."""
        assert self._process is not None
        group = self._process.pid
        os.killpg(group, signal.SIGSTOP)
        timer = threading.Timer(seconds, os.killpg, (group, signal.SIGCONT))
        timer.start()
        try:
            yield
        finally:
            timer.join()

    def _healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended:\n{self._log.read_text()[-3000:]}"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def log(self, after: int = 0) -> list[str]:
        """The lines of its log; `after` are left out."""
        return self._log.read_text("utf-8", "replace").splitlines()[after:]


def received(lines: Iterable[str]) -> int:
    """How many conversations came, answered or not."""
    return sum(_RECEIVED in line for line in lines)


def answered(lines: Iterable[str]) -> int:
    """How many conversations were answered with 200."""
    return sum(f"{_FINISHED} 200" in line for line in lines)


def most_open(lines: Iterable[str]) -> int:
    """How many conversations waited for their answer at the fullest moment."""
    count = most = 0
    for line in lines:
        count += (_RECEIVED in line) - (_FINISHED in line)
        most = max(most, count)
    return most


def until(condition: Callable[[], bool], what: str, deadline_s: float = 60.0) -> None:
    """Waits for `condition`."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"in vain for {deadline_s:g} s: {what}"
        time.sleep(0.02)


@contextmanager
def transformers_server(folder: Path, home: Path) -> Iterator[TransformersServer]:
    """The server while the context lasts; killed at its end, whatever happened."""
    server = TransformersServer(folder, home)
    try:
        server.start()
        yield server
    finally:
        server.kill()
