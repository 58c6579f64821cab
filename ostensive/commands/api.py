"""The functions of the Python interface: each hands one room what it takes of the others."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ostensive.commands.resolving import check_keys, resolve, with_paths
from ostensive.errors import SettingsError
from ostensive.run.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.user_paths import shown_path, user_path

if TYPE_CHECKING:
    from cards.differences import CorpusDifferences
    from cards.reading import Corpus
    from ostensive.models.doctor import Diagnosis
    from ostensive.recipe import Recipe
    from ostensive.recipe_kind import ListedConcepts, View
    from ostensive.run.estimate import Estimate
    from ostensive.run.growth import Growth
    from ostensive.run.rehearsal import Rehearsal
    from ostensive.run.reporting import Reporter
    from students.data.mapped import CorpusRows
    from students.data.settings import AugmentationSettings
    from students.data.stream import CorpusStream, StreamSettings
    from students.exporting import Exported, ShownRegions
    from students.training.record import TrainedStudent


def build(
    recipe: str,
    *,
    images: Path | str,
    out: Path | str,
    options: BuildOptions = DEFAULT_OPTIONS,
    reporter: "Reporter | None" = None,
    stop: threading.Event | None = None,
) -> "Corpus":
    """Builds the corpus that `recipe` (by name, or a YAML file) describes from `images`, in the folder `out`.

    Running again does only what is missing. Raises as `ostensive.run.build.Build.from_images` does.
    """
    from cards.assembling import publish
    from critics.kept_shares import threshold_notes
    from ostensive.run.build import Build
    from ostensive.run.reporting import SILENCE

    options, images, out = with_paths(options), user_path(images, "images"), user_path(out, "out")
    if options.parent == out:
        raise SettingsError(f"--parent {shown_path(out)}: is --out itself; every round has a folder of its own")
    resolved, kind = resolve(recipe, options)
    build = Build(resolved, kind, publish, options, reporter or SILENCE, stop, threshold_notes)
    return build.from_images(images, out)


def growth(out: Path | str) -> "Growth | None":
    """What the round in the run folder `out` added to those before; None of a recipe that has no rounds.

    Raises `SettingsError` where there is no run.
    """
    from builders.rounds import RoundsRecipe, growth_of
    from builders.table import load, recipe_kind
    from ostensive.run.folder import existing_run

    run = existing_run(out)
    recipe = load(str(run.recipe_path))
    if not isinstance(recipe, RoundsRecipe):
        return None
    return growth_of(run, recipe.rounds, recipe_kind(recipe.recipe).candidate)


def run_notes(out: Path | str) -> list[str]:
    """What has to be said of the run in `out`, a line each: by its recipe, and by its critics where little is kept.

    Raises `SettingsError` where there is no run.
    """
    from builders.table import load, recipe_kind
    from ostensive.run.folder import existing_run

    run = existing_run(out)
    of_critics: list[str] = run.read_state().get("notes", [])
    return [*recipe_kind(load(str(run.recipe_path)).recipe).run_notes(run.path), *of_critics]


def rebuild(
    out: Path | str,
    *,
    change: "Callable[[Recipe], Recipe]",
    start: str,
    options: BuildOptions = DEFAULT_OPTIONS,
    reporter: "Reporter | None" = None,
    stop: threading.Event | None = None,
) -> "Corpus":
    """Does the stage `start` and what comes after it again in the finished run `out`, by its own recipe after `change`.

    Where nothing depends on the change, nothing is done again. Raises as `ostensive.run.build.Build.from_stage` does.
    """
    from builders.table import load, recipe_kind
    from cards.assembling import publish
    from critics.kept_shares import threshold_notes
    from ostensive.run.build import Build, finished_run
    from ostensive.run.reporting import SILENCE

    recipe = change(load(str(finished_run(out).recipe_path)))
    kind = recipe_kind(recipe.recipe)
    build = Build(recipe, kind, publish, options, reporter or SILENCE, stop, threshold_notes)
    return build.from_stage(out, start)


def demo(
    out: Path | str,
    recipe: str = "localized",
    *,
    options: BuildOptions = DEFAULT_OPTIONS,
    reporter: "Reporter | None" = None,
    stop: threading.Event | None = None,
) -> "Corpus":
    """Copies photographs to `out/photographs`, what else the recipe's demo needs beside them, and builds in `out/run`.

    `recipe` is one that is there by name. Raises as `build` does.
    """
    from builders.demo import copy_files, copy_photographs, demo_of
    from builders.table import recipe_kind
    from ostensive.own_folders import DEMO, claim_folder

    folder, kind = user_path(out, "out"), recipe_kind(recipe)
    prepared = demo_of(kind, folder)
    chosen = with_paths(options)
    chosen = replace(
        chosen,
        stand_ins=(*prepared.settings, *options.stand_ins),
        annotations=chosen.annotations or prepared.annotations,
    )
    resolve(recipe, chosen)  # says what is set wrong before anything is copied
    claim_folder(folder, DEMO)
    copy_photographs(prepared.photographs)
    copy_files(kind, folder)
    return build(recipe, images=prepared.photographs, out=folder / "run", options=chosen, reporter=reporter, stop=stop)


def preview(recipe: str, *, images: Path | str, options: BuildOptions = DEFAULT_OPTIONS) -> "Rehearsal":
    """Takes the first image that can be read through a rehearsal of `recipe`; nothing is sent, spent or written.

    Raises `SettingsError` for a recipe, images or annotations that are not right, and `NoImagesError`.
    """
    from ostensive.run.preview import preview as rehearse_first
    from ostensive.run.sources import find_sources

    options, images = with_paths(options), user_path(images, "images")
    resolved, kind = resolve(recipe, options)
    check_keys(resolved, options)
    return rehearse_first(resolved, kind, find_sources(resolved, kind, images, options))


def estimate(recipe: str, *, images: Path | str, options: BuildOptions = DEFAULT_OPTIONS) -> "Estimate":
    """What a build would ask and cost, from a few images; raises as `ostensive.run.estimate.estimate` does."""
    from ostensive.run.estimate import estimate as estimate_sources
    from ostensive.run.sources import find_sources

    options, images = with_paths(options), user_path(images, "images")
    resolved, kind = resolve(recipe, options)
    check_keys(resolved, options)
    return estimate_sources(resolved, kind, find_sources(resolved, kind, images, options), options)


def list_concepts(
    recipe: str,
    *,
    images: Path | str,
    out: Path | str,
    options: BuildOptions = DEFAULT_OPTIONS,
    stop: threading.Event | None = None,
) -> "ListedConcepts":
    """Asks the teacher of `recipe` what a thing of each label looks like; writes the list to the file `out`.

    Labels are those that came in beside `images`; those that `out` has already are left as they are. The journal is
    `out` with `.journal.sqlite` behind its name where the options name no other, so that nothing is paid twice. Raises
    `SettingsError` for a recipe that reads no such list, for images without labels, and as `build` does before work
    begins; `BudgetReached` and `Interrupted` when asked to stop.
    """
    from ostensive.run.services import ServiceSettings, open_services, permits_of, thread_count
    from ostensive.run.sources import find_sources

    options, images, out = with_paths(options), user_path(images, "images"), user_path(out, "out")
    resolved, kind = resolve(recipe, options)
    if kind.list_concepts is None:
        raise SettingsError(
            f"{kind.name} reads no list of concepts; a recipe that does is expected, such as explanations"
        )
    labels = find_sources(resolved, kind, images, options).labels
    if not labels:
        raise SettingsError(f"{shown_path(images)}: no image has a label; name a file of them with --annotations")
    check_keys(resolved, options)
    settings = ServiceSettings(
        intake=resolved.intake,
        threads=thread_count(resolved.run),
        journal=options.journal or out.with_name(f"{out.name}.journal.sqlite"),
        run_id=str(out),
        max_cost_usd=options.max_cost_usd,
        max_requests=options.max_requests,
        prices=options.prices,
        permits=permits_of(options),
    )
    with open_services(settings, stop or threading.Event()) as services:
        return kind.list_concepts(resolved, labels, out, services)


def export(run: Path | str, view: "View", out: Path | str, *, regions: "ShownRegions | None" = None) -> "Exported":
    """Writes the corpus of the run in the folder `run` to `out` in the form `view`, as `students.exporting.export`."""
    from builders.table import load, recipe_kind
    from cards.reading import read_corpus
    from ostensive.run.folder import existing_run
    from students.exporting import export as export_corpus

    folder = existing_run(user_path(run, "run folder"))
    kind = recipe_kind(load(str(folder.recipe_path)).recipe)
    return export_corpus(read_corpus(folder), kind, view, user_path(out, "out"), regions=regions)


def diff(first: Path | str, second: Path | str, *, examples: int = 0) -> "CorpusDifferences":
    """How the corpus in `second` differs from that in `first`: folders of runs, or of corpora.

    `examples` is how many rows and images of each fate come with it at most. Raises `SettingsError` where there is no
    corpus, and as `cards.differences.compare` does.
    """
    from builders.table import recipe_kind
    from cards.compared import open_compared
    from cards.differences import compare

    corpora = open_compared(first), open_compared(second)
    name = next((corpus.recipe for corpus in corpora if corpus.recipe is not None), None)
    try:
        kind = None if name is None else recipe_kind(name)
    except SettingsError:  # a recipe of a package that is not installed here
        kind = None
    return compare(*corpora, kind, examples=examples)


def corpus_rows(
    run: Path | str, *, split: str | None = None, augmentation: "AugmentationSettings | None" = None, seed: int = 0
) -> "CorpusRows":
    """The rows of the corpus of a run as a map-style dataset of torch, each a `students.data.drawn.DrawnRow`.

    `augmentation` None draws the regions that a row mentions, and nothing by lot; `split` None is the one to train on.
    Raises `SettingsError` for a corpus without images and for a split that is not there.
    """
    from builders.table import load, recipe_kind
    from cards.reading import read_corpus
    from ostensive.run.folder import existing_run
    from students.data.drawn import RegionAugmentation
    from students.data.mapped import corpus_rows as rows_of
    from students.data.settings import PLAIN

    folder = existing_run(user_path(run, "run folder"))
    kind = recipe_kind(load(str(folder.recipe_path)).recipe)
    transform = RegionAugmentation(kind, augmentation or PLAIN)
    return rows_of(read_corpus(folder), kind, split=split, transform=transform, seed=seed)


def corpus_stream(
    source: Path | str,
    *,
    recipe: str | None = None,
    split: str = "train",
    augmentation: "AugmentationSettings | None" = None,
    settings: "StreamSettings | None" = None,
) -> "CorpusStream":
    """A corpus streamed from its shards as an iterable dataset of torch, an image a time with one of its rows.

    `source` is the folder of a run or of a corpus, `https://...`, or `hf://datasets/OWNER/NAME[@REVISION]`; `recipe` is
    the name of what it was made by, which a run folder itself tells. `augmentation` is as in `corpus_rows`. Raises
    `SettingsError` as `students.data.shards.find_shards` does, and where `recipe` is not told.
    """
    from builders.table import load, recipe_kind
    from ostensive.run.folder import RunFolder
    from students.data.drawn import RegionAugmentation
    from students.data.settings import PLAIN
    from students.data.shards import find_shards
    from students.data.stream import CorpusStream, StreamSettings

    if recipe is None:
        folder = None if "://" in str(source) else RunFolder(user_path(source, "corpus"))
        if folder is None or not folder.recipe_path.is_file():
            raise SettingsError(
                f"recipe: {source} does not say by which its rows were made; name it, such as localized"
            )
        recipe = load(str(folder.recipe_path)).recipe
    kind = recipe_kind(recipe)
    transform = RegionAugmentation(kind, augmentation or PLAIN)
    return CorpusStream(
        find_shards(source, split=split), kind, transform=transform, settings=settings or StreamSettings()
    )


def train_student(
    run: Path | str,
    base: str,
    out: Path | str,
    *,
    settings: Sequence[str] = (),
    stop: threading.Event | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> "TrainedStudent":
    """Trains the model `base` on the corpus of the run in `run`, in the folder `out`; `settings` are "a.b=c".

    Raises as `students.training.student.train_student` does, and `students.matching.training` for image-text students.
    """
    from builders.table import load, recipe_kind
    from cards.reading import read_corpus
    from ostensive.recipe import parse_assignments
    from ostensive.run.folder import RunFolder, existing_run
    from ostensive.settings import validate
    from students.matching.settings import IMAGE_TEXT, ImageTextSettings
    from students.training.needs import check_installed
    from students.training.settings import StudentSettings

    values = parse_assignments([f"base={base}", *settings])
    is_image_text = values.get("objective") == IMAGE_TEXT
    if not is_image_text:
        check_installed()
    folder = existing_run(user_path(run, "run folder"))
    kind = recipe_kind(load(str(folder.recipe_path)).recipe)
    if is_image_text:
        from students.matching.training import train_image_text_student

        matching = validate(ImageTextSettings, values, "student train")
        return train_image_text_student(
            read_corpus(folder), kind, matching, user_path(out, "out"), stop=stop, tell=tell
        )
    from students.training.other_rows import ReplayedCorpus
    from students.training.student import train_student as train

    wanted = validate(StudentSettings, values, "student train")
    replayed = None
    if wanted.replay is not None and (other := RunFolder(Path(wanted.replay.data))).recipe_path.is_file():
        replayed = ReplayedCorpus(read_corpus(other), recipe_kind(load(str(other.recipe_path)).recipe))
    out_path = user_path(out, "out")
    return train(read_corpus(folder), kind, wanted, out_path, replayed=replayed, stop=stop, tell=tell)


def doctor(
    recipe: str, *, options: BuildOptions = DEFAULT_OPTIONS, environment: Mapping[str, str] | None = None
) -> "Diagnosis":
    """What `recipe` needs, and what there is of it here; raises `SettingsError` for one that is not whole and valid.

    `environment` None is the process's.
    """
    from ostensive.models.doctor import doctor as look
    from ostensive.run.services import permits_of

    return look(resolve(recipe, options)[0], environment, permits_of(options))
