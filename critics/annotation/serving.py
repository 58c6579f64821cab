"""`ostensive annotate`: a page on which people judge a run's candidates, and what they said, counted and exported."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostensive.errors import SettingsError
from ostensive.images.loader import ImageLoader
from ostensive.records import Qar
from ostensive.run import partitions
from ostensive.run.folder import RunFolder

if TYPE_CHECKING:
    from builders.localized.recipe import LocalizedRecipe
    from critics.annotation.export import Exported
    from critics.annotation.pictures import Pictures
    from critics.annotation.store import AnnotationStore

CANDIDATES = "unique"
"""The stage whose rows are judged: every candidate a critic will score, before any critic has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateOptions:
    """What is judged, by how many, and where the page is served."""

    task: str = "triple"
    items: Path | None = None  # a file of items; the task `triple` takes the run's own candidates
    images: int = 200  # as many of the run's images are judged, a sample that grows when the number does
    per_image: int = 5
    annotators_per_item: int = 2
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None  # None makes one up where the page is open to other machines
    also_hosts: tuple[str, ...] = ()  # names by which the page is reached besides its address


DEFAULT_OPTIONS = AnnotateOptions()


def annotate(
    out: Path | str,
    *,
    options: AnnotateOptions = DEFAULT_OPTIONS,
    on_ready: Callable[[str], None],
    on_note: Callable[[str], None],
) -> "Exported":
    """Serves the page for the run in `out` until interrupted, then exports what was judged.

    `on_ready` is told the address, `on_note` what the user should know besides. Raises `SettingsError` before anything
    is served for what is set wrong, and `StorageError`.
    """
    from critics.annotation import access
    from critics.annotation.app import Desk
    from critics.annotation.door import Door
    from critics.annotation.export import export
    from critics.annotation.server import serve
    from critics.annotation.tasks import TASKS

    run = open_run(out)
    token = options.token
    if token is None and not access.is_loopback(options.host):
        token = secrets.token_urlsafe(24)
    access.check_token(token, options.host)
    recipe = read_recipe(run)
    with open_store(run) as store:
        for note in stock(run, store, recipe, options):
            on_note(note)
        tasks = tuple(task for task in TASKS.values() if store.items(task.name))
        desk = Desk(store, open_pictures(run, store, recipe), tasks, options.annotators_per_item)
        door = Door(store.secret(), host=options.host, token=token, also_hosts=options.also_hosts)

        def ready(address: str) -> None:
            on_ready(address if token is None else f"{address}/?token={token}")

        serve(desk, door, host=options.host, port=options.port, on_ready=ready)
        return export(run, store)


def export_judgements(out: Path | str) -> "Exported":
    """Writes the judgements and the labels of a run as Parquet; raises `SettingsError` where there are none."""
    from critics.annotation.export import export

    with existing_store(out) as store:
        return export(open_run(out), store)


def stock(run: RunFolder, store: "AnnotationStore", recipe: "LocalizedRecipe", options: AnnotateOptions) -> list[str]:
    """Puts what is to be judged into the store; returns notes for the user."""
    from critics.annotation.items import read_items
    from critics.annotation.pictures import read_subjects
    from critics.annotation.tasks import task_named

    task = task_named(options.task)
    if options.items is None:
        if task.name != "triple":
            raise SettingsError(f"the task {task.name} needs --items FILE; only triples are taken from the run itself")
        return _stock_triples(run, store, recipe, options)
    if task.name == "triple":
        raise SettingsError(
            "--items is for the tasks rating, pairwise and preference; triples come from the run itself"
        )
    items = read_items(options.items, task)
    known = read_subjects(run, {item.image_id for item in items})
    missing = [item for item in items if item.image_id not in known]
    if missing:
        raise SettingsError(
            f"{options.items}: {len(missing)} of {len(items)} items are about images that {run.path} does not have,"
            f" {missing[0].image_id[:12]}... first; image_id is the content hash of an image of the run"
        )
    added = store.add_items(items)
    return [f"{len(items):,} items of the task {task.name}, {added:,} of them new"]


def _stock_triples(
    run: RunFolder, store: "AnnotationStore", recipe: "LocalizedRecipe", options: AnnotateOptions
) -> list[str]:
    from builders.choosing import representatives
    from critics.annotation.assignment import shuffled
    from critics.annotation.items import triple_item

    image_of: dict[str, str] = {}
    for path in run.partition_paths(CANDIDATES):
        columns = [partitions.read_column(path, name, kept_only=True) for name in ("row_id", "image_id")]
        image_of.update(zip(*columns, strict=True))
    if not image_of:
        raise SettingsError(
            f"{run.path} has no candidates to judge yet; run `ostensive build` with this folder as --out"
        )
    known = store.items("triple", with_retired=True)
    alive = [item for item in known if item.item_id in image_of]
    gone = {item.item_id for item in known} - image_of.keys()
    store.retire_items("triple", gone)
    notes = []
    if judged := gone & store.answers("triple").keys():
        notes.append(
            f"{len(judged):,} judged triples are no candidates of this run any more; their judgements are kept"
        )
    have = {item.image_id for item in alive}
    order = shuffled(sorted(set(image_of.values())), recipe.seed)[: options.images]
    wanted = [image_id for image_id in order if image_id not in have]
    rows = _rows_of(run, wanted)
    chosen = representatives([row for image_id in wanted for row in rows[image_id]], options.per_image, recipe.dedupe)
    store.add_items([*alive, *map(triple_item, chosen)])
    images = len(have.union(wanted))
    of = len(set(image_of.values()))
    return [*notes, f"{len(alive) + len(chosen):,} triples about {images:,} of {of:,} images to judge"]


def _rows_of(run: RunFolder, image_ids: Sequence[str]) -> dict[str, list[Qar]]:
    rows: dict[str, list[Qar]] = {image_id: [] for image_id in image_ids}
    for path in run.partition_paths(CANDIDATES) if image_ids else ():
        for row in partitions.read_kept(path, Qar):
            if row.image_id in rows:
                rows[row.image_id].append(row)
    return rows


def open_run(out: Path | str) -> RunFolder:
    """The run in `out`; raises `SettingsError` when there is none."""
    run = RunFolder(Path(out))
    if not run.read_state():
        raise SettingsError(f"{out}: there is no run here; give the folder that was --out of `ostensive build`")
    return run


def read_recipe(run: RunFolder) -> Any:  # Any: the recipe's class is of another room; callers say which they need
    """The recipe that a run was built with."""
    from builders.table import load

    return load(str(run.recipe_path))


def open_store(run: RunFolder) -> "AnnotationStore":
    """The judgements of a run, to be entered; the file is made if it is not there."""
    from critics.annotation.store import STORE_NAME, AnnotationStore

    return AnnotationStore(run.path / STORE_NAME)


def existing_store(out: Path | str) -> "AnnotationStore":
    """The judgements of the run in `out`; raises `SettingsError` where nobody was asked yet."""
    store = open_store(open_run(out))
    if not store.path.exists():
        raise SettingsError(f"{out}: nothing was judged here yet; label with `ostensive annotate RUN`")
    return store


def open_pictures(run: RunFolder, store: "AnnotationStore", recipe: "LocalizedRecipe") -> "Pictures":
    """The images of all items in the store."""
    from critics.annotation.pictures import Pictures, read_subjects
    from critics.annotation.tasks import TASKS

    image_ids = {item.image_id for task in TASKS for item in store.items(task)}
    return Pictures(read_subjects(run, image_ids), ImageLoader(recipe.intake))
