"""The functions of the Python interface: each hands one room what it takes of the others."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ostensive.errors import SettingsError
from ostensive.run.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.user_paths import shown_path, user_path

if TYPE_CHECKING:
    from builders.rounds import Growth
    from cards.reading import Corpus
    from ostensive.models.doctor import Diagnosis
    from ostensive.recipe import Recipe
    from ostensive.recipe_kind import ListedConcepts, RecipeKind, View
    from ostensive.run.estimate import Estimate
    from ostensive.run.rehearsal import Rehearsal
    from ostensive.run.reporting import Reporter
    from students.exporting import Exported, ShownRegions
    from students.training.student import TrainedStudent


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
    from ostensive.run.build import Build
    from ostensive.run.reporting import SILENCE

    options, images, out = _with_paths(options), user_path(images, "images"), user_path(out, "out")
    if options.parent == out:
        raise SettingsError(f"--parent {shown_path(out)}: is --out itself; every round has a folder of its own")
    resolved, kind = _resolved(recipe, options)
    return Build(resolved, kind, publish, options, reporter or SILENCE, stop).from_images(images, out)


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
    """What the recipe of the run in `out` has to say of it, a line each; raises `SettingsError` where there is none."""
    from builders.table import load, recipe_kind
    from ostensive.run.folder import existing_run

    run = existing_run(out)
    return list(recipe_kind(load(str(run.recipe_path)).recipe).run_notes(run.path))


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
    from ostensive.run.build import Build, finished_run
    from ostensive.run.reporting import SILENCE

    recipe = change(load(str(finished_run(out).recipe_path)))
    kind = recipe_kind(recipe.recipe)
    return Build(recipe, kind, publish, options, reporter or SILENCE, stop).from_stage(out, start)


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

    folder, kind = user_path(out, "out"), recipe_kind(recipe)
    prepared = demo_of(kind, folder)
    chosen = _with_paths(options)
    chosen = replace(
        chosen,
        stand_ins=(*prepared.settings, *options.stand_ins),
        annotations=chosen.annotations or prepared.annotations,
    )
    _resolved(recipe, chosen)  # says what is set wrong before anything is copied
    copy_photographs(prepared.photographs)
    copy_files(kind, folder)
    return build(recipe, images=prepared.photographs, out=folder / "run", options=chosen, reporter=reporter, stop=stop)


def preview(recipe: str, *, images: Path | str, options: BuildOptions = DEFAULT_OPTIONS) -> "Rehearsal":
    """Takes the first image that can be read through a rehearsal of `recipe`; nothing is sent, spent or written.

    Raises `SettingsError` for a recipe, images or annotations that are not right, and `NoImagesError`.
    """
    from ostensive.run.preview import preview as rehearse_first
    from ostensive.run.sources import find_sources

    options, images = _with_paths(options), user_path(images, "images")
    resolved, kind = _resolved(recipe, options)
    return rehearse_first(resolved, kind, find_sources(resolved, kind, images, options))


def estimate(recipe: str, *, images: Path | str, options: BuildOptions = DEFAULT_OPTIONS) -> "Estimate":
    """What a build would ask and cost, from a few images; raises as `ostensive.run.estimate.estimate` does."""
    from ostensive.run.estimate import estimate as estimate_sources
    from ostensive.run.sources import find_sources

    options, images = _with_paths(options), user_path(images, "images")
    resolved, kind = _resolved(recipe, options)
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
    from ostensive.run.services import ServiceSettings, open_services, thread_count
    from ostensive.run.sources import find_sources

    options, images, out = _with_paths(options), user_path(images, "images"), user_path(out, "out")
    resolved, kind = _resolved(recipe, options)
    if kind.list_concepts is None:
        raise SettingsError(
            f"{kind.name} reads no list of concepts; a recipe that does is expected, such as explanations"
        )
    labels = find_sources(resolved, kind, images, options).labels
    if not labels:
        raise SettingsError(f"{shown_path(images)}: no image has a label; name a file of them with --annotations")
    settings = ServiceSettings(
        intake=resolved.intake,
        threads=thread_count(resolved.run),
        journal=options.journal or out.with_name(f"{out.name}.journal.sqlite"),
        run_id=str(out),
        max_cost_usd=options.max_cost_usd,
        max_requests=options.max_requests,
        prices=options.prices,
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
    from ostensive.run.folder import existing_run
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
    from students.training.student import train_student as train

    wanted = validate(StudentSettings, values, "student train")
    return train(read_corpus(folder), kind, wanted, user_path(out, "out"), stop=stop, tell=tell)


def doctor(
    recipe: str, *, options: BuildOptions = DEFAULT_OPTIONS, environment: Mapping[str, str] | None = None
) -> "Diagnosis":
    """What `recipe` needs, and what there is of it here; raises `SettingsError` for one that is not whole and valid.

    `environment` None is the process's.
    """
    from ostensive.models.doctor import doctor as look

    return look(_resolved(recipe, options)[0], environment)


def _resolved(recipe: str, options: BuildOptions) -> "tuple[Recipe, RecipeKind]":
    from builders.rounds import settings_after
    from builders.table import load, recipe_kind

    def loaded(*more: str) -> "Recipe":
        stand_ins = (*options.stand_ins, *more)
        return load(str(recipe), profile=options.profile, assignments=options.settings, stand_ins=stand_ins)

    resolved = loaded()
    if options.parent is not None:
        resolved = loaded(*settings_after(options.parent, resolved.recipe))
    return resolved, recipe_kind(resolved.recipe)


def _with_paths(options: BuildOptions) -> BuildOptions:
    """`options` with absolute paths; raises `SettingsError` for what is no path."""

    def path(given: Path | None, what: str) -> Path | None:
        return None if given is None else user_path(given, what)

    return replace(
        options,
        parent=path(options.parent, "parent"),
        annotations=path(options.annotations, "annotations"),
        journal=path(options.journal, "journal"),
        prices=path(options.prices, "prices"),
    )
