"""The scripted teacher as a server in the OpenAI format, with settable latency and faults: for rehearsals and tests.

It speaks to any client over real HTTP, so that what is rehearsed is the real client. Faults are decided by the content
of a request and by how often it has come, never by time or order, so that a rehearsal can be repeated.
"""

import asyncio
import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self  # Any: JSON values of any depth

from ostensive.chat.faults import Faults, choose_fault, fraction
from ostensive.chat.records import Sampling
from ostensive.chat.scripted import Script, script_reply
from ostensive.chat.wire import completion_json, encode, parse_messages
from ostensive.errors import SettingsError
from ostensive.json_text import parse_json

if TYPE_CHECKING:
    from aiohttp import web

_MAX_BODY_BYTES = 256 * 2**20
_NEVER_S = 86_400.0
_STATUS_FAULTS = ("rate_limited", "rate_limited_date", "server_error", "unavailable")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the scripted server behaves. `latency_s` + up to `jitter_s` (by content) pass before each answer."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    faults: Faults = field(default_factory=Faults)
    required_key: str | None = None  # requests without it get 401, with the header they sent echoed in the message
    model: str = "scripted"


@dataclass(slots=True)
class ServerStats:
    """What the server has seen. Two requests are the same if their bodies are."""

    received: int = 0
    answered: int = 0  # with a completion, whole or cut short
    distinct: int = 0
    most_sent: int = 0  # how often the most frequent request came
    sent_after_answer: int = 0  # requests that came although the same had been answered whole
    max_open: int = 0  # most requests open at a time
    unauthorized: int = 0
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Seen:
    received: int = 0
    answered: bool = False


class ScriptedHandler:
    """Answers requests with a script and keeps the statistics. Used on one event loop."""

    def __init__(self, script: Script, settings: ServerSettings) -> None:
        self.settings = settings
        self.stats = ServerStats()
        self._script = script
        self._seen: dict[bytes, _Seen] = {}
        self._open = 0

    def application(self) -> "web.Application":
        """The aiohttp application with its routes."""
        from aiohttp import web

        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_post("/v1/chat/completions", self.complete)
        application.router.add_get("/v1/models", self.models)
        application.router.add_get("/stats", self.statistics)
        return application

    async def models(self, request: "web.Request") -> "web.Response":
        """`GET /v1/models`."""
        if refusal := self._refusal(request):
            return refusal
        model = {"id": self.settings.model, "object": "model", "created": 0, "owned_by": "ostensive"}
        return _json({"object": "list", "data": [model]})

    async def statistics(self, _: "web.Request") -> "web.Response":
        """`GET /stats`: the fields of `ServerStats` as JSON."""
        values = {item.name: getattr(self.stats, item.name) for item in fields(ServerStats)}
        return _json(values | {"faults": dict(self.stats.faults)})

    async def complete(self, request: "web.Request") -> "web.StreamResponse":
        """`POST /v1/chat/completions`, not streamed."""
        if refusal := self._refusal(request):
            return refusal
        data = await request.read()
        digest = hashlib.sha256(data).digest()
        seen = self._count(digest)
        self._open += 1
        self.stats.max_open = max(self.stats.max_open, self._open)
        try:
            return await self._answer(request, data, digest, seen)
        finally:
            self._open -= 1

    def times_received(self, body: bytes) -> int:
        """How often the request with this body came."""
        seen = self._seen.get(hashlib.sha256(body).digest())
        return 0 if seen is None else seen.received

    def _refusal(self, request: "web.Request") -> "web.Response | None":
        header = request.headers.get("Authorization", "")
        if self.settings.required_key is None or header == f"Bearer {self.settings.required_key}":
            return None
        self.stats.unauthorized += 1
        return _error(401, f"Incorrect API key provided: {header}", "invalid_api_key")

    def _count(self, digest: bytes) -> _Seen:
        stats = self.stats
        seen = self._seen.get(digest)
        if seen is None:
            seen = self._seen[digest] = _Seen()
            stats.distinct += 1
        seen.received += 1
        stats.received += 1
        stats.most_sent = max(stats.most_sent, seen.received)
        stats.sent_after_answer += seen.answered
        return seen

    async def _answer(self, request: "web.Request", data: bytes, digest: bytes, seen: _Seen) -> "web.StreamResponse":
        settings = self.settings
        fault = choose_fault(settings.faults, digest, seen.received)
        if fault:
            self.stats.faults[fault] += 1
        delay_s = settings.latency_s + settings.jitter_s * fraction(digest, "jitter")
        # The latency is from arrival to answer: what the script takes is part of it.
        answer_at = asyncio.get_running_loop().time() + (_NEVER_S if fault == "hang" else delay_s)
        try:
            body = b"" if fault in _STATUS_FAULTS else self._completion(data, digest, fault)
        except ValueError as error:
            return _error(400, str(error), "invalid_request_error")
        left_s = answer_at - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.sleep(left_s)
        if fault in _STATUS_FAULTS:
            return self._status_fault(fault)
        if fault == "bad_json":
            return _raw(body[: len(body) // 2])
        if fault == "close_midway":
            return await _close_midway(request, body)
        self.stats.answered += fault != "no_choices"
        seen.answered = seen.answered or fault != "no_choices"
        return _raw(body)

    def _completion(self, data: bytes, digest: bytes, fault: str) -> bytes:
        value = parse_json(data, strict=False)
        if not isinstance(value, dict):
            raise ValueError("a JSON object is expected")
        if value.get("stream"):
            raise ValueError("stream: this server does not stream")
        messages = parse_messages(value.get("messages"))
        max_tokens = value.get("max_completion_tokens", value.get("max_tokens"))
        if not isinstance(max_tokens, int | None) or (max_tokens is not None and max_tokens < 1):
            raise ValueError("max_tokens: a whole number of at least 1 is expected")
        seed = value.get("seed")
        if not isinstance(seed, int | None):
            raise ValueError("seed: a whole number is expected")
        sampling = Sampling(max_tokens=2**31 if max_tokens is None else max_tokens, seed=seed)
        reply = script_reply(self._script, messages, sampling)
        if fault == "length":
            reply = replace(reply, text=reply.text[: len(reply.text) // 2], finish_reason="length")
        completion = completion_json(
            reply,
            self.settings.model,
            completion_id=f"chatcmpl-{digest.hex()[:24]}",
            filtered=fault == "content_filter",
        )
        return encode({**completion, "choices": []} if fault == "no_choices" else completion)

    def _status_fault(self, fault: str) -> "web.Response":
        wait_s = self.settings.faults.retry_after_s
        if fault == "server_error":
            return _error(500, "the server had an error", "server_error")
        if fault == "unavailable":
            return _error(503, "the server is overloaded", "overloaded")
        response = _error(429, "slow down", "rate_limit_exceeded")
        if fault == "rate_limited":
            response.headers["Retry-After"] = f"{wait_s:g}"
        else:
            # A date has whole seconds, so it is rounded up: earlier than asked would be wrong.
            moment = datetime.now(UTC) + timedelta(seconds=wait_s + 1)
            response.headers["Retry-After"] = format_datetime(moment.replace(microsecond=0), usegmt=True)
        return response


def _raw(body: bytes) -> "web.Response":
    from aiohttp import web

    return web.Response(body=body, content_type="application/json")


def _json(value: dict[str, Any]) -> "web.Response":
    return _raw(encode(value))


def _error(status: int, message: str, code: str) -> "web.Response":
    response = _json({"error": {"message": message, "type": code, "param": None, "code": code}})
    response.set_status(status)
    return response


async def _close_midway(request: "web.Request", body: bytes) -> "web.StreamResponse":
    from aiohttp import web

    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _serve(
    handler: ScriptedHandler, host: str, port: int, on_ready: Callable[[str], None], until: asyncio.Event
) -> None:
    from aiohttp import web

    # No access log, and handlers end when the client has gone: a request that hangs must not outlive it.
    runner = web.AppRunner(handler.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=4096)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        bound = runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        on_ready(f"http://{shown}:{bound[1]}/v1")
        await until.wait()
    finally:
        await runner.cleanup()


def serve(
    script: Script,
    settings: ServerSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[str], None],
) -> None:
    """Serves until interrupted; `on_ready` is told the base URL once connections are accepted. Port 0: any free one.

    Raises `SettingsError` if the address cannot be listened on.
    """

    async def forever() -> None:
        await _serve(ScriptedHandler(script, settings), host, port, on_ready, asyncio.Event())

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(forever())


class ServerThread:
    """The scripted server in a thread of this process, for as long as it is entered; `base_url` says where.

    Port 0 is any free one.
    """

    def __init__(self, script: Script, settings: ServerSettings = ServerSettings(), *, port: int = 0) -> None:
        self._handler = ScriptedHandler(script, settings)
        self._port = port
        self.base_url = ""

    @property
    def stats(self) -> ServerStats:
        """What the server has seen so far."""
        return self._handler.stats

    def times_received(self, body: bytes) -> int:
        """How often the request with this body came."""
        return self._handler.times_received(body)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._until = asyncio.Event()
        ready = threading.Event()

        def on_ready(base_url: str) -> None:
            self.base_url = base_url
            ready.set()

        def run() -> None:
            try:
                self._loop.run_until_complete(_serve(self._handler, "127.0.0.1", self._port, on_ready, self._until))
            finally:
                ready.set()

        self._thread = threading.Thread(target=run, name="scripted-server", daemon=True)
        self._thread.start()
        ready.wait()
        if not self.base_url:
            raise SettingsError("the scripted server did not start; its error is above")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._until.set)
        self._thread.join()
        self._loop.close()
