"""`ostensive annotate`: what is put up to be judged in a run, and the page on which people judge it, over HTTP."""

import contextlib
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: candidates of any recipe

from critics.annotation.access import AccessControl, check_token, is_loopback
from critics.annotation.app import AnnotationSession, make_app
from critics.annotation.assignment import shuffled
from critics.annotation.export import Exported, export
from critics.annotation.items import Item, candidate_item, read_items
from critics.annotation.pictures import Pictures, read_subjects
from critics.annotation.store import AnnotationStore, open_store
from critics.annotation.tasks import TASKS, Task, task_named
from ostensive.errors import SettingsError
from ostensive.images.loader import ImageLoader
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.run import partitions
from ostensive.run.folder import RunFolder

if TYPE_CHECKING:
    import uvicorn

GRACE_S = 2
"""How long answers that are on their way may take once the server has been told to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateOptions:
    """What is judged, by how many, and where the page is served."""

    task: str | None = None  # None takes the usual one of the recipe
    items: Path | None = None  # a file of items; None takes the run's own candidates
    images: int = 200  # as many of the run's images are judged, a sample that grows when the number does
    per_image: int = 5
    annotators_per_item: int = 2
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None  # None makes one up where the page is open to other machines
    also_hosts: tuple[str, ...] = ()  # names by which the page is reached besides its address


DEFAULT_OPTIONS = AnnotateOptions()


@dataclass(frozen=True, slots=True)
class AnnotatedRun:
    """A run whose candidates people judge: those of its last stage before any critic scored."""

    folder: RunFolder
    recipe: Recipe
    kind: RecipeKind
    choose: Callable[[Sequence[Any], int], Sequence[Any]]  # of each image at most so many that differ most, in order

    def task(self, name: str | None) -> Task:
        """The task of that name, or the usual one; raises `SettingsError`."""
        return task_named(self.kind.tasks[0] if name is None else name)

    def pictures(self, store: AnnotationStore) -> Pictures:
        """The images of all items in the store."""
        image_ids = {item.image_id for task in TASKS for item in store.items(task)}
        return Pictures(read_subjects(self.folder, image_ids), ImageLoader(self.recipe.intake))


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


def stock(run: AnnotatedRun, store: AnnotationStore, options: AnnotateOptions = DEFAULT_OPTIONS) -> list[str]:
    """Puts what is to be judged into the store; returns notes for the user. Raises `SettingsError`."""
    task = run.task(options.task)
    items = check_asked(run, options)
    if items is None:
        return _stock_candidates(run, store, task, options)
    added = store.add_items(items)
    return [f"{len(items):,} items of the task {task.name}, {added:,} of them new"]


def check_asked(run: AnnotatedRun, options: AnnotateOptions) -> list[Item] | None:
    """The items of a file, None where the run's own candidates are judged; makes nothing.

    Raises `SettingsError` for a task that does not suit, and for a file of items that cannot be used.
    """
    task = run.task(options.task)
    if options.items is not None:
        return _items_of(run, task, options.items)
    if not task.suits(run.kind):
        raise SettingsError(
            f"the task {task.name} does not suit the {run.kind.noun}s of the recipe {run.kind.name}; give --items FILE,"
            f" or --task {' or '.join(dict.fromkeys((*run.kind.tasks, 'accept')))}"
        )
    return None


def _items_of(run: AnnotatedRun, task: Task, file: Path) -> list[Item]:
    if task.makes_labels:
        from_files = ", ".join(name for name, one in TASKS.items() if not one.makes_labels)
        raise SettingsError(
            f"--items is for the tasks {from_files}; what the task {task.name} asks about comes from the run itself"
        )
    items = read_items(file, task)
    known = read_subjects(run.folder, {item.image_id for item in items})
    missing = [item for item in items if item.image_id not in known]
    if missing:
        raise SettingsError(
            f"{file}: {len(missing)} of {len(items)} items are about images that {run.folder.path} does not have,"
            f" {missing[0].image_id[:12]}... first; image_id is the content hash of an image of the run"
        )
    return items


def _stock_candidates(run: AnnotatedRun, store: AnnotationStore, task: Task, options: AnnotateOptions) -> list[str]:
    paths, noun = run.folder.paths_of(run.kind.candidate), run.kind.noun
    image_of: dict[str, str] = {}
    for path in paths:
        columns = [partitions.read_column(path, name, kept_only=True) for name in ("row_id", "image_id")]
        image_of.update(zip(*columns, strict=True))
    if not image_of:
        raise SettingsError(
            f"{run.folder.path} has no candidates to judge yet; run `ostensive build` with this folder as --out"
        )
    known = store.items(task.name, with_retired=True)
    alive = [item for item in known if item.item_id in image_of]
    gone = {item.item_id for item in known} - image_of.keys()
    store.retire_items(task.name, gone)
    notes = []
    if judged := gone & store.answers(task.name).keys():
        notes.append(
            f"{len(judged):,} judged {noun}s are no candidates of this run any more; their judgements are kept"
        )
    have = {item.image_id for item in alive}
    order = shuffled(sorted(set(image_of.values())), run.recipe.seed)[: options.images]
    rows: dict[str, list[Any]] = {image_id: [] for image_id in order if image_id not in have}
    for path in paths if rows else ():
        for row in partitions.read_kept(path, run.kind.candidate):
            if row.image_id in rows:
                rows[row.image_id].append(row)
    chosen = run.choose([row for of_image in rows.values() for row in of_image], options.per_image)
    store.add_items([*alive, *(candidate_item(task, row, run.kind) for row in chosen)])
    images, of = len(have.union(rows)), len(set(image_of.values()))
    return [*notes, f"{len(alive) + len(chosen):,} {noun}s about {images:,} of {of:,} images to judge"]


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
