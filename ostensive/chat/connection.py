"""Attempts at requests to an endpoint that speaks the OpenAI format, over a pool of connections.

The `openai` package and the HTTP libraries below it are known only here and to the check of a key; their exceptions end
here, as values. The package is used for what it does well (addresses, headers, proxies, typed errors) with its aiohttp
transport and without its retries and reply models: the first are ours to decide, the second cost more than the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ostensive.chat.capped_bodies import BodyTooLongError, capped_hooks
from ostensive.chat.endpoint import Endpoint, ServedModelSettings
from ostensive.chat.proxies import http_options
from ostensive.chat.retry import (
    DISCONNECTED,
    REDIRECTED,
    TIMED_OUT,
    TOO_LONG,
    UNREACHABLE,
    RetryDecision,
    decide_on_status,
    retry_after_s,
)
from ostensive.chat.server_errors import read_complaint

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI

_KEEPALIVE_S = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """The body of a 200 answer, whatever it is, as it came."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that brought no answer. `detail` is one line without the key."""

    decision: RetryDecision
    detail: str
    retry_after_s: float | None = None


class Connection:
    """A pool of connections to an endpoint. Opened, used and closed on one event loop."""

    def __init__(self, endpoint: Endpoint, settings: ServedModelSettings) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._client: AsyncOpenAI | None = None

    def open(self) -> None:
        """Makes the client; nothing is sent."""
        import httpx2
        from openai import AsyncOpenAI, DefaultAioHttpClient, DefaultAsyncHttpxClient

        timeout = httpx2.Timeout(
            connect=self._settings.connect_timeout_s,
            read=self._settings.read_timeout_s,
            write=self._settings.read_timeout_s,
            pool=None,  # how many are under way is the limiter's business
        )
        # None would leave aiohttp its own limit, which is 100.
        limits = httpx2.Limits(max_connections=self._settings.max_in_flight, keepalive_expiry=_KEEPALIVE_S)
        proxy = self.endpoint.proxy
        # The transport of aiohttp knows no SOCKS; httpx2's own does, and is slower.
        make_client = DefaultAsyncHttpxClient if proxy is not None and proxy.is_socks else DefaultAioHttpClient
        self._client = AsyncOpenAI(
            base_url=self.endpoint.base_url,
            api_key=self.endpoint.api_key.get_secret_value(),
            timeout=timeout,
            max_retries=0,
            http_client=make_client(
                timeout=timeout,
                limits=limits,
                event_hooks=capped_hooks(),
                follow_redirects=False,  # who gets the prompts, and whose answers these are, is the user's to say
                **http_options(self.endpoint.base_url, proxy),
            ),
        )

    async def close(self) -> None:
        """Closes all connections."""
        if self._client is not None:
            await self._client.close()

    async def post(self, data: bytes, timeout_s: float) -> Received | FailedAttempt:
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
            return FailedAttempt(
                TIMED_OUT, f"no whole answer within {timeout_s:.1f} s ({self._settings.section}.total_timeout_s)"
            )
        except openai.APIStatusError as error:
            return self._refused(error)
        except BodyTooLongError as error:
            return FailedAttempt(TOO_LONG, str(error))
        except openai.APIConnectionError as error:
            return self._failed(error)
        except (openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError) as error:
            return FailedAttempt(DISCONNECTED, self.endpoint.line(f"{type(error).__name__}: {error}"))
        return Received(response.content)

    def _refused(self, error: "APIStatusError") -> FailedAttempt:
        complaint = read_complaint(error.response.content)
        decision = complaint.decision(error.status_code)
        words = complaint.message or "no message"
        if decision is REDIRECTED:
            location = error.response.headers.get("location", "").partition("?")[0]  # what follows may be secret
            words = f"to {location or 'nowhere'}"
        return FailedAttempt(
            decision,
            self.endpoint.line(f"status {error.status_code}: {words}"),
            retry_after_s(error.response.headers, datetime.now(UTC)),
        )

    def _failed(self, error: "APIConnectionError") -> FailedAttempt:
        import aiohttp
        import httpcore2  # what carries requests through a SOCKS proxy

        causes = list(_causes(error))
        endless = next((cause for cause in causes if isinstance(cause, BodyTooLongError)), None)
        if endless is not None:
            return FailedAttempt(TOO_LONG, str(endless))
        # The transport calls every broken connection a time-out of the connect phase; the first cause tells.
        text = f"{type(causes[-1]).__name__}: {causes[-1]}"
        refused = next((cause for cause in causes if isinstance(cause, aiohttp.ClientHttpProxyError)), None)
        if refused is not None:
            return FailedAttempt(decide_on_status(refused.status, None), f"status {refused.status}{self._way()}")
        unreachable = (aiohttp.ClientConnectorError, httpcore2.ConnectError, httpcore2.ProxyError)
        if any(isinstance(cause, unreachable) for cause in causes):
            return FailedAttempt(UNREACHABLE, self.endpoint.line(text) + self._way())
        if any(isinstance(cause, aiohttp.ConnectionTimeoutError | httpcore2.ConnectTimeout) for cause in causes):
            waited_s = self._settings.connect_timeout_s
            return FailedAttempt(UNREACHABLE, f"no connection within {waited_s:g} s{self._way()}")
        if any(isinstance(cause, TimeoutError) for cause in causes):
            silence_s = self._settings.read_timeout_s
            return FailedAttempt(
                TIMED_OUT, f"the server was silent for {silence_s:g} s ({self._settings.section}.read_timeout_s)"
            )
        return FailedAttempt(DISCONNECTED, self.endpoint.line(text))

    def _way(self) -> str:
        proxy = self.endpoint.proxy
        return "" if proxy is None else f", by the proxy of {proxy.named_by}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
