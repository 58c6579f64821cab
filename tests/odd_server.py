"""A server on loopback that answers every request with the bodies it is given, whatever they are."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Response:
    """What the server says to one request."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class OddServer:
    """Entered before use. `answer` is given a request's body and how often that has come before."""

    def __init__(self, answer: Callable[[bytes, int], bytes | Response]) -> None:
        self.received: list[bytes] = []
        owner, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    times = owner.received.count(body)
                    owner.received.append(body)
                given = answer(body, times)
                response = given if isinstance(given, Response) else Response(given)
                self.send_response(response.status)
                for name, value in {"Content-Length": str(len(response.body)), **response.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - of the library
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def in_turn(bodies: Sequence[bytes | Response]) -> Callable[[bytes, int], bytes | Response]:
    """Answers a request with the first of `bodies`, when it comes again with the next, and then with the last."""
    return lambda _, times: bodies[min(times, len(bodies) - 1)]
