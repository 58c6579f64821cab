"""A server on loopback that answers in the shapes of many kinds of server; `server_shapes/README.md` says in which.

`http://127.0.0.1:PORT/SERVER/SITUATION/v1` is an endpoint. SITUATION may be several, with commas: each new request gets
the next one in turn, and the first again after the last. A request that comes again goes on in its own situation.
`/stats` says what came. By hand: `python tests/shape_server.py 8970`.
"""

import hashlib
import json
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any  # JSON of any depth

import yaml

FOLDER = Path(__file__).parent / "server_shapes"
SITUATIONS = ("ordinary", "truncated", "refused", "upstream_error", "reasoning", "usage_missing")
"""What stands in every file."""
TRIPLES = 3

_THINGS = [
    "lamp",
    "river",
    "stone",
    "kite",
    "bread",
    "tower",
    "fox",
    "violin",
    "ladder",
    "cloud",
    "button",
    "candle",
    "drum",
    "engine",
    "feather",
    "garden",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "lemon",
    "mirror",
    "needle",
    "orchard",
    "pillow",
    "quilt",
    "ribbon",
    "saddle",
    "tunnel",
    "umbrella",
    "valley",
    "wagon",
]
_FORMS = (
    (
        "Which {0} could hide behind {k}?",
        "The {1} beside {k} could hide it.",
        "{k} is wider than any {2} in the picture.",
    ),
    ("How would a {0} reach {k}?", "It would climb the {1} next to {k}.", "The way from the {2} to {k} is free."),
    ("Why does {k} recall a {0}?", "Its outline is that of a {1}.", "The edge of {k} bends as a {2} bends."),
    ("What would a {0} change about {k}?", "It would leave a {1} upon {k}.", "{k} is flat enough to carry a {2}."),
    (
        "Where would a {0} stand to look at {k}?",
        "It would stand by the {1}.",
        "Only from the {2} all of {k} is in view.",
    ),
    (
        "Who would trade a {0} for {k}?",
        "A keeper of a {1} would want {k}.",
        "{k} does what a {2} does, and weighs less.",
    ),
)


@dataclass(frozen=True)
class Expected:
    """What has to come of a situation: of three triples that one request asks for."""

    kept: int = TRIPLES
    dropped: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    sent: int | str = 1  # "attempts": all that one request is allowed
    answers: int = 1
    spoiled: int = 0
    prompt_tokens: int | str = 310  # "bound": the most that a budget sets aside
    completion_tokens: int | str = 152
    estimated: int = 0
    detail: str = ""
    stops: str = ""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, before the texts are filled in."""

    status: int
    headers: Mapping[str, str]
    body: Any  # JSON
    text: str | None  # a body that is not JSON


@dataclass(frozen=True)
class Situation:
    """A situation of one server, as its file has it."""

    shows: str
    source: str
    answers: tuple[Answer, ...]
    expected: Expected
    after: str = ""


@dataclass(frozen=True)
class Shapes:
    """The file of one server."""

    server: str
    situations: Mapping[str, Situation]


@cache
def shapes() -> dict[str, Shapes]:
    """All servers by the name of their file."""
    return {path.stem: _shapes(yaml.safe_load(path.read_text("utf-8"))) for path in sorted(FOLDER.glob("*.yaml"))}


def _shapes(value: Mapping[str, Any]) -> Shapes:
    situations = {
        name: Situation(
            shows=found["shows"],
            source=found["source"],
            answers=tuple(
                Answer(one.get("status", 200), one.get("headers", {}), one.get("body"), one.get("text"))
                for one in found["replies"]
            ),
            expected=Expected(**found["expected"]),
            after=found.get("after", ""),
        )
        for name, found in value["situations"].items()
    }
    return Shapes(value["server"], situations)


def triples(prompt: str, count: int, seed: str = "") -> str:
    """Sound triples about what `prompt` numbers as `[k]`, in three labelled lines each; others for another `seed`."""
    rng = random.Random(hashlib.sha256((seed + prompt).encode()).digest())
    numbers = sorted(set(re.findall(r"\[(\d+)\]", prompt)))
    lines = []
    for form in rng.sample(_FORMS, count):
        place = f"[{rng.choice(numbers)}]" if numbers else "the middle"
        words = rng.sample(_THINGS, 3)
        sentences = (part.format(*words, k=place) for part in form)
        lines.append("\n".join(map(": ".join, zip(("Question", "Answer", "Rationale"), sentences, strict=True))))
    return "\n\n".join(lines)


def sound_text(request: Mapping[str, Any]) -> str:
    """The text that answers a request."""
    return triples(_prompt(request), TRIPLES)


def _is_served(server: str, situations: Sequence[str]) -> bool:
    return server in shapes() and shapes()[server].situations.keys() >= set(situations)


def _prompt(request: Mapping[str, Any]) -> str:
    return "\n".join(str(message["content"]) for message in request["messages"])


def _fillings(request: Mapping[str, Any]) -> dict[str, str]:
    text = sound_text(request)
    return {
        "{text}": text,
        "{cut}": text[: text.rindex("Rationale:") + 15],
        "{drafts}": triples(_prompt(request), 2, seed="drafts"),
        "{model}": str(request["model"]),
    }


def _filled(value: Any, fillings: Mapping[str, str]) -> Any:  # JSON in and out
    match value:
        case str():
            for mark, filling in fillings.items():
                value = value.replace(mark, filling)
            return value
        case dict():
            return {key: _filled(item, fillings) for key, item in value.items()}
        case list():
            return [_filled(item, fillings) for item in value]
    return value


class ShapeServer:
    """What was asked, and what the next answer is."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[dict[str, Any]] = []  # bodies, in the order in which they came
        self._lock = threading.Lock()
        self._given: dict[bytes, str] = {}  # the situation of each request, by its address and body
        self._seen: Counter[bytes] = Counter()
        self._asked_of: Counter[str] = Counter()  # requests with another body, by address

    def base_url(self, server: str, situations: Sequence[str]) -> str:
        return f"{self.address}/{server}/{','.join(situations)}/v1"

    def stats(self) -> dict[str, Any]:
        """Requests that came, different ones, and in which situations these are."""
        with self._lock:
            given = dict(Counter(self._given.values()))
            return {"received": self._seen.total(), "distinct": len(self._seen), "situations": given}

    def answer(self, server: str, situations: Sequence[str], body: bytes) -> Answer:
        """The answer to a request, its texts filled in."""
        address = f"{server}/{','.join(situations)}"
        key = hashlib.sha256(address.encode() + b"\n" + body).digest()
        request = json.loads(body)
        with self._lock:
            self.requests.append(request)
            if key not in self._given:
                self._given[key] = situations[self._asked_of[address] % len(situations)]
                self._asked_of[address] += 1
            times = self._seen[key]
            self._seen[key] += 1
        found = shapes()[server].situations[self._given[key]].answers
        answer = found[min(times, len(found) - 1)]
        return Answer(answer.status, answer.headers, _filled(answer.body, _fillings(request)), answer.text)


@contextmanager
def serving(port: int = 0) -> Iterator[ShapeServer]:
    """A server on loopback, at a port that is free unless one is given."""
    served = ShapeServer()

    class Handler(_Handler):
        shape_server = served

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    shape_server: ShapeServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        if self.path == "/stats":
            self._send(Answer(200, {}, self.shape_server.stats(), None))
        else:
            self._send(Answer(200, {}, {"object": "list", "data": []}, None))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self.path.strip("/").split("/"):
            case [server, situations, "v1", "chat", "completions"] if _is_served(server, situations.split(",")):
                self._send(self.shape_server.answer(server, situations.split(","), body))
            case _:
                self._send(Answer(404, {}, {"error": {"message": f"nothing is served at {self.path}"}}, None))

    def _send(self, answer: Answer) -> None:
        text = json.dumps(answer.body, ensure_ascii=False) if answer.text is None else answer.text
        data = text.encode("utf-8")
        self.send_response(answer.status)
        for name, value in ({"content-type": "application/json"} | dict(answer.headers)).items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    with serving(int(sys.argv[1])) as started:
        sys.stdout.write(f"{started.address}/SERVER/SITUATION/v1 of {', '.join(shapes())}\n")
        sys.stdout.flush()
        threading.Event().wait()
