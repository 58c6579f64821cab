"""A Hugging Face Hub of a test: repositories with commits, over HTTP, answering as huggingface.co does.

What clients rely on is kept: `resolve` gives the commit and an ETag with each answer, large files are elsewhere and
come with their size and hash, and what is refused says why in `X-Error-Code`.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """Files by commit, and which commit each branch or tag stands for."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    is_gated: bool = False

    def push(self, files: dict[str, bytes], ref: str = "main") -> str:
        """A new commit with `files`; `ref` stands for it from now on."""
        commit = hashlib.sha1(repr((sorted(files.items()), sorted(self.commits))).encode()).hexdigest()
        self.commits[commit] = files
        self.refs[ref] = commit
        return commit


@dataclass
class Hub:
    """What is served, and what was asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""
    storage: str = ""  # where large files are: another host by its name, so that clients treat it as one
    on_push: Callable[[], object] | None = None  # what a request for /push does: a client says when it happens

    def add(self, name: str, files: dict[str, bytes]) -> Repository:
        self.repositories[name] = Repository()
        self.repositories[name].push(files)
        return self.repositories[name]

    def asked_of(self, name: str) -> list[str]:
        """The requests on a model since this was asked last."""
        found = [line for line in self.asked if f"/{name}" in line]
        self.asked.clear()
        return found


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serves `hub` on this machine; `hub.address` is what HF_ENDPOINT has to be."""

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    hub.storage = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        self.served.asked.append(f"{self.command} {unquote(path)}")
        parts = [unquote(part) for part in path.strip("/").split("/")]  # a revision may have slashes of its own
        if parts[0] == "push" and self.served.on_push is not None:
            self.served.on_push()
            return self._send(200, {})
        if parts[0] == "large":
            return self._large(parts[1])
        if parts[:2] == ["api", "models"] and len(parts) >= 6:
            return self._api("/".join(parts[2:4]), parts[4], parts[5], "/".join(parts[6:]))
        if len(parts) >= 5 and parts[2] == "resolve":
            return self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        return self._send(404, {"X-Error-Message": "Not found"})

    def _found(self, name: str, revision: str, *, open_to_all: bool = False) -> tuple[Repository, str] | None:
        repository = self.served.repositories.get(name)
        if repository is None:
            self._send(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif repository.is_gated and not open_to_all:
            self._send(401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        else:
            commit = repository.refs.get(revision, revision)
            if commit in repository.commits:
                return repository, commit
            self._send(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision}"})
        return None

    def _resolve(self, name: str, revision: str, file: str) -> None:
        found = self._found(name, revision)
        if found is None:
            return
        repository, commit = found
        headers = {"X-Repo-Commit": commit}
        data = repository.commits[commit].get(file)
        if data is None:
            self._send(404, {**headers, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        elif file.endswith(".safetensors"):
            sha = hashlib.sha256(data).hexdigest()
            headers |= {"X-Linked-ETag": f'"{sha}"', "X-Linked-Size": str(len(data)), "ETag": '"of the redirect"'}
            self._send(302, {**headers, "Location": f"{self.served.storage}/large/{sha}"})
        else:
            self._send(200, {**headers, "ETag": f'"{_git_hash(data)}"'}, data)

    def _large(self, sha: str) -> None:
        for repository in self.served.repositories.values():
            for files in repository.commits.values():
                for data in files.values():
                    if hashlib.sha256(data).hexdigest() == sha:
                        return self._send(200, {"ETag": f'"{sha}"'}, data)
        return self._send(404, {})

    def _api(self, name: str, what: str, revision: str, below: str) -> None:
        found = self._found(name, revision, open_to_all=what == "revision")
        if found is None:
            return
        repository, commit = found
        files = {file: data for file, data in repository.commits[commit].items() if file.startswith(below)}
        if what == "revision":
            values: object = {
                "id": name,
                "sha": commit,
                "private": False,
                "siblings": [{"rfilename": f} for f in files],
            }
        elif below and not files:
            return self._send(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": f"{below} does not exist"})
        else:
            values = [
                {"type": "file", "path": file, "size": len(data), "oid": _git_hash(data)}
                | ({"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}
                   if file.endswith(".safetensors") else {})
                for file, data in files.items()
            ]  # fmt: skip
        return self._send(200, {"Content-Type": "application/json"}, json.dumps(values).encode())

    def _send(self, status: int, headers: dict[str, str], data: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
