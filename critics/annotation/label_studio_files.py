"""`ostensive annotate RUN --to-label-studio`, `--from-label-studio`: the same items and judgements, labelled there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from critics.annotation.serving import (
    CANDIDATES,
    DEFAULT_OPTIONS,
    AnnotateOptions,
    open_pictures,
    open_run,
    open_store,
    read_recipe,
    stock,
)
from ostensive.errors import SettingsError
from ostensive.files import storage_errors, write_text
from ostensive.records import Qar
from ostensive.run import partitions


def to_label_studio(out: Path | str, folder: Path, *, options: AnnotateOptions = DEFAULT_OPTIONS) -> int:
    """Writes tasks, config and drawn images for Label Studio into `folder`; returns how many tasks there are.

    Images are addressed as Label Studio's local storage does with `folder` as its document root.
    """
    from critics.annotation.label_studio import labeling_config, to_tasks
    from critics.annotation.tasks import task_named
    from ostensive.fingerprint import canonical_json

    run, task = open_run(out), task_named(options.task)
    recipe = read_recipe(run)
    with open_store(run) as store:
        stock(run, store, recipe, options)
        pictures = open_pictures(run, store, recipe)
        items = store.items(task.name)
        addresses = {}
        for item in items:
            subject = pictures.subjects.get(item.image_id)
            if subject is None:
                raise SettingsError(f"{run.path}: the image of item {item.item_id} is not in the run any more")
            numbers = [number for number in item.mentions if number in subject.numbers]
            name = f"{item.image_id}-{'-'.join(map(str, sorted(numbers))) or 'none'}.jpg"
            path = folder / "images" / name
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(pictures.jpeg(item.image_id, numbers))
            addresses[item.item_id] = f"/data/local-files/?d=images/{name}"
        tasks = to_tasks(items, store.standing(task.name), lambda item: addresses[item.item_id])
    write_text(folder / "config.xml", labeling_config(task))
    write_text(folder / "tasks.json", canonical_json(tasks) + "\n")
    return len(tasks)


def from_label_studio(
    out: Path | str, file: Path, *, options: AnnotateOptions = DEFAULT_OPTIONS, on_note: Callable[[str], None]
) -> int:
    """Adds the judgements in an export of Label Studio; returns how many are new. `on_note` hears what is left out."""
    from critics.annotation.items import triple_item
    from critics.annotation.label_studio import from_tasks, item_id_of, read_tasks
    from critics.annotation.store import MAX_NAME_LENGTH
    from critics.annotation.tasks import AnswerError, task_named

    run, task, tasks = open_run(out), task_named(options.task), read_tasks(file)
    with open_store(run) as store:
        if options.items is not None:
            stock(run, store, read_recipe(run), options)
        items = {item.item_id: item for item in store.items(task.name, with_retired=True)}
        if task.name == "triple":
            # People may have judged elsewhere what would not have been chosen here.
            asked = {item_id_of(one) for one in tasks}
            rows = (row for path in run.partition_paths(CANDIDATES) for row in partitions.read_kept(path, Qar))
            items = {row.row_id: triple_item(row) for row in rows if row.row_id in asked} | items
        found = from_tasks(tasks, items)
        for line in found.left_out:
            on_note(f"{file}: {line}")
        store.add_items(list({one.item.item_id: one.item for one in found.judgements}.values()))
        judgements = []
        for one in found.judgements:
            try:
                name = store.enter_annotator(one.annotator[:MAX_NAME_LENGTH])
            except AnswerError as error:
                on_note(f"{file}: annotator {one.annotator!r}: {error}")
                continue
            judgements.append(replace(one, annotator=name))
        return store.record_imported(judgements, file.name)
