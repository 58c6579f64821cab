"""Files on a web server as streams that are whole or fail: what breaks off is asked for again from where it broke.

`webdataset` itself runs `curl` for addresses, and takes what it printed until it died for all there was.
"""

import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, Final  # Any: buffers

from ostensive.chat.retry import Action, Backoff, decide_on_status, retry_after_s
from ostensive.errors import OstensiveError, one_line

if TYPE_CHECKING:
    import httpx2

_BACKOFF: Final = Backoff(base_s=0.5, cap_s=30.0)
_MAX_TEXT_BYTES: Final = 64 << 20  # of an index: a million shards take less


class RemoteError(OstensiveError):
    """A file on a server that cannot be had whole."""


class NotThereError(RemoteError):
    """The server has no such file."""


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """How patient a reader is: `attempts` in a row that bring nothing, with waits between them."""

    attempts: int = 6
    backoff: Backoff = _BACKOFF
    timeout_s: float = 60.0  # of silence
    pause: Callable[[float], None] = time.sleep


DEFAULT: Final = RemoteSettings()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A small file, and what the server said of it; names of headers are in lower case."""

    data: bytes
    headers: Mapping[str, str]


def shown_url(url: str) -> str:
    """`url` for a message: without a name, a password and what follows `?`, any of which may be secret."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def fetch(url: str, headers: Mapping[str, str], settings: RemoteSettings = DEFAULT) -> Fetched:
    """A small file, whole; raises `NotThereError`, and `RemoteError` as `RemoteFile` does."""
    with RemoteFile(url, headers, settings=settings) as file:
        data = file.read(_MAX_TEXT_BYTES)
        if file.read(1):
            raise RemoteError(f"{shown_url(url)}: is larger than {_MAX_TEXT_BYTES >> 20} MB, which no index is")
        return Fetched(data, file.headers)


class RemoteFile(io.RawIOBase):
    """A file on a server, read once from its beginning to its end.

    Reading raises `NotThereError` for 404 and 410, and `RemoteError` for a server that refuses, for one that brings
    nothing in `settings.attempts` attempts in a row, and for a file that is not `byte_count` bytes long (where that is
    known) or is another one when it is asked for again.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        byte_count: int | None = None,
        settings: RemoteSettings = DEFAULT,
    ) -> None:
        super().__init__()
        self.headers: Mapping[str, str] = {}  # of the first answer, and of those that led to it
        self._url = url
        self._sent = {"Accept-Encoding": "identity", **headers}
        self._expected = byte_count
        self._settings = settings
        self._rng = Random()  # noqa: S311 - spreads retries in time; no row depends on it
        self._client: httpx2.Client | None = None
        self._response: httpx2.Response | None = None
        self._chunks: Iterator[bytes] | None = None
        self._rest = memoryview(b"")
        self._place = 0  # bytes that were given out or are in `_rest`
        self._tag: str | None = None  # by which the server knows this version of the file
        self._fruitless = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = self._next_chunk()
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._hang_up()
            if self._client is not None:
                self._client.close()
        super().close()

    def _next_chunk(self) -> bytes | None:
        """The next bytes; None at the end of the file."""
        import httpx2

        while True:
            wait_s = None
            try:
                if self._chunks is None:
                    self._connect()
                assert self._chunks is not None, "there is an answer"
                chunk = next(self._chunks, None)
                if chunk:
                    self._place += len(chunk)
                    self._fruitless = 0
                    return chunk
                if chunk is None and self._is_whole():
                    return None
                if chunk is not None:
                    continue
                problem = f"the answer ended after {self._place:,} of {self._expected or 0:,} bytes"
            except _AgainError as error:
                problem, wait_s = str(error), error.wait_s
            except httpx2.TransportError as error:
                problem = one_line(error) or type(error).__name__
            self._hang_up()
            self._fruitless += 1
            if self._fruitless >= self._settings.attempts:
                raise RemoteError(
                    f"{shown_url(self._url)}: {problem}; {self._fruitless} attempts in a row brought nothing more"
                )
            self._settings.pause(max(wait_s or 0.0, self._settings.backoff.wait_s(self._fruitless, self._rng)))

    def _is_whole(self) -> bool:
        return self._expected is None or self._place == self._expected

    def _connect(self) -> None:
        """An answer that goes on at `_place`; raises `_AgainError` where another attempt may help."""
        import httpx2

        if self._client is None:
            self._client = httpx2.Client(follow_redirects=True, timeout=self._settings.timeout_s)
        headers = dict(self._sent)
        if self._place:
            headers["Range"] = f"bytes={self._place}-"
            if self._tag is not None and not self._tag.startswith("W/"):  # RFC 9110, 13.1.5: no weak ones
                headers["If-Range"] = self._tag
        try:
            response = self._client.send(self._client.build_request("GET", self._url, headers=headers), stream=True)
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.TooManyRedirects) as error:
            raise RemoteError(f"{shown_url(self._url)}: {one_line(error)}") from error
        self._response = response
        if response.status_code not in (200, 206):
            self._refuse(response)
        self._check_same(response)
        self._chunks = response.iter_raw()  # as it comes: of a chunk that is waited for nothing is left at a break
        if self._place and response.status_code == 200:  # a server that knows no ranges begins anew
            self._pass_over(self._place)

    def _refuse(self, response: "httpx2.Response") -> None:
        """Raises what a status means that is no answer."""
        status, where = response.status_code, shown_url(self._url)
        told = response.headers.get("x-error-message", "")
        words = f"{where}: the server answers {status}{f' ({one_line(ValueError(told))})' if told else ''}"
        if status in (404, 410):
            raise NotThereError(f"{words}; is the address right, and the file still there?")
        if status == 416:
            raise _AgainError(f"the file ended after {self._place:,} of {self._expected or 0:,} bytes")
        if decide_on_status(status).action is not Action.RETRY:
            hint = "; is the name right, and are you logged in (`hf auth login`)?" if status in (401, 403) else ""
            raise RemoteError(f"{words}{hint}")
        raise _AgainError(f"the server answers {status}", retry_after_s(response.headers, datetime.now(UTC)))

    def _check_same(self, response: "httpx2.Response") -> None:
        """Raises `RemoteError` for a file of another length than is expected, or another file than before."""
        length = response.headers.get("content-length")
        total: int | None = int(length) if length is not None and length.isdecimal() else None
        if response.status_code == 206:
            span, _, whole = response.headers.get("content-range", "").partition("/")
            if span.removeprefix("bytes ").partition("-")[0] != str(self._place):
                raise RemoteError(f"{shown_url(self._url)}: the server sends another part than it was asked for")
            total = int(whole) if whole.isdecimal() else None
        tag = response.headers.get("etag")
        if self._place and (tag != self._tag or total not in (None, self._expected)):
            raise RemoteError(f"{shown_url(self._url)}: was replaced while it was read; begin the epoch again")
        if total is not None and self._expected is not None and total != self._expected:
            raise RemoteError(
                f"{shown_url(self._url)}: is {total:,} bytes long, and {self._expected:,} are expected: it was cut"
                " short or changed; upload it again with its index"
            )
        if not self._place:
            self._expected = self._expected if total is None else total
            self._tag = tag
            # The Hub says of which commit a file is where it sends one on to its storage.
            answers = (response, *response.history)
            self.headers = {name.lower(): value for one in answers for name, value in one.headers.items()}

    def _pass_over(self, count: int) -> None:
        assert self._chunks is not None, "there is an answer"
        for chunk in self._chunks:
            if len(chunk) > count:
                self._chunks = _with_first(chunk[count:], self._chunks)
                return
            count -= len(chunk)
            if not count:
                return

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response = self._chunks = None


class _AgainError(Exception):
    """An attempt that failed and may succeed when it is made again."""

    def __init__(self, problem: str, wait_s: float | None = None) -> None:
        super().__init__(problem)
        self.wait_s = wait_s


def _with_first(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
