"""Carrying out a recipe in a run folder, from wherever an earlier command left it.

What becomes of the finished stages is `publish`'s business, which whoever calls hands in.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar  # Any: JSON values

from ostensive.errors import BudgetReached, EmptyCorpusError, OstensiveError, SettingsError, TooManyFailedError
from ostensive.files import storage_errors, write_text
from ostensive.images.intake import IMAGES, Intake
from ostensive.images.items import SourceItem
from ostensive.images.paths import openable_path
from ostensive.images.refusals import OTHER_WORLD
from ostensive.images.settings import IntakeSettings
from ostensive.models.pinning import pin_models
from ostensive.own_folders import check_apart, check_none_inside
from ostensive.recipe import Recipe, dump, recipe_hash
from ostensive.recipe_kind import RecipeKind
from ostensive.run import partitions
from ostensive.run.endings import check_emptied, check_failures
from ostensive.run.engine import LocalEngine
from ostensive.run.folder import RunFolder, existing_run
from ostensive.run.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.run.pipeline import stages_of
from ostensive.run.planning import INTAKE_RECORDS, Plan, has_given_splits, plan_partitions
from ostensive.run.preflight import check_before_work
from ostensive.run.processes import this_process
from ostensive.run.reporting import SILENCE, Reporter
from ostensive.run.services import Services, ServiceSettings, open_services, permits_of, thread_count
from ostensive.run.sources import Sources, find_sources
from ostensive.run.splits import SPLITS
from ostensive.run.stage_sources import stage_sources
from ostensive.run.summary import StageSummary
from ostensive.stage import AnyStage, Dropped
from ostensive.user_paths import user_path
from ostensive.version import VERSION

_LOOKED_AT = 8  # images, before a run for the microworld begins
_FINISHED = ("done", TooManyFailedError.__name__, EmptyCorpusError.__name__)

Work = Plan | str
"""What a build does: what is taken in, or the stage from which finished partitions are done again."""


class Published(Protocol):
    """What the caller made of the finished stages, as far as a build looks at it."""

    @property
    def stages(self) -> tuple[StageSummary, ...]: ...

    @property
    def row_count(self) -> int: ...


PublishedT = TypeVar("PublishedT", bound=Published)


@dataclass(frozen=True, slots=True)
class FinishedStages:
    """What there is to publish: whole partitions of every stage in the run folder."""

    run: RunFolder
    recipe: Recipe
    kind: RecipeKind
    intake_stages: tuple[str, ...]
    stages: tuple[AnyStage, ...]  # after intake, in order
    services: Services
    stop: threading.Event  # set where publishing is to stop
    # Those that were carried out to their end just now. Others may hold partitions that the last one was not made from.
    carried_out: tuple[str, ...] = ()


Publish = Callable[[FinishedStages], PublishedT]
Notes = Callable[[RunFolder, Recipe], Sequence[str]]
"""What has to be said of a run whose stages are done, a line each, by what the house knows beyond recipes."""


def no_notes(_run: RunFolder, _recipe: Recipe) -> Sequence[str]:
    """Nothing is said."""
    return ()


class _Planned(NamedTuple):
    recipe: Recipe  # with the commits of its models
    pins: Mapping[str, str]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Build(Generic[PublishedT]):
    """One carrying out of a recipe."""

    recipe: Recipe
    kind: RecipeKind
    publish: Publish[PublishedT]
    options: BuildOptions = DEFAULT_OPTIONS
    reporter: Reporter = SILENCE
    stop: threading.Event | None = None
    notes: Notes = no_notes

    def from_images(self, images: Path | str, out: Path | str) -> PublishedT:
        """Carries the recipe out from `images` in the folder `out`; running again does only what is missing.

        Raises `SettingsError` before any work for anything that is set wrong, `NoImagesError` before any model is
        loaded where no image can be taken in, `BudgetReached` and `Interrupted` when asked to stop, `StorageError` when
        the disk refuses, `AccessRefusedError` when the teacher's server does; in all these cases the same call
        continues. Raises `TooManyFailedError` after publishing, when a stage failed with more of its rows than
        `run.max_failed_share`, and `EmptyCorpusError` when no row is left.
        """
        run = RunFolder(user_path(out, "out"))
        run.check_place()
        source = user_path(images, "images")
        check_apart(source, run.path)
        given = find_sources(self.recipe, self.kind, images, self.options)
        if not source.is_dir():  # in a folder no link is followed out of it
            check_none_inside({openable_path(item.location.path) for item in given.items}, run.path)
        check_world(given.items, self.recipe.intake)
        recipe, _, plan = self._planned(run, given)
        check_before_work(run, recipe, self.kind, plan, self.options)
        with run.locked():
            recipe, pins, plan = self._planned(run, given)  # anew, now that nobody else is at work in the folder
            run.write_state(pins=pins)
            return self._started(run, recipe).carry_out(plan)

    def _planned(self, run: RunFolder, given: Sources) -> "_Planned":
        recipe, pins = pin_models(self.recipe, run.read_state().get("pins", {}))
        return _Planned(recipe, pins, Plan(self._partitions(run, recipe, given.items), given.annotations))

    def from_stage(self, out: Path | str, start: str) -> PublishedT:
        """Does the stage `start` and what comes after it again in the finished run `out`.

        What the stages before left on disk is taken as it is: no image is taken in and no teacher is asked. Raises
        `SettingsError` where there is no finished run, and otherwise as `from_images` does.
        """
        run = finished_run(out)
        with run.locked():
            return self._started(run, self.recipe).carry_out(start)

    def _started(self, run: RunFolder, recipe: Recipe) -> "_Started[PublishedT]":
        return _Started(run, recipe, self, self.stop or threading.Event())

    def _partitions(
        self, run: RunFolder, recipe: Recipe, items: Sequence[SourceItem]
    ) -> dict[int, tuple[SourceItem, ...]]:
        """Source items by partition; refuses a `--limit` that would throw finished work away."""
        previous = {
            info.index: partitions.read_column(path, "input_id", kept_only=False)
            for path in run.partition_paths(IMAGES)
            for info in [partitions.read_info(path)]
        }
        held, limit = sum(len(keys) for keys in previous.values()), self.options.limit
        if limit is not None and held > len(items) == limit:
            raise SettingsError(
                f"--limit {limit}: {run.path} holds {held} images already and would lose the others; leave the limit"
                " out, or choose another --out"
            )
        return plan_partitions(items, previous, recipe.run.partition_size)


def finished_run(out: Path | str) -> RunFolder:
    """The run in `out`; raises `SettingsError` when there is none, or one that was stopped before its end."""
    run = existing_run(out)
    outcome = run.read_state().get("outcome")
    if outcome not in _FINISHED:
        raise SettingsError(
            f"{out}: this run is not finished ({outcome}), and its partitions may be of two recipes; let"
            " `ostensive build` finish it first"
        )
    return run


@dataclass(frozen=True, slots=True)
class _Started(Generic[PublishedT]):
    """A build in a run folder that is locked."""

    run: RunFolder
    recipe: Recipe
    asked: Build[PublishedT]
    stop: threading.Event

    def carry_out(self, work: Work) -> PublishedT:
        """Does the work, then publishes all that is whole."""
        write_text(self.run.recipe_path, dump(self.recipe))
        self.run.write_state(
            version=VERSION,
            recipe=self.recipe.recipe,
            outcome="unfinished",
            message="",
            notes=[],
            **self._for_lookers_on(),
        )
        begins = {"from": work} if isinstance(work, str) else {"images": work.item_count}
        self.run.log("start", {**begins, "recipe_hash": recipe_hash(self.recipe)})
        try:
            published = self._stages_and_publishing(work)
            notes = list(self.asked.notes(self.run, self.recipe))
            self.run.write_state(notes=notes)
            check_failures(self.run, published.stages, self.recipe.run.max_failed_share)
            check_emptied(self.run, published.stages, published.row_count, notes)
        except OstensiveError as error:
            self._remember(error)
            raise
        except BaseException as error:
            # Of an error that nobody expected the words are not kept: they may hold anything.
            with contextlib.suppress(OstensiveError):
                self.run.write_state(outcome=type(error).__name__, message="", process=None)
            raise
        self.run.write_state(outcome="done", message="", process=None)
        self.run.log("done", {"rows": published.row_count})
        return published

    def _for_lookers_on(self) -> dict[str, Any]:
        """Who is at work and within which limits, for `ostensive status --watch`."""
        options = self.asked.options
        return {
            "process": this_process(),
            "limits": {"max_cost_usd": options.max_cost_usd, "max_requests": options.max_requests},
            "journal": None if options.journal is None else str(options.journal),  # None is the run's own
            "account": options.account,  # None is the run's id
        }

    def _remember(self, error: OstensiveError) -> None:
        # The disk may be what is wrong, and the error at hand says more than a second one would.
        try:
            self.run.write_state(outcome=type(error).__name__, message=str(error), process=None)
            self.run.log("stopped", {"why": type(error).__name__, "message": str(error)})
        except OstensiveError:
            return

    def _stages_and_publishing(self, work: Work) -> PublishedT:
        options = self.asked.options
        settings = ServiceSettings(
            intake=self.recipe.intake,
            threads=thread_count(self.recipe.run),
            journal=options.journal or self.run.journal_path,
            run_id=options.account or self.run.read_state()["run_id"],
            max_cost_usd=options.max_cost_usd,
            max_requests=options.max_requests,
            prices=options.prices,
            permits=permits_of(options),
        )
        before = intake_stages_of(self.run, work)
        stages = stages_of(self.recipe, self.asked.kind, with_splits=self._has_given_splits(work))
        with open_services(settings, self.stop) as services:
            if options.retry_failed:
                self._forget_failed([*before, *(stage.name for stage in stages)])
            self._prepare(before, stages, work)
            engine = LocalEngine(self.run, stages, services=services, reporter=self.asked.reporter)
            try:
                if isinstance(work, str):
                    engine.run_from(work)
                else:
                    engine.run(work, Intake(self.recipe.intake, settings.threads))
            except BudgetReached:
                self._publish(before, stages, services, threading.Event())  # what has been paid for is worth a corpus
                raise
            names = self.run.stage_names()
            done = tuple(names[names.index(work) :] if isinstance(work, str) else names)
            return self._publish(before, stages, services, self.stop, done)

    def _publish(
        self,
        before: tuple[str, ...],
        stages: tuple[AnyStage, ...],
        services: Services,
        stop: threading.Event,
        carried_out: tuple[str, ...] = (),
    ) -> PublishedT:
        return self.asked.publish(
            FinishedStages(self.run, self.recipe, self.asked.kind, before, stages, services, stop, carried_out)
        )

    def _has_given_splits(self, work: Work) -> bool:
        """Whether splits came in beside the images; where nothing is taken in, whether the run has splits."""
        if isinstance(work, str):
            return SPLITS in self.run.stage_names()
        return has_given_splits(work.annotations)

    def _prepare(self, before: Sequence[str], stages: Sequence[AnyStage], work: Work) -> None:
        """Finds out what is wrong with models before hours of work, and says in the run's state what there is to do."""
        names = [stage.name for stage in stages]
        first = names.index(work) if isinstance(work, str) else 0
        for stage in stages[first:]:
            _ = stage.identity  # says what is wrong with a model's files
        names = [*before, *names]
        self.run.write_state(stages=names, sources=stage_sources(before, stages))
        if not isinstance(work, str):
            self.run.write_state(images=work.item_count, partitions=len(work.items))

    def _forget_failed(self, stages: Sequence[str]) -> None:
        for name in stages:
            for path in self.run.partition_paths(name):
                if partitions.read_info(path).summary.failed:
                    with storage_errors(path):
                        path.unlink()


def check_world(items: Sequence[SourceItem], settings: IntakeSettings) -> None:
    """Raises `SettingsError` where the recipe is for the microworld alone and none of the first images is of it."""
    if settings.world == "any":
        return
    first = items[:_LOOKED_AT]
    found = Intake(settings, threads=1).process(first, {})
    refused = [outcome for outcome in found if isinstance(outcome, Dropped) and outcome.reason == OTHER_WORLD]
    if first and len(refused) == len(first):
        raise SettingsError(
            f"images: none of the first {len(first)} is of the microworld, and the models of this recipe know nothing"
            " else; make some with `ostensive microworld render FOLDER`, choose another --profile, or take any images"
            " with --set intake.world=any"
        )


def intake_stages_of(run: RunFolder, work: Work) -> tuple[str, ...]:
    """The stages before those of the recipe: of what is taken in, or as the run has them."""
    if not isinstance(work, str):
        return work.intake_stages
    return tuple(name for name in run.stage_names() if name in INTAKE_RECORDS)
