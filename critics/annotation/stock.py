"""What is put up to be judged in a run: items of a file, or candidates of the run, round by round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: candidates of any recipe

from critics.annotation.choosing import CHOICES, Choice
from critics.annotation.items import Item, candidate_item, read_items
from critics.annotation.pictures import Pictures, read_subjects
from critics.annotation.rounds import NewRound, Sample, differing_round, scored_round
from critics.annotation.scored_rows import asked_critics, read_scores
from critics.annotation.store import AnnotationStore
from critics.annotation.tasks import TASKS, Task, task_named
from critics.labels import Draw
from ostensive.errors import SettingsError
from ostensive.images.loader import ImageLoader
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.run import partitions
from ostensive.run.folder import RunFolder

USUAL_IMAGES: Final = 200
USUAL_IMAGES_OF_ROUND: Final = 50
"""Small rounds: what is chosen by scores is chosen by those of a critic that knows nothing of the round yet."""
MAX_HELD_OUT: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateOptions:
    """What is judged, by how many, and where the page is served."""

    task: str | None = None  # None takes the usual one of the recipe
    items: Path | None = None  # a file of items; None takes the run's own candidates
    choose: Choice = "differing"  # which candidates of the run
    critics: tuple[str, ...] = ()  # whose scores choose; none takes the usual ones
    # Of `differing`, the images that are judged, a sample that grows when the number does; else what is added by these
    # scores, in images' worth. None takes the usual number.
    images: int | None = None
    per_image: int = 5
    held_out: float | None = None  # share of the images, 0-0.9; None takes the usual one
    annotators_per_item: int = 2
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None  # None makes one up where the page is open to other machines
    also_hosts: tuple[str, ...] = ()  # names by which the page is reached besides its address

    @property
    def image_count(self) -> int:
        """The number of images that is meant."""
        usual = USUAL_IMAGES if self.choose == "differing" else USUAL_IMAGES_OF_ROUND
        return usual if self.images is None else self.images


DEFAULT_OPTIONS = AnnotateOptions()


@dataclass(frozen=True, slots=True)
class AnnotatedRun:
    """A run whose candidates people judge: those of its last stage before any critic scored."""

    folder: RunFolder
    recipe: Recipe
    kind: RecipeKind
    differing: Callable[[Sequence[Any], int], Sequence[Any]]  # of each image at most so many that differ most, in order

    def task(self, name: str | None) -> Task:
        """The task of that name, or the usual one; raises `SettingsError`."""
        return task_named(self.kind.tasks[0] if name is None else name)

    def pictures(self, store: AnnotationStore) -> Pictures:
        """The images of all items in the store."""
        image_ids = {item.image_id for task in TASKS for item in store.items(task)}
        return Pictures(read_subjects(self.folder, image_ids), ImageLoader(self.recipe.intake))


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

    Raises `SettingsError` for a task that does not suit, for a file of items that cannot be used, and for a choice that
    the run has no scores for.
    """
    task = run.task(options.task)
    if options.choose not in CHOICES:
        raise SettingsError(f"--choose {options.choose}: one of {', '.join(CHOICES)} is expected")
    if options.critics and options.choose == "differing":
        raise SettingsError(
            f"--critic {options.critics[0]}: no scores are asked for; say what they choose by, with --choose doubt,"
            " disagreement or mixed"
        )
    if options.held_out is not None and not 0 <= options.held_out <= MAX_HELD_OUT:
        raise SettingsError(f"--held-out {options.held_out:g}: a share from 0 to {MAX_HELD_OUT:g} is expected")
    if options.items is not None:
        if options.choose != "differing" or options.held_out is not None:
            raise SettingsError("--items: a file's items are all judged; leave out --choose and --held-out")
        return _items_of(run, task, options.items)
    if not task.suits(run.kind):
        raise SettingsError(
            f"the task {task.name} does not suit the {run.kind.noun}s of the recipe {run.kind.name}; give --items FILE,"
            f" or --task {' or '.join(dict.fromkeys((*run.kind.tasks, 'accept')))}"
        )
    if options.choose != "differing":
        asked_critics(run.folder, run.recipe, options.choose, options.critics)
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
    image_of = _image_of(run)
    known = store.items(task.name, with_retired=True)
    alive = [item for item in known if item.item_id in image_of]
    gone = {item.item_id for item in known} - image_of.keys()
    sample = Sample(
        image_of=image_of,
        items=alive,
        held_out_images=store.held_out_images(),
        rounds=store.rounds(task.name),
        seed=run.recipe.seed,
        held_out_share=options.held_out,
    )
    if options.choose == "differing":
        new = differing_round(
            sample,
            lambda rows: run.differing(_candidates(run, rows), options.per_image),
            images=options.image_count,
            per_image=options.per_image,
        )
    else:
        asked = asked_critics(run.folder, run.recipe, options.choose, options.critics)
        new = scored_round(
            sample,
            read_scores(run.folder, run.kind, asked),
            choose=options.choose,
            images=options.image_count,
            per_image=options.per_image,
        )
    store.retire_items(task.name, gone)
    drawn = {row.row_id: Draw(row.drawn, new.is_held_out(row.image_id), new.number) for row in new.rows}
    by_id = {row.row_id: row for row in _candidates(run, drawn.keys())}
    items = [candidate_item(task, by_id[row_id], run.kind, draw) for row_id, draw in drawn.items()]
    store.add_items([*alive, *items], rounds={new.chosen_by: new.number} if items else {})
    noun = run.kind.noun
    notes = []
    if judged := gone & store.answers(task.name).keys():
        notes.append(
            f"{len(judged):,} judged {noun}s are no candidates of this run any more; their judgements are kept"
        )
    if options.choose != "differing":
        notes.append(_round_note(store, task, new, options, noun))
    images = {item.image_id for item in [*alive, *items]}
    told = (
        f"{len(alive) + len(items):,} {noun}s about {len(images):,} of {len(set(image_of.values())):,} images to judge"
    )
    held_out = sum(held for image_id, held in store.held_out_images().items() if image_id in images)
    return [*notes, f"{told}, {held_out:,} of them held out to measure by" if held_out else told]


def _round_note(store: AnnotationStore, task: Task, new: NewRound, options: AnnotateOptions, noun: str) -> str:
    """What there is of a round that scores chose, and what to do for another."""
    of_round = [item for item in store.items(task.name) if item.draw.round_number == new.number]
    answers = store.answers(task.name)
    waiting = sum(len(answers.get(item.item_id, ())) < options.annotators_per_item for item in of_round)
    told = f"round {new.number}, by {options.choose} of {' and '.join(new.critics)}: {len(of_round):,} {noun}s"
    if new.rows:
        return f"{told}, {len(new.rows):,} of them new"
    return (
        f"{told}, none of them new, {waiting:,} still to judge; for another round train and apply a critic that knows"
        " this one, for more by the same scores give a larger --images"
    )


def _image_of(run: AnnotatedRun) -> dict[str, str]:
    """The image of each candidate, by row id, in the order of the run; raises `SettingsError` where there is none."""
    image_of: dict[str, str] = {}
    for path in run.folder.paths_of(run.kind.candidate):
        columns = [partitions.read_column(path, name, kept_only=True) for name in ("row_id", "image_id")]
        image_of.update(zip(*columns, strict=True))
    if not image_of:
        raise SettingsError(
            f"{run.folder.path} has no candidates to judge yet; run `ostensive build` with this folder as --out"
        )
    return image_of


def _candidates(run: AnnotatedRun, row_ids: Any) -> list[Any]:
    """The candidates of these ids, image by image as the run has them."""
    wanted = set(row_ids)
    paths = run.folder.paths_of(run.kind.candidate) if wanted else ()
    return [row for path in paths for row in partitions.read_kept(path, run.kind.candidate) if row.row_id in wanted]
