"""Processes that ask with one journal, and a server that notes who asked what and when.

Run as a script it is their parent: for each line of its input, a `Job` as JSON, it forks one that carries it out.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self  # Any: JSON values

from ostensive.chat.budget import Budget
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.journal import Journal
from ostensive.chat.records import Completion, Conversation, Exchange, Message, Reply
from ostensive.chat.served import ServedChat
from ostensive.chat.turns import Answered, JournaledModel, KeyedConversation

Texts = dict[str, list[str]]
"""By question, the replies of its turns; of one without a reply the reason, in brackets."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request that reached the server. Times are of `time.monotonic`."""

    asker: str
    question: str  # the last message
    body: bytes
    at: float


class NotingServer:
    """A server in the OpenAI format at `/ASKER/v1`, in threads. It refuses questions with "refuse" in them (400).

    `latency_s` is that of a question. Each answer says how often its request had come, so that no two are the same.
    """

    def __init__(self, latency_s: Callable[[str], float] = lambda _: 0.0) -> None:
        self.receipts: list[Receipt] = []
        self._latency_s = latency_s
        self._mutex = threading.Lock()

    def __enter__(self) -> Self:
        noting = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = noting.answer(self.path.split("/")[1], body)
                data = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # the asker is gone
                    self.close_connection = True

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_: object) -> None: ...

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, asker: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{asker}/v1"

    def answer(self, asker: str, body: bytes) -> tuple[int, dict[str, Any]]:
        question = json.loads(body)["messages"][-1]["content"]
        with self._mutex:
            self.receipts.append(Receipt(asker, question, body, time.monotonic()))
            times = sum(receipt.body == body for receipt in self.receipts)
        time.sleep(self._latency_s(question))
        if "refuse" in question:
            return 400, {"error": {"message": "no", "type": "invalid_request_error", "code": None}}
        message = {"role": "assistant", "content": f"{question}: {hashlib.sha256(body).hexdigest()[:8]}, time {times}"}
        usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
        return 200, {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }

    def wait_for(self, question: str, timeout_s: float = 60.0) -> Receipt:
        """The first receipt of `question`, once it is there."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for receipt in list(self.receipts):
                if receipt.question == question:
                    return receipt
            time.sleep(0.005)
        raise AssertionError(f"{question!r} was not asked")

    def by_request(self) -> Mapping[bytes, list[Receipt]]:
        """The receipts of each request, in order."""
        receipts: dict[bytes, list[Receipt]] = defaultdict(list)
        for receipt in sorted(self.receipts, key=lambda receipt: receipt.at):
            receipts[receipt.body].append(receipt)
        return receipts


def assert_sent_again_only_after_a_kill(server: NotingServer, killed_at: Mapping[str, float]) -> None:
    """The law: a request comes a second time only when who had sent it was killed before that."""
    for receipts in server.by_request().values():
        for earlier, later in itertools.pairwise(receipts):
            assert killed_at.get(earlier.asker, float("inf")) <= later.at, (earlier, later)


def settings_of(base_url: str, **changes: object) -> ServedTeacherSettings:
    """The same requests whatever the address: `endpoint_name` is what they are known by."""
    values = {"model": "m", "base_url": base_url, "endpoint_name": "noting", **changes}
    return ServedTeacherSettings.model_validate(values)


def conversations(questions: Sequence[str], turns: int = 1) -> list[Conversation]:
    return [
        Conversation((Message("user", question),), tuple(Message("user", f"more {turn}") for turn in range(1, turns)))
        for question in questions
    ]


def texts(questions: Sequence[str], exchanges: Sequence[Exchange]) -> Texts:
    return {
        question: [reply.text if isinstance(reply, Reply) else f"({reply.reason})" for reply in exchange.replies]
        for question, exchange in zip(questions, exchanges, strict=True)
    }


class SlowModel:
    """A model in this process that answers batches of `batch`, each in `batch_s`; `log` has a line for each answer."""

    endpoint, name = "slow", "slow"
    known_by: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, log: Path, batch: int, batch_s: float) -> None:
        self._log, self._batch, self._batch_s = log, batch, batch_s

    def batches(self, requests: Sequence[KeyedConversation]) -> Generator[Sequence[Answered], None, None]:
        for start in range(0, len(requests), self._batch):
            part = requests[start : start + self._batch]
            time.sleep(self._batch_s)
            questions = [request.conversation.messages[-1].text for request in part]
            with self._log.open("a") as log:
                log.write("".join(f"{question}\n" for question in questions))
            yield [
                Answered(request, Completion(f"{question}: {time.monotonic_ns()}", "stop", 1, 1))
                for request, question in zip(part, questions, strict=True)
            ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one process asks: a served model at `base_url`, or else a `SlowModel` that logs to `log`."""

    journal: str
    run_id: str
    questions: Sequence[str]
    base_url: str = ""
    turns: int = 1
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    log: str = ""
    batch_s: float = 0.0

    def ask(self) -> Texts:
        talks, stop = conversations(self.questions, self.turns), threading.Event()
        with Journal(Path(self.journal), self.run_id) as journal:
            if self.log:
                model = JournaledModel(
                    SlowModel(Path(self.log), 4, self.batch_s), journal=journal, budget=Budget(), stop=stop
                )
                say("entered")
                return texts(self.questions, model.chat(talks))
            settings = settings_of(self.base_url, **self.settings)
            with ServedChat(settings, journal=journal, budget=Budget(), stop=stop, price=None) as chat:
                say("entered")
                return texts(self.questions, chat.chat(talks))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Process:
    """One that carries out a `Job`; what it says is in `output`."""

    pid: int
    output: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(self.pid, number)

    def wait_for_line(self, index: int, timeout_s: float = 60.0) -> str:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            lines = self.output.read_text().splitlines(keepends=True)
            if len(lines) > index and lines[index].endswith("\n"):
                return lines[index]
            time.sleep(0.005)
        raise AssertionError(f"a process said no more than {self.output.read_text()!r}")

    def result(self) -> Texts:
        """What it was answered."""
        answered: Texts = json.loads(self.wait_for_line(1))
        return answered


class Processes:
    """Starts processes by forking one that has the libraries already; `folder` is for what they say."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._started: list[Process] = []

    def __enter__(self) -> Self:
        command = [sys.executable, __file__]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.kill()
        with self._parent:
            self._parent.kill()

    def start(self, job: Job) -> Process:
        """A new process, once it is about to ask."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        output = self._folder / f"process {next(self._numbers)}"
        self._parent.stdin.write(json.dumps([str(output), dataclasses.asdict(job)]) + "\n")
        self._parent.stdin.flush()
        process = Process(int(self._parent.stdout.readline()), output)
        self._started.append(process)
        assert process.wait_for_line(0) == "entered\n"
        return process


def fork_for_each_line() -> None:
    import aiohttp  # noqa: F401 - so that those who are forked need not load it
    import httpx2  # noqa: F401 - likewise
    import openai  # noqa: F401 - likewise

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are gone at once
    for line in sys.stdin:
        output, job = json.loads(line)
        Path(output).touch()
        pid = os.fork()
        if not pid:
            with Path(output).open("w") as sys.stdout:
                say(json.dumps(Job(**job).ask()))
            os._exit(0)
        say(str(pid))


if __name__ == "__main__":
    fork_for_each_line()
