"""Bodies that end: what a server sends is counted as it is unpacked, and reading stops where no answer goes on.

A few megabytes of gzip unpack to gigabytes, and a body in chunks may have no end at all. Time in all is limited by
whoever asks: a server that drips a byte a second is never silent.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx2

MAX_BODY_BYTES: Final = 16 << 20
"""Of an answer, unpacked. A reply of 100,000 tokens with the likelihood of each has some 10 MB."""
MAX_ERROR_BYTES: Final = 64 << 10
"""Of the body of an answer with another status: what goes on after that is not read, and is no fault."""


class BodyTooLongError(Exception):
    """The body of an answer with status 200 goes on after `MAX_BODY_BYTES`."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the body goes on after {most >> 20} MB")


def capped_hooks(most: int = MAX_BODY_BYTES) -> "Mapping[str, list[Callable[[httpx2.Response], Awaitable[None]]]]":
    """`event_hooks` of an asynchronous client of `httpx2` whose answers are capped; see `BodyTooLongError`."""

    async def cap(response: "httpx2.Response") -> None:
        import httpx2

        class Capped(httpx2.AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                read = 0
                async with aclosing(packed.aiter_bytes()) as chunks:
                    async for chunk in chunks:
                        read += len(chunk)
                        if read > limit and is_answer:
                            raise BodyTooLongError(limit)
                        yield chunk
                        if read > limit:
                            return

            async def aclose(self) -> None:
                await packed.aclose()

        is_answer = response.status_code == 200
        limit = most if is_answer else MAX_ERROR_BYTES
        assert isinstance(response.stream, httpx2.AsyncByteStream), "the client is asynchronous"
        packed = httpx2.Response(
            response.status_code, headers=response.headers, stream=response.stream, request=response.request
        )
        response.stream = Capped()
        for name in ("content-encoding", "content-length"):  # of what was sent, and no longer of the stream
            response.headers.pop(name, None)

    return {"response": [cap]}
