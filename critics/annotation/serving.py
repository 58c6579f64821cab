"""`ostensive annotate`: the page on which people judge what was put up in a run, over HTTP."""

import contextlib
import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from critics.annotation.access import AccessControl, check_token, is_loopback
from critics.annotation.app import AnnotationSession, make_app
from critics.annotation.export import Exported, export
from critics.annotation.stock import DEFAULT_OPTIONS, AnnotatedRun, AnnotateOptions, check_asked, stock
from critics.annotation.store import open_store
from critics.annotation.tasks import TASKS
from ostensive.errors import SettingsError

if TYPE_CHECKING:
    import uvicorn

GRACE_S = 2
"""How long answers that are on their way may take once the server has been told to stop."""


def annotate(
    run: AnnotatedRun,
    options: AnnotateOptions = DEFAULT_OPTIONS,
    *,
    on_ready: Callable[[str], None],
    on_note: Callable[[str], None],
) -> Exported:
    """Serves the page for a run until interrupted, then exports what was judged.

    `on_ready` is told the address, `on_note` what the user should know besides. Raises `SettingsError` before anything
    is served for what is set wrong, and `StorageError`.
    """
    token = options.token
    if token is None and not is_loopback(options.host):
        token = secrets.token_urlsafe(24)
    check_token(token, options.host)
    check_asked(run, options)
    with open_store(run.folder) as store:
        for note in stock(run, store, options):
            on_note(note)
        tasks = tuple(task for task in TASKS.values() if store.items(task.name))
        session = AnnotationSession(store, run.pictures(store), tasks, options.annotators_per_item)
        access = AccessControl(store.secret(), host=options.host, token=token, also_hosts=options.also_hosts)
        with contextlib.closing(listen(options.host, options.port)) as listener:
            server = make_server(session, access)
            on_ready(address_of(listener) + ("" if token is None else f"/?token={token}"))
            with contextlib.suppress(KeyboardInterrupt):
                server.run([listener])
        return export(run.folder, store)


def make_server(session: AnnotationSession, access: AccessControl) -> "uvicorn.Server":
    """The page as a server that is not running yet."""
    import uvicorn

    config = uvicorn.Config(
        make_app(session, access),
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


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections, on any free port for 0; raises `SettingsError` if that cannot be."""
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


def address_of(listener: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
