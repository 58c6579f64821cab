"""A Hugging Face Hub of a test: repositories with commits, over HTTP, answering as huggingface.co does.

What clients rely on is kept: `resolve` gives the commit and an ETag with each answer, large files are elsewhere and
come with their size and hash, and what is refused says why in `X-Error-Code`. Models are public; data sets are what
`hub_writing` lets a client make.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from hub_state import Fault, Hub, Repository, git_hash, is_large, sha256_of
from hub_writing import Writing

__all__ = ["Fault", "Hub", "Repository", "serve"]


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serves `hub` on this machine; `hub.address` is what HF_ENDPOINT has to be."""

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    hub.storage = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(Writing):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is written in two pieces, and the second would wait for 40 ms

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def do_HEAD(self) -> None:  # noqa: N802 - as the standard library calls it
        self._answer()

    def do_GET(self) -> None:  # noqa: N802 - as the standard library calls it
        self._answer()

    def do_POST(self) -> None:  # noqa: N802 - as the standard library calls it
        self._answer()

    def do_PUT(self) -> None:  # noqa: N802 - as the standard library calls it
        self._answer()

    def do_DELETE(self) -> None:  # noqa: N802 - as the standard library calls it
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.served.asked.append(f"{self.command} {path}")
        fault = self.served.next_fault(self.command, path)
        if fault is not None and not self.fails(fault):
            return None
        parts = [
            unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")
        ]  # a revision may have slashes
        if parts[0] == "push" and self.served.on_push is not None:
            self.served.on_push()
            return self.send(200)
        if parts[0] == "large" and self.command in ("GET", "HEAD"):
            return self._large(parts[1])
        if self.writes(parts):
            return None
        return self._read(parts)

    def _read(self, parts: list[str]) -> None:
        kind = "datasets/" if "datasets" in parts[:2] else ""
        if parts[:1] == ["datasets"]:
            del parts[0]
        elif parts[0] == "api" and parts[1] in ("models", "datasets") and len(parts) >= 4:
            what, revision = (parts[4] if len(parts) > 4 else "revision"), (parts[5] if len(parts) > 5 else "main")
            return self._api(kind + "/".join(parts[2:4]), what, revision, "/".join(parts[6:]))
        if len(parts) >= 5 and parts[2] == "resolve":
            return self._resolve(kind + "/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        return self.send(404, {"X-Error-Message": "Not found"})

    def _found(self, name: str, revision: str, *, open_to_all: bool = False) -> tuple[Repository, str] | None:
        repository = self.served.repositories.get(name)
        if repository is None or not self.may_see(repository, name):
            status = 401 if self.user is None else 404
            self.send(status, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif repository.is_gated and not open_to_all:
            self.send(401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        else:
            commit = repository.refs.get(revision, repository.tags.get(revision, revision))
            if commit in repository.commits:
                return repository, commit
            self.send(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision}"})
        return None

    def _resolve(self, name: str, revision: str, file: str) -> None:
        found = self._found(name, revision)
        if found is None:
            return
        repository, commit = found
        headers = {"X-Repo-Commit": commit}
        data = repository.commits[commit].get(file)
        if data is None:
            self.send(404, {**headers, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        elif is_large(file):
            sha = sha256_of(data)
            headers |= {"X-Linked-ETag": f'"{sha}"', "X-Linked-Size": str(len(data)), "ETag": '"of the redirect"'}
            self.send(302, {**headers, "Location": f"{self.served.storage}/large/{sha}"})
        else:
            self._send_part({**headers, "ETag": f'"{git_hash(data)}"'}, data)

    def _large(self, sha: str) -> None:
        data = self.served.objects.get(sha)
        for repository in self.served.repositories.values():
            for files in repository.commits.values():
                data = next((one for one in files.values() if sha256_of(one) == sha), data) if data is None else data
        if data is None:
            return self.send(404)
        return self._send_part({"ETag": f'"{sha}"'}, data)

    def _send_part(self, headers: dict[str, str], data: bytes) -> None:
        """All of a file, or the bytes that were asked for."""
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes=") or self.command == "HEAD":
            return self.send(200, {**headers, "Accept-Ranges": "bytes"}, data)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(data)), len(data) - 1)
        return self.send(206, {**headers, "Content-Range": f"bytes {start}-{end}/{len(data)}"}, data[start : end + 1])

    def _api(self, name: str, what: str, revision: str, below: str) -> None:
        found = self._found(name, revision if what in ("revision", "tree", "paths-info") else "main",
                            open_to_all=what == "revision")  # fmt: skip
        if found is None:
            return
        repository, commit = found
        files = {file: data for file, data in repository.commits[commit].items() if file.startswith(below)}
        if what == "revision":
            siblings = [{"rfilename": file} for file in files]
            self.send_json({"id": name.removeprefix("datasets/"), "sha": commit, "private": repository.is_private,
                            "siblings": siblings})  # fmt: skip
        elif what == "refs":
            kinds = (("branches", "heads", repository.refs), ("tags", "tags", repository.tags))
            self.send_json({"converts": []} | {
                key: [{"name": ref, "ref": f"refs/{kind}/{ref}", "targetCommit": sha} for ref, sha in refs.items()]
                for key, kind, refs in kinds
            })  # fmt: skip
        elif what == "paths-info":
            paths = self.form("paths")
            self.send_json([one for path in paths for one in _entries(repository.commits[commit], path)])
        elif below and not files:
            self.send(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": f"{below} does not exist"})
        else:
            folders = {file.rpartition("/")[0] for file in files} - {""}
            entries = [_folder(folder) for folder in sorted(folders)] if repository.owner else []
            self.send_json([*entries, *(_file(file, data) for file, data in files.items())])


def _file(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
    if is_large(path):
        entry["lfs"] = {"oid": sha256_of(data), "size": len(data), "pointerSize": 134}
    return entry


def _folder(path: str) -> dict[str, object]:
    return {"type": "directory", "path": path, "size": 0, "oid": git_hash(path.encode())}


def _entries(files: dict[str, bytes], path: str) -> list[dict[str, object]]:
    """What stands at `path`: a file, a folder or nothing."""
    if path in files:
        return [_file(path, files[path])]
    return [_folder(path)] if any(file.startswith(f"{path}/") for file in files) else []
