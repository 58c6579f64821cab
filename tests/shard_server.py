"""A web server of a test that serves files as they are, or as servers do that are busy, broken or lie.

Under `/datasets/OWNER/NAME/resolve/REVISION/` it answers as the Hub does: a commit with each answer, and large files
from another host, which is not to be told the reader's token.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import unquote, urlsplit

Fault = Literal["503", "429", "404", "401", "break", "claims more", "claims less", "replaced", "wrong part", "drop"]


@dataclass
class Served:
    """Files by path. `faults` are what happens to the next requests for a path, one after another."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    for_good: dict[str, Fault] = field(default_factory=dict)
    knows_ranges: bool = True
    commits: dict[str, str] = field(default_factory=dict)  # what a branch stands for
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)  # path, Range, Authorization
    address: str = ""
    storage: str = ""  # another host by its name

    def paths_asked(self) -> list[str]:
        return [path for path, _, _ in self.asked]


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    class Handler(_Handler):
        pass

    Handler.served = served
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address, served.storage = (f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: Served
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        raw = urlsplit(self.path).path
        path = unquote(raw)
        self.served.asked.append((path, self.headers.get("Range"), self.headers.get("Authorization")))
        waiting = self.served.faults.get(path)
        fault = waiting.pop(0) if waiting else self.served.for_good.get(path)
        parts = [unquote(part) for part in raw.strip("/").split("/")]  # a revision may have slashes of its own
        if fault in ("503", "429", "404", "401"):
            return self._send(int(fault), {"Retry-After": "0", "X-Error-Message": f"so it is\n {fault}"})
        if parts[0] == "datasets" and parts[3:4] == ["resolve"]:
            return self._resolve("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
        data = self.served.files.get(path)
        if data is None:
            return self._send(404, {})
        return self._file(data, fault)

    def _resolve(self, name: str, revision: str, file: str) -> None:
        commit = self.served.commits.get(revision, revision)
        path = f"/{name}/{commit}/{file}"
        if path not in self.served.files:
            return self._send(404, {"X-Repo-Commit": commit, "X-Error-Code": "EntryNotFound"})
        if file.endswith(".tar"):
            return self._send(302, {"X-Repo-Commit": commit, "Location": f"{self.served.storage}{path}?signature=x"})
        return self._send(200, {"X-Repo-Commit": commit}, self.served.files[path])

    def _file(self, data: bytes, fault: Fault | None) -> None:
        whole, asked = len(data), self.headers.get("Range")
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"'}
        status, first = 200, 0
        if asked and self.served.knows_ranges:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
            if first >= whole:
                return self._send(416, {"Content-Range": f"bytes */{whole}"})
            told = first + 1 if fault == "wrong part" else first
            status = 206
            headers["Content-Range"] = f"bytes {told}-{whole - 1}/{whole}"
        body = data[first:]
        if fault == "replaced":
            headers["ETag"] = '"another"'
        if fault == "drop":
            self.close_connection = True
            return None
        claimed = {"claims more": len(body) + 100, "claims less": len(body) - 512}.get(fault or "", len(body))
        sent = {"break": body[: len(body) // 2], "claims less": body[:claimed]}.get(fault or "", body)
        self.close_connection = fault is not None
        return self._send(status, headers, sent, length=claimed)

    def _send(self, status: int, headers: dict[str, str], data: bytes = b"", *, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value.replace("\n", " "))
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)
