"""`ostensive build`: carry out a recipe in a run folder, from wherever an earlier command left it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ostensive
from cards.assembling import AnyStage, Materials, assemble
from cards.reading import Corpus
from ostensive.chat.access import open_chat
from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.preflight import check_key
from ostensive.chat.prices import load_prices
from ostensive.errors import BudgetReached, OstensiveError, SettingsError, TooManyFailedError
from ostensive.files import storage_errors, write_text
from ostensive.images.intake import Intake
from ostensive.images.loader import ImageLoader
from ostensive.images.refusals import OTHER_WORLD
from ostensive.images.sources import SourceItem, list_items
from ostensive.models.pinning import pin_models
from ostensive.models.pool import GeneratorPool
from ostensive.recipe import IntakeSettings, Recipe
from ostensive.recipe_files import dump, recipe_hash
from ostensive.run import partitions
from ostensive.run.engine import LocalEngine
from ostensive.run.folder import RunFolder
from ostensive.run.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.run.planning import plan_partitions
from ostensive.run.reporting import Reporter, Silence
from ostensive.run.services import Services, thread_count
from ostensive.run.summary import StageSummary
from ostensive.stage import Dropped

if TYPE_CHECKING:
    from builders.table import RecipeKind

_LOOKED_AT = 8  # images, before a run for the microworld begins


def build(
    recipe: str,
    *,
    images: Path | str,
    out: Path | str,
    options: BuildOptions = DEFAULT_OPTIONS,
    reporter: Reporter | None = None,
    stop: threading.Event | None = None,
) -> Corpus:
    """Builds the corpus that `recipe` (a built-in name or a YAML file) describes from `images`, in the folder `out`.

    Running again does only what is missing. Raises `SettingsError` before any work for anything that is set wrong,
    `BudgetReached` and `Interrupted` when asked to stop, `StorageError` when the disk refuses, `AccessRefusedError`
    when the teacher's server does; in all these cases the same call continues. Raises `TooManyFailedError` after the
    corpus is written, when a stage failed with more of its rows than `run.max_failed_share`.
    """
    from builders.table import load, recipe_kind

    resolved = load(recipe, profile=options.profile, assignments=options.settings)
    items = list_items(Path(images), resolved.intake)[: options.limit]
    check_world(items, resolved.intake)
    run = RunFolder(Path(out))
    with run.locked():
        resolved, pins = pin_models(resolved, run.read_state().get("pins", {}))
        run.write_state(pins=pins)
        build_ = _Build(run, resolved, options, reporter or Silence(), stop or threading.Event())
        plan = build_.plan(items)
        return build_.carry_out(recipe_kind(resolved.recipe), plan)


def rebuild(
    out: Path | str,
    *,
    change: Callable[[Recipe], Recipe],
    start: str,
    options: BuildOptions = DEFAULT_OPTIONS,
    reporter: Reporter | None = None,
    stop: threading.Event | None = None,
) -> Corpus:
    """Does the stage `start` and what comes after it again in the finished run `out`, by its own recipe after `change`.

    What the stages before left on disk is taken as it is: no image is taken in and no teacher is asked. Where nothing
    depends on the change, nothing is done again. Raises `SettingsError` where there is no finished run, and otherwise
    as `build` does.
    """
    from builders.table import load, recipe_kind

    run = finished_run(out)
    with run.locked():
        recipe = change(load(str(run.recipe_path)))
        build_ = _Build(run, recipe, options, reporter or Silence(), stop or threading.Event())
        return build_.carry_out(recipe_kind(recipe.recipe), start)


def finished_run(out: Path | str) -> RunFolder:
    """The run in `out`; raises `SettingsError` when there is none, or one that was stopped before its end."""
    run = RunFolder(Path(out))
    state = run.read_state()
    if not state:
        raise SettingsError(f"{out}: there is no run here; give the folder that was --out of `ostensive build`")
    if state.get("outcome") not in _FINISHED:
        raise SettingsError(
            f"{out}: this run is not finished ({state.get('outcome')}), and its partitions may be of two recipes; let"
            " `ostensive build` finish it first"
        )
    return run


_FINISHED = ("done", TooManyFailedError.__name__)


@dataclass(frozen=True, slots=True)
class _Build:
    run: RunFolder
    recipe: Recipe
    options: BuildOptions
    reporter: Reporter
    stop: threading.Event

    def plan(self, items: Sequence[SourceItem]) -> dict[int, tuple[SourceItem, ...]]:
        """Source items by partition; refuses a `--limit` that would throw finished work away."""
        previous = {
            info.index: partitions.read_column(path, "input_id", kept_only=False)
            for path in self.run.partition_paths("images")
            for info in [partitions.read_info(path)]
        }
        held = sum(len(keys) for keys in previous.values())
        if self.options.limit is not None and held > len(items) == self.options.limit:
            raise SettingsError(
                f"--limit {self.options.limit}: {self.run.path} holds {held} images already and would lose the others; "
                "leave the limit out, or choose another --out"
            )
        return plan_partitions(items, previous, self.recipe.run.partition_size)

    def carry_out(self, kind: "RecipeKind", work: "Work") -> Corpus:
        """Does the work, then writes the corpus from all that is whole."""
        write_text(self.run.recipe_path, dump(self.recipe))
        self.run.write_state(version=ostensive.__version__, recipe=self.recipe.recipe, outcome="unfinished", message="")
        begins = {"from": work} if isinstance(work, str) else {"images": _item_count(work)}
        self.run.log("start", {**begins, "recipe_hash": recipe_hash(self.recipe)})
        try:
            corpus = self._stages_and_corpus(kind, work)
            check_failures(corpus.stages, self.recipe.run.max_failed_share)
        except OstensiveError as error:
            self._remember(error)
            raise
        self.run.write_state(outcome="done", message="")
        self.run.log("done", {"rows": corpus.row_count})
        return corpus

    def _remember(self, error: OstensiveError) -> None:
        # The disk may be what is wrong, and the error at hand says more than a second one would.
        try:
            self.run.write_state(outcome=type(error).__name__, message=str(error))
            self.run.log("stopped", {"why": type(error).__name__, "message": str(error)})
        except OstensiveError:
            return

    def _stages_and_corpus(self, kind: "RecipeKind", work: "Work") -> Corpus:
        loader = ImageLoader(self.recipe.intake)
        threads = thread_count(self.recipe.run)
        prices = load_prices(self.options.prices)
        run_id = self.run.read_state()["run_id"]
        with Journal(self.options.journal or self.run.journal_path, run_id) as journal:
            budget = Budget(
                max_usd=self.options.max_cost_usd,
                max_requests=self.options.max_requests,
                spent=journal.totals(run_id),
            )
            generators = GeneratorPool()
            services = Services(
                images=loader,
                open_chat=lambda settings, script: open_chat(
                    settings,
                    journal=journal,
                    budget=budget,
                    stop=self.stop,
                    script=script,
                    prices=prices,
                    generators=generators,
                ),
                generators=generators,
                threads=threads,
                stop=self.stop,
            )
            stages = kind.make_stages(self.recipe, services)
            names = ["images", *(stage.name for stage in stages)]
            if self.options.retry_failed:
                self._forget_failed(names)
            self._prepare(stages, services, work)
            engine = LocalEngine(
                self.run, Intake(self.recipe.intake, threads), stages, reporter=self.reporter, stop=self.stop
            )
            try:
                if isinstance(work, str):
                    engine.run_from(work)
                else:
                    engine.run(work)
            except BudgetReached:
                # What has been paid for is worth a corpus.
                assemble(self.run, self.recipe, stages, Materials(loader, threads, threading.Event()))
                raise
            return assemble(self.run, self.recipe, stages, Materials(loader, threads, self.stop))

    def _prepare(self, stages: Sequence[AnyStage], services: Services, work: "Work") -> None:
        """Finds out what is wrong before hours of work, and says in the run's state what there is to do."""
        names = ["images", *(stage.name for stage in stages)]
        first = names.index(work) - 1 if isinstance(work, str) else 0
        for stage in stages[first:]:
            _ = stage.identity  # says what is wrong with a model's files
        self.run.write_state(stages=names)
        if not isinstance(work, str):
            self._check_access(services, names, len(work))
            self.run.write_state(images=_item_count(work), partitions=len(work))

    def _check_access(self, services: Services, stages: Sequence[str], partitions_: int) -> None:
        """Finds out what is wrong with a key or an address before hours of other work, if there is work at all."""
        for settings in (self.recipe.teacher, *self.recipe.endpoints):
            services.open_chat(settings, lambda _messages, _seed: "")  # not entered, so that nothing is sent
        if any(len(self.run.partition_paths(name)) < partitions_ for name in stages):
            for endpoint in self.recipe.endpoints:
                check_key(endpoint)

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
    found = Intake(settings, threads=1).process(first, set())
    refused = [outcome for outcome in found if isinstance(outcome, Dropped) and outcome.reason == OTHER_WORLD]
    if first and len(refused) == len(first):
        raise SettingsError(
            f"images: none of the first {len(first)} is of the microworld, and the models of this recipe know nothing"
            " else; make some with `ostensive microworld render FOLDER`, choose another --profile, or take any images"
            " with --set intake.world=any"
        )


Work = Mapping[int, Sequence[SourceItem]] | str
"""What a build does: source items by partition, or the stage from which finished partitions are done again."""


def _item_count(plan: Mapping[int, Sequence[SourceItem]]) -> int:
    return sum(len(items) for items in plan.values())


def check_failures(stages: Sequence[StageSummary], max_failed_share: float) -> None:
    """Raises `TooManyFailedError` for the first stage of whose rows more than `max_failed_share` (0-1) failed."""
    for stage in stages:
        failed = sum(stage.failed.values())
        if failed > max_failed_share * stage.rows:
            reason, count = max(stage.failed.items(), key=lambda item: item[1])
            raise TooManyFailedError(
                f"{stage.name}: {failed} of {stage.rows} rows failed, {count} of them with {reason!r}; the corpus holds"
                " what is left; mend the cause and run the same command with --retry-failed, or allow more with"
                " --set run.max_failed_share=1"
            )
