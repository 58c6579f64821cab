"""One endpoint that speaks the OpenAI format: where it is, the key to it, and one attempt at one request.

The only module that knows the `openai` package and the HTTP libraries below it; their exceptions end here, as values.
The package is used for what it does well (addresses, headers, proxies, typed errors) with its aiohttp transport and
without its retries and reply models: the first are ours to decide, the second cost more than all the rest.
"""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from ostensive.chat.retry import DISCONNECTED, TIMED_OUT, UNREACHABLE, Verdict, judge_status, retry_after_s
from ostensive.errors import AccessRefusedError, SettingsError
from ostensive.recipe import ServedModelSettings

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI

OPENAI_BASE_URL = "https://api.openai.com/v1"
_PLACEHOLDER_KEY = "none"  # the package insists on a key; a server on this machine usually does not
_MAX_DETAIL_CHARS = 300
_KEEPALIVE_S = 30.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask and with which key. `base_url` is in one form, so that it can be part of a request's key."""

    base_url: str
    api_key: SecretStr
    loopback: bool

    def scrub(self, text: str) -> str:
        """`text` without the key."""
        secret = self.api_key.get_secret_value()
        return text if secret == _PLACEHOLDER_KEY else text.replace(secret, "[key]")

    def scrub_bytes(self, data: bytes) -> bytes:
        """`data` without the key: a server may echo it even in an answer."""
        secret = self.api_key.get_secret_value()
        return data if secret == _PLACEHOLDER_KEY else data.replace(secret.encode("utf-8"), b"[key]")


def resolve_endpoint(settings: ServedModelSettings, environment: Mapping[str, str]) -> Endpoint:
    """The endpoint of a teacher; raises `SettingsError` if the address is unusable or the key is missing."""
    given = settings.base_url or environment.get("OPENAI_BASE_URL") or OPENAI_BASE_URL
    try:
        parts = urlsplit(given.strip())
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{settings.section}.base_url: not a URL ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"{settings.section}.base_url or OPENAI_BASE_URL: a URL that starts with http:// or https:// is expected"
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        # Not repeated in the message: what stands there is likely to be secret.
        raise SettingsError(
            f"{settings.section}.base_url or OPENAI_BASE_URL: a URL without user name, password, query or fragment is"
            f" expected; the key goes into {settings.key_variable}"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port is None else f"{host}:{port}"
    base_url = urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))
    loopback = _is_loopback(parts.hostname)
    if settings.api_key is not None:
        key = settings.api_key.get_secret_value().strip()
    else:
        key = environment.get(settings.key_variable, "").strip()
    if not key:
        if not loopback:
            raise SettingsError(
                f"no key for {base_url}: set the environment variable {settings.key_variable} (any word for a server"
                " that wants none)"
            )
        key = _PLACEHOLDER_KEY
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            f"the key in {settings.key_variable} or {settings.section}.api_key has characters that no key has"
        )
    return Endpoint(base_url, SecretStr(key), loopback)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@dataclass(frozen=True, slots=True)
class Received:
    """The body of a 200 answer, whatever it is, without the key."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Missed:
    """An attempt that brought no answer. `detail` is one line without the key."""

    verdict: Verdict
    detail: str
    retry_after_s: float | None = None


def check_key(settings: ServedModelSettings, environment: Mapping[str, str] = os.environ) -> None:
    """Raises `AccessRefusedError` if the server says that the key is not valid; says nothing otherwise.

    One request for the list of models, before any work, which costs nothing. Only a refused key is taken for an answer:
    a server may lack the list, a key may be allowed to chat and not to list, and a server that is not up yet will be
    asked again later. Raises `SettingsError` if the address is unusable or the key is missing.
    """
    import httpx2
    import openai

    endpoint = resolve_endpoint(settings, environment)
    with openai.OpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key.get_secret_value(),
        timeout=settings.connect_timeout_s,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=not endpoint.loopback),
    ) as client:
        try:
            client.get("/models", cast_to=httpx2.Response)
        except openai.AuthenticationError as error:
            raise AccessRefusedError(
                f"{endpoint.base_url} refuses the key ({' '.join(endpoint.scrub(str(error)).split())[:200]}); "
                f"check {settings.key_variable} or {settings.section}.api_key"
            ) from None  # the original holds the key in its request
        except (openai.OpenAIError, httpx2.HTTPError):
            return


class Connection:
    """A pool of connections to an endpoint. Opened, used and closed on one event loop."""

    def __init__(self, endpoint: Endpoint, settings: ServedModelSettings) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._client: AsyncOpenAI | None = None

    def open(self) -> None:
        """Makes the client; nothing is sent."""
        import httpx2
        from openai import AsyncOpenAI, DefaultAioHttpClient

        timeout = httpx2.Timeout(
            connect=self._settings.connect_timeout_s,
            read=self._settings.read_timeout_s,
            write=self._settings.read_timeout_s,
            pool=None,  # how many are under way is the limiter's business
        )
        # None would leave aiohttp its own limit, which is 100.
        limits = httpx2.Limits(max_connections=self._settings.max_in_flight, keepalive_expiry=_KEEPALIVE_S)
        self._client = AsyncOpenAI(
            base_url=self.endpoint.base_url,
            api_key=self.endpoint.api_key.get_secret_value(),
            timeout=timeout,
            max_retries=0,
            # Proxies of the environment are for other machines than this one.
            http_client=DefaultAioHttpClient(timeout=timeout, limits=limits, trust_env=not self.endpoint.loopback),
        )

    async def close(self) -> None:
        """Closes all connections."""
        if self._client is not None:
            await self._client.close()

    async def post(self, data: bytes, timeout_s: float) -> Received | Missed:
        """One attempt at `POST chat/completions` with the body `data`, for at most `timeout_s` seconds."""
        import asyncio

        import aiohttp
        import httpx2
        import openai

        assert self._client is not None, "the connection is not open"
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._client.post("/chat/completions", cast_to=httpx2.Response, content=data)
        except TimeoutError:
            return Missed(
                TIMED_OUT, f"no whole answer within {timeout_s:.1f} s ({self._settings.section}.total_timeout_s)"
            )
        except openai.APIStatusError as error:
            return self._refused(error)
        except openai.APIConnectionError as error:
            return self._failed(error)
        except (openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError) as error:
            return Missed(DISCONNECTED, self._line(f"{type(error).__name__}: {error}"))
        return Received(self.endpoint.scrub_bytes(response.content))

    def _refused(self, error: "APIStatusError") -> Missed:
        verdict = judge_status(error.status_code, error.code)
        return Missed(
            verdict,
            self._line(f"status {error.status_code}: {_server_message(error.body)}"),
            retry_after_s(error.response.headers, datetime.now(UTC)),
        )

    def _failed(self, error: "APIConnectionError") -> Missed:
        import aiohttp

        causes = list(_causes(error))
        # The transport calls every broken connection a time-out of the connect phase; the first cause tells.
        text = f"{type(causes[-1]).__name__}: {causes[-1]}"
        if any(isinstance(cause, aiohttp.ClientConnectorError) for cause in causes):
            return Missed(UNREACHABLE, self._line(text))
        if any(isinstance(cause, aiohttp.ConnectionTimeoutError) for cause in causes):
            return Missed(UNREACHABLE, f"no connection within {self._settings.connect_timeout_s:g} s")
        if any(isinstance(cause, TimeoutError) for cause in causes):
            silence_s = self._settings.read_timeout_s
            return Missed(
                TIMED_OUT, f"the server was silent for {silence_s:g} s ({self._settings.section}.read_timeout_s)"
            )
        return Missed(DISCONNECTED, self._line(text))

    def _line(self, text: str) -> str:
        # Scrubbed before it is cut, or the cut could leave half a key.
        return " ".join(self.endpoint.scrub(text).split())[:_MAX_DETAIL_CHARS]


def _server_message(body: object) -> str:
    if isinstance(body, dict):
        for name in ("message", "detail", "error"):
            if isinstance(body.get(name), str):
                return str(body[name])
    return body if isinstance(body, str) else "no message"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
