"""`ostensive.loop`: rounds of building and training, carried out by the functions of the same names."""

import gc
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final  # Any: YAML values

from ostensive.commands import api
from ostensive.commands.loop_evaluation import LoopTask
from ostensive.commands.resolving import resolve, with_paths
from ostensive.errors import SettingsError
from ostensive.run.options import BuildOptions
from ostensive.user_paths import shown_path, user_path

if TYPE_CHECKING:
    from builders.rounds import RoundsRecipe
    from ostensive.recipe_kind import RecipeKind, View
    from ostensive.run.reporting import Reporter
    from students.loop.folder import LoopFolder
    from students.loop.records import BuiltRound, LoopOptions, LoopPlan, RoundPlace
    from students.loop.status import LoopStatus
    from students.training.record import TrainedStudent
    from students.training.settings import StudentSettings

_SET_BY_THE_LOOP: Final = ("kind", "model", "revision", "name")  # of the teacher
_OF_EACH_ROUND: Final = ("objective", "revision")  # settings of a training that are given to each as they are for it


def loop(
    recipe: str,
    *,
    images: Path | str,
    base: str,
    out: Path | str,
    options: "LoopOptions | None" = None,
    reporter: "Reporter | None" = None,
    stop: threading.Event | None = None,
) -> "LoopStatus":
    """Builds and trains in rounds in the folder `out`: the model `base` teaches first, then each round's student.

    Running again goes on where it was stopped, and does nothing at the end. Raises `SettingsError` before any work for
    a recipe without rounds, for settings or a benchmark that are wrong and for a folder of another loop; otherwise as
    `students.loop.running.run_loop` does.
    """
    from builders.rounds import RoundsRecipe
    from ostensive.own_folders import check_apart
    from ostensive.run.reporting import SILENCE
    from students.loop.folder import LoopFolder
    from students.loop.records import LoopOptions
    from students.loop.running import Carriers, run_loop
    from students.training.needs import check_installed

    check_installed()
    folder = LoopFolder(user_path(out, "out"))
    folder.check_place()
    check_apart(user_path(images, "images"), folder.path)
    given = options or LoopOptions()
    given = replace(given, build=_build_options(given, folder))
    commit = _commit(folder, base, given)
    first = replace(given.build, stand_ins=teacher_settings(base, commit))
    found, kind = resolve(recipe, first)
    if not isinstance(found, RoundsRecipe):
        raise SettingsError(f"{kind.name} has no rounds; a recipe that has is expected, such as rationales")
    training = _training(base, given, kind)
    task = None if given.evaluation is None else LoopTask.checked(given.evaluation, base, commit)
    asked = _Asked(recipe, found, kind, user_path(images, "images"), base, commit, given, training, task)
    shown, stop = reporter or SILENCE, stop or threading.Event()
    work = _Work(asked, shown, stop)
    carriers = Carriers(work.build, work.train, work.evaluate)
    return run_loop(folder, asked.plan(), carriers, asked=asked.values(), stop=stop, tell=shown.note)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked, resolved."""

    recipe: str
    found: "RoundsRecipe"  # of the first round
    kind: "RecipeKind"
    images: Path
    base: str
    commit: str | None  # of a base on the Hub
    options: "LoopOptions"
    training: "StudentSettings"
    task: LoopTask | None

    def plan(self) -> "LoopPlan":
        """The loop as its folder notes it."""
        from ostensive.fingerprint import fingerprint
        from ostensive.models.digests import files_digest
        from ostensive.models.files import model_version
        from ostensive.run.sources import find_sources
        from students.loop.records import LoopPlan

        options, teacher = self.options.build, self.found.teacher.identity()
        identity = {name: value for name, value in self.found.identity().items() if name not in ("rounds", "teacher")}
        taught = {name: value for name, value in teacher.items() if name not in _SET_BY_THE_LOOP}
        learning = self.training.identity()
        trained = {name: value for name, value in learning.items() if name not in ("base", "revision")}
        listed = find_sources(self.found, self.kind, self.images, options).items
        made_from = {
            "recipe or settings": fingerprint([identity, taught]),
            "base": model_version(self.base, self.commit),
            "images": fingerprint([item.key for item in listed]),
            "annotations": "none" if options.annotations is None else files_digest([options.annotations]),
            "settings of training": fingerprint([self.options.start, trained]),
        }
        if self.task is not None:
            made_from["task or settings of evaluation"] = self.task.digest
        return LoopPlan(
            recipe=self.kind.name,
            base=self.base,
            revision=self.training.revision,
            commit=self.commit,
            start=self.options.start,
            max_rounds=self.options.rounds or self.found.rounds.max_rounds,
            stop_below=self.found.rounds.stop_below,
            keep_models=self.options.keep_models,
            evaluated_on=None if self.task is None else self.task.task_format,
            made_from={what: digest[:23] for what, digest in made_from.items()},
        )

    def values(self) -> dict[str, Any]:
        """What a person wants to read of it: paths, and every setting of the recipe and of the trainings."""
        options = self.options.build
        return {
            "images": str(self.images),
            "annotations": None if options.annotations is None else str(options.annotations),
            "limit": options.limit,
            "evaluation": None if self.task is None else self.task.values(),
            "training": self.training.model_dump(mode="json", exclude={"base", "revision"}),
            "settings": self.found.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True)
class _Work:
    """How a round is carried out."""

    asked: _Asked
    reporter: "Reporter"
    stop: threading.Event

    def build(self, place: "RoundPlace", loop_id: str) -> "BuiltRound":
        """The build of a round, in the name of the loop, so that limits are its own."""
        from builders.rounds import judged_of
        from ostensive.records import NO_SPEND
        from ostensive.run.summary import add_counts
        from students.loop.records import BuiltRound

        commit = self.asked.commit if place.teacher == self.asked.base else None
        options = replace(
            self.asked.options.build,
            parent=place.parent,
            account=loop_id,
            stand_ins=teacher_settings(place.teacher, commit, place.teacher_name),
        )
        corpus = api.build(
            self.asked.recipe,
            images=self.asked.images,
            out=place.run,
            options=options,
            reporter=self.reporter,
            stop=self.stop,
        )
        grown = api.growth(place.run)
        assert grown is not None, "the recipe has rounds"
        lost: dict[str, int] = {}
        for stage in corpus.stages:
            lost = add_counts(add_counts(lost, stage.dropped), stage.failed)
        spend = sum((stage.spend for stage in corpus.stages), NO_SPEND)
        return BuiltRound(
            rows=corpus.row_count,
            images=corpus.image_count,
            new=grown.new,
            before=grown.before,
            judged=judged_of(corpus.run, place.number),
            lost=lost,
            requests=spend.requests,
            usd=spend.usd,
        )

    def train(self, place: "RoundPlace") -> "TrainedStudent":
        """The training of a round."""
        commit = self.asked.commit if place.base == self.asked.base else None
        given = [one for one in self.asked.options.train if one.partition("=")[0].strip() not in _OF_EACH_ROUND]
        own = [f"objective={self.asked.training.objective}", *([f"revision={commit}"] if commit else [])]
        try:
            return api.train_student(
                place.run, place.base, place.student, settings=(*given, *own), stop=self.stop, tell=self.reporter.note
            )
        finally:
            gc.collect()  # a trainer holds its model in a ring of references, and the next build needs the memory

    def evaluate(self, model: str, out: Path) -> None:
        """The evaluation of a model on the benchmark of the loop."""
        assert self.asked.task is not None, "it was asked for"
        commit = self.asked.commit if model == self.asked.base else None
        self.asked.task.evaluate(model, commit, out, stop=self.stop, tell=self.reporter.note)


def teacher_settings(model: str, commit: str | None, name: str | None = None) -> tuple[str, ...]:
    """The assignments by which a model of this machine teaches; `name` is what its rows call it."""
    optional = {"revision": commit, "name": None if name is None else json.dumps(name)}
    more = (f"teacher.{key}={value}" for key, value in optional.items() if value is not None)
    return ("teacher.kind=self", f"teacher.model={model}", *more)


def _training(base: str, options: "LoopOptions", kind: "RecipeKind") -> "StudentSettings":
    """The settings of the trainings; the objective is what the rows of the recipe are for, unless it is set."""
    from ostensive.recipe import parse_assignments
    from ostensive.settings import validate
    from students.training.settings import StudentSettings

    needed: Mapping[str, View] = {"sft": "prompt-completion", "dpo": "preference"}
    fitting = [objective for objective, view in needed.items() if view in kind.views]
    own = {"objective": fitting[0]} if fitting else {}
    given = parse_assignments([f"base={base}", *options.train])
    training = validate(StudentSettings, {**own, **given}, "--train-set")
    if training.objective in needed and training.objective not in fitting:
        raise SettingsError(
            f"--train-set objective={training.objective}: a corpus of {kind.name} cannot be trained on by it;"
            f" {' or '.join(fitting) or 'a recipe with rows for training'} is expected"
        )
    return training


def _build_options(options: "LoopOptions", folder: "LoopFolder") -> BuildOptions:
    """The options of every build, with the journal of all; raises `SettingsError` for what the loop itself sets."""
    from ostensive.recipe import parse_assignments

    for name, number in (("--rounds", options.rounds), ("--keep-models", options.keep_models)):
        if number is not None and number < 1:
            raise SettingsError(f"{name} {number}: 1 or more is expected")
    build = with_paths(options.build)
    if build.parent is not None:
        raise SettingsError(f"--parent {shown_path(build.parent)}: a loop begins with a round of its own; leave it out")
    values = parse_assignments(build.settings)
    taken = [f"teacher.{name}" for name in _SET_BY_THE_LOOP if name in _section(values, "teacher")]
    taken += [f"rounds.{name}" for name in ("parent", "number") if name in _section(values, "rounds")]
    if taken:
        raise SettingsError(
            f"--set {taken[0]}: a loop sets it itself: --base teaches the first round, and each student the next one"
        )
    return replace(build, journal=build.journal or folder.journal_path)


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = values.get(name)
    return section if isinstance(section, Mapping) else {}


def _commit(folder: "LoopFolder", base: str, options: "LoopOptions") -> str | None:
    """The commit of a base on the Hub: that with which the loop began, else the one of today."""
    from ostensive.models.files import pinned_commit
    from ostensive.recipe import parse_assignments

    revision = parse_assignments(options.train).get("revision")
    before = folder.read_plan()
    if before is not None and (before.base, before.revision) == (base, revision):
        return before.commit
    return pinned_commit(base, None if revision is None else str(revision))
