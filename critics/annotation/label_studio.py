"""To Label Studio and back: its task JSON, and the labeling config that shows our questions there.

A task has the item in `data` and one annotation for each annotator; each answer is a result of type `choices` whose
`from_name` is our question. Label Studio knows annotators by numbers of its own, so that the name travels in the `meta`
of the results, where there is one, and in `completed_by` otherwise: a number, or an object with an e-mail address too,
depending on how one exports (`foreign.py`). The format is that of its documentation, "Label Studio JSON format of
annotated tasks"; the flattened JSON-MIN has one annotator a task.

Where a task has two sides they go there as `left` and `right`, in an order that is drawn for each item: one config
shows an item to all annotators alike. Nothing there says how they stand: their texts are compared with the item's own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final  # Any: JSON values
from xml.sax.saxutils import quoteattr

from critics.annotation.assignment import is_swapped
from critics.annotation.foreign import ForeignJudgement, numbered, recognised
from critics.annotation.items import Item, candidate_item
from critics.annotation.rendering import asked_question, shown_texts
from critics.annotation.stock import DEFAULT_OPTIONS, AnnotatedRun, AnnotateOptions, check_asked, stock
from critics.annotation.store import AnnotationStore, Standing, open_store
from critics.annotation.tasks import SIDE_NAMES, TASKS, AnswerError, Question, Task, check_answers
from ostensive.errors import SettingsError
from ostensive.files import storage_errors, write_text
from ostensive.fingerprint import canonical_json, fingerprint
from ostensive.json_text import parse_json
from ostensive.own_folders import LABEL_STUDIO, claim_folder
from ostensive.run import partitions

_IMAGE: Final = "image"  # the name of the image in `data` and in the config
_EVERYBODY: Final = "label studio"  # the annotator for whom the order of sides is drawn

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file of tasks holds for us, and one line for each annotation or task that was left out."""

    judgements: tuple[ForeignJudgement, ...]
    left_out: tuple[str, ...]


def to_label_studio(
    run: AnnotatedRun,
    folder: Path,
    options: AnnotateOptions = DEFAULT_OPTIONS,
    *,
    on_note: Callable[[str], None] = lambda _note: None,
) -> int:
    """Writes tasks, config and drawn images for Label Studio into `folder`; returns how many tasks there are.

    Images are addressed as Label Studio's local storage does with `folder` as its document root.
    """
    task = run.task(options.task)
    check_asked(run, options)  # before there is a store
    claim_folder(folder, LABEL_STUDIO)
    with open_store(run.folder) as store:
        for note in stock(run, store, options):
            on_note(note)
        pictures = run.pictures(store)
        items = store.items(task.name)
        addresses = {}
        for item in items:
            subject = pictures.subjects.get(item.image_id)
            if subject is None:
                raise SettingsError(f"{run.folder.path}: the image of item {item.item_id} is not in the run any more")
            numbers = [number for number in item.mentions if number in subject.numbers]
            name = f"{item.image_id}-{'-'.join(map(str, sorted(numbers))) or 'none'}.jpg"
            path = folder / "images" / name
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(pictures.jpeg(item.image_id, numbers))
            addresses[item.item_id] = f"/data/local-files/?d=images/{name}"
        tasks = to_tasks(items, store.standing(task.name), lambda item: addresses[item.item_id])
    write_text(folder / "config.xml", labeling_config(task, task.fields or run.kind.parts))
    write_text(folder / "tasks.json", canonical_json(tasks) + "\n")
    return len(tasks)


def from_label_studio(
    run: AnnotatedRun, file: Path, options: AnnotateOptions = DEFAULT_OPTIONS, *, on_note: Callable[[str], None]
) -> int:
    """Adds the judgements in an export of Label Studio; returns how many are new. `on_note` hears what is left out."""
    task, tasks = run.task(options.task), read_tasks(file)
    with open_store(run.folder) as store:
        if options.items is not None:
            stock(run, store, options)
        items = {item.item_id: item for item in store.items(task.name, with_retired=True)}
        if options.items is None and task.suits(run.kind):
            # People may have judged elsewhere what would not have been chosen here.
            asked = {item_id_of(one) for one in tasks}
            paths = run.folder.paths_of(run.kind.candidate)
            rows = (row for path in paths for row in partitions.read_kept(path, run.kind.candidate))
            items = {row.row_id: candidate_item(task, row, run.kind) for row in rows if row.row_id in asked} | items
        found = from_tasks(tasks, items)
        notes = list(found.left_out)
        store.add_items(list({one.item.item_id: one.item for one in found.judgements}.values()))
        judgements = _by_annotators(store, found.judgements, notes.append)
        added = store.record_imported(judgements, file.name)
    for line in notes:
        on_note(f"{file}: {line}")
    return added


def _by_annotators(
    store: AnnotationStore, given: Sequence[ForeignJudgement], on_note: Callable[[str], None]
) -> list[ForeignJudgement]:
    """The judgements by the names of the store's annotators, entered there; those by what is no name are left out."""
    found = recognised(given, store.taken_in(), store.foreign_users())
    for line in found.notes:
        on_note(line)
    names: dict[str, str | None] = {}
    for name in {*(one.annotator for one in found.judgements), *found.renamed.values()}:
        try:
            names[name] = store.enter_annotator(name, is_foreign=True)
        except AnswerError as error:
            names[name] = None
            on_note(f"annotator {name!r}: {error}")
    for old, new in found.renamed.items():
        if (now := names[new]) is not None:
            store.rename_annotator(old, now)
            on_note(f"{old}, who judged earlier, is {now}")
    judgements = ((one, names[one.annotator]) for one in found.judgements)
    return [replace(one, annotator=name) for one, name in judgements if name is not None]


def to_tasks(items: Iterable[Item], standing: Iterable[Standing], image_address: Callable[[Item], str]) -> list[Json]:
    """Label Studio tasks for items, with what annotators have said of them."""
    by_item: dict[str, list[Standing]] = {}
    for one in standing:
        by_item.setdefault(one.item.item_id, []).append(one)
    return [
        {
            "id": number,
            "data": {
                _IMAGE: image_address(item),
                "task": item.task,
                "item_id": item.item_id,
                "image_id": item.image_id,
                **{text.name: text.text for text in shown_texts(TASKS[item.task], item, _EVERYBODY)},
            },
            "annotations": [_annotation(one) for one in by_item.get(item.item_id, [])],
            "predictions": [],
        }
        for number, item in enumerate(items, 1)
    ]


def _annotation(one: Standing) -> Json:
    task = TASKS[one.item.task]
    results = [
        {
            "id": fingerprint([one.item.task, one.item.item_id, one.annotator, name])[:10],
            "from_name": name,
            "to_name": _IMAGE,
            "type": "choices",
            "value": {"choices": [_choice(task, one.item, name, value)]},
            "meta": {"annotator": one.annotator},
        }
        for name, value in one.answers.items()
    ]
    moment = datetime.fromtimestamp(one.judged_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"result": results, "was_cancelled": False, "ground_truth": False, "created_at": moment}


def _choice(task: Task, item: Item, name: str, value: str) -> str:
    """What the config calls an answer: its value, or where there are sides the text of the option that gives it."""
    if task.sides is None:
        return value
    (asked,) = (asked_question(task, one, item.item_id, _EVERYBODY) for one in task.questions if one.name == name)
    return next(option.text for option in asked.options if option.value == value)


def labeling_config(task: Task, fields: Sequence[str]) -> str:
    """The labeling config (XML) with which Label Studio asks the questions of `task` about texts of these names."""
    if task.sides is not None:
        fields = [*(name for name in fields if name not in task.sides), *SIDE_NAMES]
    lines = ["<View>", f'  <Image name="{_IMAGE}" value="${_IMAGE}"/>']
    for name in fields:
        lines.append(f"  <Header value={quoteattr(name.capitalize())}/>")
        lines.append(f'  <Text name="{name}_text" value="${name}"/>')
    for question in task.questions:
        lines.append(f"  <Header value={quoteattr(question.text)}/>")
        lines.append(f'  <Choices name="{question.name}" toName="{_IMAGE}" choice="single-radio" showInLine="true">')
        shown = question.values if task.sides is None else [option.text for option in question.options]
        lines += [f"    <Choice value={quoteattr(value)}/>" for value in shown]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>", ""])


def read_tasks(path: Path) -> list[Json]:
    """The tasks in an export of Label Studio; raises `SettingsError` for what is none."""
    try:
        # Some programs put a byte order mark before it.
        values = parse_json(path.read_text("utf-8-sig"), strict=False)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON ({error}); an export of Label Studio as JSON is expected") from error
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise SettingsError(f"{path}: a list of tasks is expected; export as JSON in Label Studio")
    if values and not any("annotations" in value and isinstance(value.get("data"), dict) for value in values):
        raise SettingsError(f"{path}: no task has data and annotations; export as JSON, not JSON-MIN or CSV")
    return values


def from_tasks(tasks: Sequence[Json], items: Mapping[str, Item]) -> Imported:
    """The judgements in Label Studio tasks on those of `items`, which are given by item id."""
    judgements: list[ForeignJudgement] = []
    left_out: list[str] = []
    for number, task in enumerate(tasks, 1):
        item = items.get(item_id_of(task) or "")
        if item is None:
            left_out.append(f"task {number}: its item_id is {item_id_of(task)!r}, which this run does not have")
            continue
        swapped = _stands_swapped(item, task["data"])
        if swapped is None:
            left_out.append(f"task {number}: its left and right are not the two sides of item {item.item_id!r:.60}")
            continue
        annotations = task.get("annotations") or []
        if not isinstance(annotations, list):
            left_out.append(f"task {number}: its annotations are {annotations!r:.40}; a list is expected")
            continue
        for place, annotation in enumerate(annotations, 1):
            where = f"task {number}, annotation {place}"
            if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
                left_out.append(f"{where}: it was skipped")
                continue
            given = annotation.get("result")
            results = [result for result in given if isinstance(result, dict)] if isinstance(given, list) else []
            try:
                answers = check_answers(TASKS[item.task], dict(_given(TASKS[item.task], results, swapped=swapped)))
            except AnswerError as error:
                left_out.append(f"{where}: {error}")
                continue
            judgements.append(replace(_judgement(item, annotation, results, answers), swapped=swapped))
    return Imported(tuple(judgements), tuple(left_out))


def item_id_of(task: Json) -> str | None:
    """Which item a task is about, `item_id` or `row_id` in its data; None where it does not say."""
    data = task.get("data")
    item_id = data.get("item_id", data.get("row_id")) if isinstance(data, dict) else None
    return item_id if isinstance(item_id, str) else None


def _stands_swapped(item: Item, data: Json) -> bool | None:
    """Whether the second side stands on the left; None where what stands there is not the item's."""
    if (names := TASKS[item.task].sides) is None or not any(name in data for name in SIDE_NAMES):
        return False
    first, second = (item.text(name).text for name in names)
    shown = tuple(data.get(name) for name in SIDE_NAMES)
    if first == second:
        return is_swapped(item.item_id, _EVERYBODY) if shown == (first, second) else None
    return True if shown == (second, first) else False if shown == (first, second) else None


def _given(task: Task, results: Iterable[Json], *, swapped: bool) -> Iterator[tuple[str, str]]:
    questions = {question.name: question.turned if swapped else question for question in task.questions}
    for result in results:
        question, value = questions.get(str(result.get("from_name"))), result.get("value")
        if question is not None and isinstance(value, dict):
            chosen = value.get("choices", value.get("rating"))
            first = chosen[0] if isinstance(chosen, list) and chosen else chosen
            yield question.name, _value(question, str(first))


def _value(question: Question, given: str) -> str:
    """The value that is meant: configs of others may show our options by their text."""
    plain = given.strip().casefold()
    return next((one.value for one in question.options if plain in (one.value, one.text.casefold())), given)


def _judgement(item: Item, annotation: Json, results: Iterable[Json], answers: Mapping[str, str]) -> ForeignJudgement:
    user_id, name = _annotator(annotation, results)
    return ForeignJudgement(
        item,
        name,
        answers,
        annotation_id=_id(annotation.get("id")),
        user_id=user_id,
        created_at=_moment(annotation.get("created_at")),
        updated_at=_moment(annotation.get("updated_at")),
    )


def _annotator(annotation: Json, results: Iterable[Json]) -> tuple[str | None, str]:
    """The user id, where there is one that says who judged, and the name."""
    for result in results:
        meta = result.get("meta")
        if isinstance(meta, dict) and isinstance(meta.get("annotator"), str):
            return None, str(meta["annotator"])
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        whole = " ".join(str(by[key]) for key in ("first_name", "last_name") if by.get(key))
        names = [str(name) for name in (by.get("email"), by.get("username"), whole) if name]
        user_id = _id(by.get("id"))
        if names:
            return user_id, names[0]
        by = user_id
    elif isinstance(by, str) and not by.strip().isdecimal():
        return None, by
    user_id = _id(by)
    return user_id, "Label Studio" if user_id is None else numbered(user_id)


def _id(value: object) -> str | None:
    return str(value).strip() or None if isinstance(value, int | str) and not isinstance(value, bool) else None


def _moment(value: object) -> float | None:
    """A time of Label Studio's in seconds since the epoch; None for what is none."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (OverflowError, OSError):
        return None
