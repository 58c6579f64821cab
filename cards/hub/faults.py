"""What goes wrong between here and the Hub, as one line each: what happened and what to do."""

from collections.abc import Iterator
from typing import Final

from ostensive.errors import OstensiveError, one_line

_AGAIN: Final = "the same command continues, and sends nothing twice"


class HubError(OstensiveError):
    """The Hub refuses, or cannot be reached. What it took so far it keeps."""


class HubConflictError(HubError):
    """Somebody else changed the repository at the same time."""


class HubUnavailableError(HubError):
    """The Hub fails or is out of reach; the same request may go well later."""


class WaitTooLongError(Exception):
    """A server asks for more patience than anybody has."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"wait {wait_s:.0f} s")
        self.wait_s = wait_s


def translated(error: Exception, what: str, address: str) -> OstensiveError:
    """An error of `huggingface_hub` or of what it stands on, as ours; `what` was asked for at `address`."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    for cause in _causes(error):
        if isinstance(cause, OstensiveError):
            return cause
        if isinstance(cause, WaitTooLongError):
            return HubError(f"{what}: the Hub asks to wait {cause.wait_s:,.0f} seconds; {_AGAIN}")
        if isinstance(cause, OfflineModeIsEnabled):
            return HubError(f"{what}: HF_HUB_OFFLINE is set; unset it to publish")
        if isinstance(cause, HfHubHTTPError):
            return _of_status(cause.response.status_code, _words(cause), what, address)
    if _is_of_connection(error):
        return HubUnavailableError(f"{what}: {address} does not answer ({_last(error)}); {_AGAIN}")
    return HubError(f"{what}: {_last(error)}")


def _of_status(status: int, words: str, what: str, address: str) -> HubError:
    said = f" ({words})" if words else ""
    if status == 401:
        return HubError(
            f"{what}: the Hub does not know your login{said}: it has expired or was revoked; run hf auth login, or"
            f" renew HF_TOKEN; {_AGAIN}"
        )
    if status == 402 or (status == 403 and "limit" in words.lower()):
        return HubError(f"{what}: the Hub takes no more{said}; make room at {address}/settings/billing; {_AGAIN}")
    if status == 403:
        return HubError(
            f"{what}: the Hub does not permit it{said}; your login needs the right to write there:"
            f" {address}/settings/tokens"
        )
    if status in (409, 412):
        return HubConflictError(f"{what}: it was changed at the same time{said}; {_AGAIN}")
    if status == 429:
        return HubError(f"{what}: the Hub was asked too often{said}; wait some minutes; {_AGAIN}")
    if status >= 500:
        return HubUnavailableError(f"{what}: the Hub fails with {status}{said}; {_AGAIN}")
    return HubError(f"{what}: the Hub refuses with {status}{said}")


def _words(error: Exception) -> str:
    """What the Hub itself says, without the library's words around it."""
    said = getattr(error, "server_message", None) or ""
    return one_line(ValueError(said), 200)


def _last(error: Exception) -> str:
    """The words of what an error came from in the end."""
    *_, cause = _causes(error)
    return f"{type(cause).__name__}: {one_line(cause)}" if str(cause) else type(cause).__name__


def _is_of_connection(error: Exception) -> bool:
    import httpx2

    kinds = (httpx2.TransportError, ConnectionError, TimeoutError)
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[Exception]:
    """The error, and those it was raised from."""
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        yield cause
        cause = cause.__cause__
