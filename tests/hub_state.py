"""What the Hub of a test holds: repositories, objects, users, and what shall go wrong."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

LARGE = (".safetensors", ".parquet", ".tar")


def git_hash(data: bytes) -> str:
    """What git calls a blob of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256_of(data: bytes) -> str:
    """What large files are known by."""
    return hashlib.sha256(data).hexdigest()


def is_large(path: str) -> bool:
    """Whether a file is kept apart, as `.gitattributes` of the Hub says."""
    return path.endswith(LARGE)


@dataclass
class Repository:
    """Files by commit, and which commit each branch or tag stands for."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    is_gated: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)  # by commit
    history: set[str] = field(default_factory=set)  # of the branches
    owner: str = ""  # of one that a client made
    is_private: bool = False

    def push(self, files: dict[str, bytes], ref: str = "main", message: str = "") -> str:
        """A new commit with `files`; `ref` stands for it from now on."""
        commit = hashlib.sha1(repr((sorted(files.items()), sorted(self.commits))).encode()).hexdigest()
        self.commits[commit] = files
        self.messages[commit] = message
        self.refs[ref] = commit
        self.history.add(commit)
        return commit

    def squash(self, message: str) -> None:
        """The head of the main branch becomes all of its history."""
        files = self.head
        self.history.clear()
        self.push(files, message=message)
        self.forget()

    def forget(self) -> None:
        """Commits that neither a branch nor a tag leads to go."""
        kept = {*self.history, *self.refs.values(), *self.tags.values()}
        self.commits = {sha: files for sha, files in self.commits.items() if sha in kept}

    @property
    def head(self) -> dict[str, bytes]:
        """The files of the branch that everybody reads."""
        return self.commits[self.refs["main"]]


@dataclass(frozen=True)
class User:
    """Somebody who is logged in."""

    name: str
    role: str = "write"  # of the login: read, write or fineGrained
    organizations: tuple[str, ...] = ()


@dataclass
class Fault:
    """Something that goes wrong for requests whose line, `PUT /large/...`, begins so."""

    line: str
    status: int = 500
    code: str = ""
    message: str = "Internal Error - We're working hard to fix this as soon as possible!"
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    after_bytes: int | None = None  # the connection is cut when so many bytes of the request have come
    then: Callable[[], object] | None = None  # done first
    is_answered: bool = False  # after that, as if nothing had been
    after: int = 0  # requests that go well before
    loses_answer: bool = False  # it is done, and the connection is cut


@dataclass
class Hub:
    """What is served, and what was asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""
    storage: str = ""  # where large files are: another host by its name, so that clients treat it as one
    on_push: Callable[[], object] | None = None  # what a request for /push does: a client says when it happens
    users: dict[str, User] = field(default_factory=dict)  # by token
    objects: dict[str, bytes] = field(default_factory=dict)  # large files by hash, committed or not
    received: list[int] = field(default_factory=list)  # bytes of each large file that was sent, whole or in part
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, files: dict[str, bytes]) -> Repository:
        self.repositories[name] = Repository()
        self.repositories[name].push(files)
        return self.repositories[name]

    def asked_of(self, name: str) -> list[str]:
        """The requests on a model since this was asked last."""
        found = [line for line in self.asked if f"/{name}" in line]
        self.asked.clear()
        return found

    def data_set(self, name: str) -> Repository:
        return self.repositories[f"datasets/{name}"]

    def take_received(self) -> int:
        """The bytes of large files since this was asked last."""
        with self.lock:
            total = sum(self.received)
            self.received.clear()
        return total

    def lose_answer_of(self, line: str) -> None:
        self.faults.append(Fault(line, loses_answer=True))

    def next_fault(self, method: str, path: str) -> Fault | None:
        """What shall go wrong with this request."""
        with self.lock:
            for fault in self.faults:
                if fault.times and f"{method} {path}".startswith(fault.line):
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None
