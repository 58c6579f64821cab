"""Bodies that unpack to more than there is memory for, or never end, cost a request and nothing else."""

import asyncio
import gzip
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ostensive.chat.capped_bodies import MAX_BODY_BYTES, MAX_ERROR_BYTES
from ostensive.chat.connection import Connection, FailedAttempt, Received
from ostensive.chat.endpoint import ServedTeacherSettings, resolve_endpoint
from ostensive.errors import AccessRefusedError

Answer = Callable[[BaseHTTPRequestHandler], None]
MANY = bytes(MAX_BODY_BYTES * 4)


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def head(handler: BaseHTTPRequestHandler, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def sent(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler, status, content_length=str(len(body)), **headers)
        handler.wfile.write(body)

    return answer


def endless(piece: bytes, pause_s: float = 0.0, status: int = 200) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler, status, content_type="application/json")
        ends_at = time.monotonic() + 20
        while time.monotonic() < ends_at:
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(pause_s)

    return answer


def dripping_head(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 401 No\r\nX-A: ")
    for _ in range(100):
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.1)


def teacher(url: str, connect_timeout_s: float = 1.0) -> ServedTeacherSettings:
    return ServedTeacherSettings(model="m", base_url=url, connect_timeout_s=connect_timeout_s)


def posted(url: str, timeout_s: float = 10.0) -> Received | FailedAttempt:
    async def ask() -> Received | FailedAttempt:
        connection = Connection(resolve_endpoint(teacher(url), {}), teacher(url))
        connection.open()
        try:
            return await connection.post(b"{}", timeout_s)
        finally:
            await connection.close()

    return asyncio.run(ask())


BOMBS = [
    sent(gzip.compress(MANY), content_encoding="gzip"),
    sent(zlib.compress(MANY), content_encoding="deflate"),
    sent(gzip.compress(gzip.compress(MANY)), content_encoding="gzip, gzip"),
    endless(bytes(1 << 20)),
]


@pytest.mark.parametrize("answer", BOMBS)
def test_a_body_that_goes_on_is_a_malformed_reply(answer: Answer) -> None:
    posted("http://127.0.0.1:9/v1")  # imports what it needs
    with serving(answer) as url:
        tracemalloc.start()
        failed = posted(url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert isinstance(failed, FailedAttempt)
    assert failed.decision.reason == "malformed reply"
    assert failed.decision.most_attempts == 2
    assert failed.detail == "the body goes on after 16 MB"
    assert peak < 4 * MAX_BODY_BYTES


def test_a_body_that_is_packed_is_unpacked() -> None:
    body = b'{"choices": []}' + b" " * (MAX_BODY_BYTES - 15)
    with serving(sent(gzip.compress(body, 1), content_encoding="gzip")) as url:
        received = posted(url)
    assert isinstance(received, Received)
    assert received.raw == body


@pytest.mark.parametrize(
    "answer", [sent(gzip.compress(MANY), 429, content_encoding="gzip"), endless(b"x" * 9999, 0, 429)]
)
def test_of_an_error_the_beginning_is_read(answer: Answer) -> None:
    with serving(answer) as url:
        failed = posted(url)
    assert isinstance(failed, FailedAttempt)
    assert failed.decision.reason == "rate limited"
    assert len(failed.detail) < MAX_ERROR_BYTES


@pytest.mark.parametrize("answer", [endless(b" ", 0.1), endless(b"x", 0.1, 500), dripping_head])
def test_a_body_that_drips_ends_with_the_time_in_all(answer: Answer) -> None:
    with serving(answer) as url:
        began = time.monotonic()
        failed = posted(url, 0.5)
    assert isinstance(failed, FailedAttempt)
    assert failed.decision.reason == "timeout"
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("answer", [*BOMBS[:1], endless(b" ", 0.05), endless(b"x", 0.05, 401), dripping_head])
def test_the_question_for_a_list_of_models_ends(answer: Answer) -> None:
    with serving(answer) as url:
        began = time.monotonic()
        teacher(url, 0.3).check_access({})
    assert time.monotonic() - began < 3


def test_a_refusal_of_the_key_is_heard_though_its_page_goes_on() -> None:
    with (
        serving(endless(b"no such key " * 999, 0, 401)) as url,
        pytest.raises(AccessRefusedError, match="refuses the key"),
    ):
        teacher(url, 5).check_access({})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_told(status: int) -> None:
    came: list[str] = []

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        came.append(handler.path)
        head(handler)

    with serving(elsewhere) as other, serving(sent(b"", status, location=f"{other}/chat/completions")) as url:
        failed = posted(url)
        teacher(url).check_access({})
    assert isinstance(failed, FailedAttempt)
    assert failed.decision.reason == "the server redirects elsewhere"
    assert other in failed.detail
    assert not came
