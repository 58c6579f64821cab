"""The page over HTTP, by uvicorn: until interrupted, or in a thread for as long as it is entered."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from critics.annotation.app import Desk, make_app
from critics.annotation.door import Door
from ostensive.errors import SettingsError

if TYPE_CHECKING:
    import uvicorn

GRACE_S = 2
"""How long answers that are on their way may take once the server has been told to stop."""


def serve(desk: Desk, door: Door, *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serves until interrupted; `on_ready` is told the address once connections are accepted. Port 0: any free one.

    Raises `SettingsError` if the address cannot be listened on.
    """
    with contextlib.closing(_listen(host, port)) as listener:
        server = _make_server(desk, door)
        on_ready(_address(listener))
        with contextlib.suppress(KeyboardInterrupt):
            server.run([listener])


class PageThread:
    """The page in a thread of this process, on a free port of loopback; `address` says where."""

    def __init__(self, desk: Desk, door: Door) -> None:
        self._desk = desk
        self._door = door
        self.address = ""

    def __enter__(self) -> Self:
        self._listener = _listen("127.0.0.1", 0)
        self._server = _make_server(self._desk, self._door)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), name="page", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        self.address = _address(self._listener)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


def _make_server(desk: Desk, door: Door) -> "uvicorn.Server":
    import uvicorn

    config = uvicorn.Config(
        make_app(desk, door),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; name another --port"
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
