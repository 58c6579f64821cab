"""Partitions carried out by several processes at a time: the files are those of the local engine, byte for byte."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from drawing import write_scenes
from noted_run import Finished, publish

from builders.localized.recipe import KIND
from builders.table import load
from ostensive.images.intake import FirstMet, Intake, distinct_stage
from ostensive.images.sources import list_items
from ostensive.recipe import Recipe
from ostensive.records import ImageRecord
from ostensive.run import partitions
from ostensive.run.build import Build
from ostensive.run.folder import RunFolder
from ostensive.run.planning import plan_partitions
from ostensive.run.services import ServiceSettings
from ostensive.run.worker import PartitionTask, carry_out
from ostensive.stage import AnyStage, Evidence, FunctionStage, Kept, Outcome

SETTINGS = (
    "corpus.license=cc0-1.0",
    "corpus.source=drawn by a test",
    "corpus.intended_use=to test",
    "run.partition_size=2",
    "localized.turns=1",
)
WORKERS = 2


def first_stages(recipe: Any) -> Sequence[AnyStage]:
    """Those that put images into words and ask the teacher; the others would load a model of sentences."""
    return KIND.make_stages(recipe)[:2]


SHORT = replace(KIND, make_stages=first_stages)


@dataclass(frozen=True)
class Built:
    """A run by the local engine."""

    run: RunFolder
    images: Path
    recipe: Recipe

    def files(self) -> dict[str, bytes]:
        return files_of(self.run)

    def tasks(self, run: RunFolder) -> list[PartitionTask]:
        """Its tasks of intake, for another run."""
        plan = plan_partitions(list_items(self.images, self.recipe.intake), {}, self.recipe.run.partition_size)
        return [PartitionTask(run.path, index, len(items), sources=items) for index, items in sorted(plan.items())]

    def services(self, run: RunFolder) -> ServiceSettings:
        run_id = self.run.read_state()["run_id"]
        return ServiceSettings(intake=self.recipe.intake, threads=1, journal=run.journal_path, run_id=run_id)


def files_of(run: RunFolder) -> dict[str, bytes]:
    return {path.relative_to(run.path).as_posix(): path.read_bytes() for path in run.path.glob("*/part-*")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    images = write_scenes(folder / "images", 7)
    (images / "z.jpg").write_bytes((images / "scene 0001.jpg").read_bytes())
    recipe = load("localized", assignments=SETTINGS)
    build: Build[Finished] = Build(recipe, SHORT, publish)
    build.from_images(images, folder / "run")
    return Built(RunFolder(folder / "run"), images, recipe)


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def with_distinct(tasks: Sequence[PartitionTask], services: ServiceSettings) -> list[PartitionTask]:
    """The tasks after the stage that needs them in order."""
    met, done = FirstMet(), []
    for task in tasks:
        taken = task.done[0]
        path = RunFolder(task.run).partition_path(taken.stage, taken.index, taken.fingerprint)
        repeated = met.repeated(partitions.read_column(path, "image_id", kept_only=True))
        done.append(task.after(carry_out(distinct_stage(repeated), task, services)))
    return done


@pytest.mark.slow
def test_several_processes_in_one_run_folder_make_the_files_of_the_local_engine(
    built: Built, run: RunFolder, pool: Executor
) -> None:
    services, tasks = built.services(run), built.tasks(run)

    def all_at_once(stage: Any) -> list[PartitionTask]:
        infos = list(pool.map(partial(carry_out, stage, services=services), tasks))
        return [task.after(info) for task, info in zip(tasks, infos, strict=True)]

    tasks = with_distinct(all_at_once(Intake(built.recipe.intake, 1)), services)
    for stage in first_stages(built.recipe):
        tasks = all_at_once(stage)
    assert len(tasks) == 4
    assert files_of(run) == built.files()
    assert len(run.read_log()) == len(files_of(run)), "a line for each partition, none of them torn"


@pytest.mark.parametrize("order", [(3, 1, 0, 2), (2, 3, 1, 0)])
def test_intake_does_not_depend_on_the_order_of_partitions(built: Built, run: RunFolder, order: Sequence[int]) -> None:
    services = built.services(run)
    tasks = built.tasks(run)
    infos = {index: carry_out(Intake(built.recipe.intake, 2), tasks[index], services) for index in order}
    taken = [task.after(infos[task.index]) for task in tasks]
    made = {name: data for name, data in built.files().items() if name.startswith("images/")}
    assert files_of(run) == made

    def kept(tasks: Sequence[PartitionTask]) -> dict[int, int]:
        return {one.index: one.done[-1].summary.kept for one in with_distinct(tasks, services)}

    assert kept(taken) == {0: 2, 1: 2, 2: 2, 3: 1}
    assert kept(taken[::-1]) == {0: 1, 1: 2, 2: 2, 3: 2}, "which copy is kept is all that order decides"


ROWS = 3_000  # of an image, so that writing them takes a while


def many(prefix: str, rows: Sequence[ImageRecord], _evidence: Evidence) -> list[Outcome[ImageRecord]]:
    return [Kept(tuple(replace(row, source=f"{prefix} {number}") for number in range(ROWS))) for row in rows]


def test_processes_on_the_same_partition_leave_one_whole_file(built: Built, run: RunFolder, pool: Executor) -> None:
    services, (task, *_) = built.services(run), built.tasks(run)
    task = task.after(carry_out(Intake(built.recipe.intake, 1), task, services))
    for prefix in "abcdef":
        stage = FunctionStage(
            "many", partial(many, prefix), record_in=ImageRecord, record_out=ImageRecord, identity={"prefix": prefix}
        )
        infos = list(pool.map(carry_out, *([one] * 2 * WORKERS for one in (stage, task, services))))
        assert len({info.digest for info in infos}) == 1
        path = run.partition_path("many", 0, infos[0].fingerprint)
        assert len(partitions.read_kept(path, ImageRecord)) == 2 * ROWS
    assert not list(run.path.rglob(".partial-*"))
