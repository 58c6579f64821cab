import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Self

import duckdb
import pyarrow.parquet as pq
import pytest
from drawing import write_scenes
from plain_services import plain_services

from builders.localized.records import Qar
from ostensive.errors import BudgetReached, Interrupted, NoImagesError, RunLockedError, SettingsError, StorageError
from ostensive.images.intake import Intake
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
from ostensive.records import ImageRecord, Probe, Record, Spend, Verbalization
from ostensive.run import partitions
from ostensive.run.engine import LocalEngine
from ostensive.run.folder import RunFolder
from ostensive.run.planning import Plan, plan_partitions
from ostensive.run.reporting import Silence
from ostensive.run.services import Services
from ostensive.run.summary import StageSummary
from ostensive.run.worker import batches
from ostensive.stage import AnyStage, Dropped, Evidence, Failed, Kept, Outcome, Stage

Process = Callable[[Sequence[Any], Evidence], list[Outcome[Any]]]


class TestStage(Stage[Any, Any]):
    """A stage whose work is a function of the test."""

    __test__ = False

    def __init__(
        self,
        name: str,
        record_in: Any,
        record_out: Any,
        work: Process,
        *,
        setting: int = 0,
        partitions_at_once: int = 1,
        images_at_once: int | None = None,
    ) -> None:
        self.name, self.record_in, self.record_out = name, record_in, record_out
        self.work, self.setting = work, setting
        self.partitions_at_once, self.images_at_once = partitions_at_once, images_at_once
        self.entered = self.left = 0
        self.seen: list[str] = []

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"setting": self.setting}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        self.entered += 1
        try:
            yield self
        finally:
            self.left += 1

    def process(self, rows: Sequence[Record], evidence: Evidence) -> list[Outcome[Any]]:
        self.seen += [row.record_id for row in rows]
        return self.work(rows, evidence)


def say_size(rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Any]]:
    assert all(evidence[row.image_id].verbalization is None for row in rows)
    return [Kept((Verbalization(r.image_id, (f"{r.width} x {r.height}",), (), (), (Probe("a", "b"),)),)) for r in rows]


def ask_twice(rows: Sequence[Verbalization], evidence: Evidence) -> list[Outcome[Any]]:
    """Two questions an image, one of them lost; every image is known with its verbalization."""
    outcomes: list[Outcome[Any]] = []
    for row in rows:
        assert evidence[row.image_id].verbalization == row
        kept = Qar(f"{row.image_id[:8]}-0", row.image_id, "ids", row.concepts[0], "a", "r", (), "t", "p", "k")
        lost: Dropped[Qar] = Dropped("missing answer", "nothing there", replace(kept, row_id=f"{row.image_id[:8]}-1"))
        outcomes.append(Kept((kept,), (lost,), Spend(1, 10, 5, 0.25)))
    return outcomes


def verbalize(**changes: Any) -> TestStage:
    return TestStage("verbalized", ImageRecord, Verbalization, changes.pop("work", say_size), **changes)


def ask(**changes: Any) -> TestStage:
    return TestStage("candidates", Verbalization, Qar, changes.pop("work", ask_twice), **changes)


def carry_out(
    run: RunFolder, images: Path, stages: Sequence[AnyStage], *, size: int = 3, stop: threading.Event | None = None
) -> None:
    settings = IntakeSettings()
    previous = {
        info.index: partitions.read_column(path, "input_id", kept_only=False)
        for path in run.partition_paths("images")
        for info in [partitions.read_info(path)]
    }
    plan = plan_partitions(list_items(images, settings), previous, size)
    with run.locked():
        run.write_state(stages=["images", "distinct", *(stage.name for stage in stages)])
        engine = LocalEngine(run, stages, services=plain_services(stop), reporter=Silence())
        engine.run(Plan(plan), Intake(settings, 2))


def files_of(run: RunFolder) -> dict[str, bytes]:
    return {p.relative_to(run.path).as_posix(): p.read_bytes() for p in sorted(run.path.rglob("*.parquet"))}


def query(sql: str) -> list[Any]:
    with duckdb.connect() as connection:  # the module's own is shared with every other test
        return connection.execute(sql).fetchall()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_scenes(tmp_path / "images", 8)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_every_row_of_every_stage_is_accounted_for(run: RunFolder, images: Path) -> None:
    (images / "broken.jpg").write_bytes(b"")
    (images / "twice.jpg").write_bytes((images / "scene 0000.jpg").read_bytes())
    carry_out(run, images, [verbalize(), ask()])
    assert run.summary("images") == StageSummary("images", 10, 9, {}, {"empty file": 1})
    assert run.summary("distinct") == StageSummary("distinct", 9, 8, {"exact duplicate": 1})
    assert run.summary("verbalized") == StageSummary("verbalized", 8, 8)
    found = run.summary("candidates")
    assert found == StageSummary("candidates", 8, 8, {"missing answer": 8}, {}, Spend(8, 80, 40, 2.0))
    assert found.rows == 16


def test_any_stage_opens_without_this_project(run: RunFolder, images: Path) -> None:
    carry_out(run, images, [verbalize(), ask()])
    counted = query(
        f"select outcome, outcome_reason, count(*), sum(usd) from '{run.path}/candidates/*.parquet'"
        " group by all order by all"
    )
    assert counted == [("dropped", "missing answer", 8, 0.0), ("kept", None, 8, 2.0)]
    kept_text = query(f"select distinct question from '{run.path}/candidates/*.parquet' where outcome = 'dropped'")
    assert kept_text == [("96 x 72",)], "a dropped row keeps what it was"


def test_running_again_does_nothing_and_acquires_nothing(run: RunFolder, images: Path) -> None:
    carry_out(run, images, [verbalize(), ask()])
    before = files_of(run)
    again = [verbalize(), ask()]
    carry_out(run, images, again)
    assert files_of(run) == before
    assert [(stage.entered, stage.seen) for stage in again] == [(0, []), (0, [])]


def test_a_stage_is_entered_once_and_left_once(run: RunFolder, images: Path) -> None:
    stages = [verbalize(partitions_at_once=3), ask()]
    carry_out(run, images, stages, size=1)
    assert [(stage.entered, stage.left) for stage in stages] == [(1, 1), (1, 1)]


def test_stages_are_entered_one_at_a_time(run: RunFolder, images: Path) -> None:
    """Large libraries import in circles: two threads in the middle of it may each find half a library."""
    under_way: list[str] = []
    together: list[list[str]] = []

    class Loading(TestStage):
        @contextmanager
        def opened(self, services: Services) -> Iterator[Self]:
            under_way.append(self.name)
            together.append(list(under_way))
            time.sleep(0.1)
            under_way.remove(self.name)
            yield self

    first = Loading("verbalized", ImageRecord, Verbalization, say_size)
    second = Loading("candidates", Verbalization, Qar, ask_twice)
    third = Loading("unique", Qar, Qar, lambda rows, evidence: [Kept((row,)) for row in rows])
    carry_out(run, images, [first, second, third])
    assert sorted(together) == [["candidates"], ["unique"], ["verbalized"]]


def test_a_stop_is_not_kept_waiting_by_stages_that_are_still_to_be_entered(run: RunFolder, images: Path) -> None:
    stop, entered = threading.Event(), list[str]()

    class Loading(TestStage):
        @contextmanager
        def opened(self, services: Services) -> Iterator[Self]:
            entered.append(self.name)
            time.sleep(0.2)  # the others wait meanwhile
            stop.set()
            yield self

    stages = [
        Loading("verbalized", ImageRecord, Verbalization, say_size),
        Loading("candidates", Verbalization, Qar, ask_twice),
        Loading("unique", Qar, Qar, lambda rows, evidence: [Kept((row,)) for row in rows]),
    ]
    with pytest.raises(Interrupted):
        carry_out(run, images, stages, stop=stop)
    assert len(entered) == 1


def test_a_stage_that_cannot_be_entered_stops_the_run_before_others_spend(run: RunFolder, images: Path) -> None:
    class Broken(TestStage):
        def opened(self, services: Services) -> NoReturn:
            raise SettingsError("there is no such model")

    def slowly(rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Any]]:
        time.sleep(0.3)
        return say_size(rows, evidence)

    spender = ask()
    broken = Broken("unique", Qar, Qar, lambda rows, evidence: [Kept((row,)) for row in rows])
    with pytest.raises(SettingsError, match="there is no such model"):
        carry_out(run, images, [verbalize(work=slowly), spender, broken])
    assert not spender.seen


def test_a_change_redoes_only_what_depends_on_it(run: RunFolder, images: Path) -> None:
    carry_out(run, images, [verbalize(), ask()])
    stages = [verbalize(), ask(setting=1)]
    carry_out(run, images, stages)
    assert not stages[0].seen
    assert len(stages[1].seen) == 8
    assert len(list((run.path / "candidates").iterdir())) == 3, "what the old setting made is gone"


def test_from_a_stage_on_nothing_before_it_is_looked_at(run: RunFolder, images: Path) -> None:
    carry_out(run, images, [verbalize(), ask()])
    before = files_of(run)
    for path in images.iterdir():
        path.unlink()

    def again(asking: TestStage) -> tuple[TestStage, TestStage]:
        stages = (verbalize(setting=9), asking)  # another identity, which nobody is to ask for
        with run.locked():
            engine = LocalEngine(run, stages, services=plain_services(), reporter=Silence())
            engine.run_from("candidates")
        return stages

    for stage in again(ask()):
        assert (stage.entered, stage.seen) == (0, []), "nothing depends on a change"
    assert files_of(run) == before
    untouched, changed = again(ask(setting=1))
    assert (untouched.entered, changed.entered, len(changed.seen)) == (0, 1, 8)
    after = files_of(run)
    assert {n: d for n, d in after.items() if "candidates" not in n} == {
        n: d for n, d in before.items() if "candidates" not in n
    }
    assert {n for n in after if "candidates" in n}.isdisjoint(before)
    assert len(after) == len(before)


def test_a_stage_whose_rows_come_out_the_same_redoes_nothing_after_it(run: RunFolder, images: Path) -> None:
    carry_out(run, images, [verbalize(), ask()])
    stages = [verbalize(setting=1), ask()]
    carry_out(run, images, stages)
    assert len(stages[0].seen) == 8
    assert not stages[1].seen


def test_touching_or_renaming_a_photograph_redoes_nothing_after_intake(run: RunFolder, images: Path) -> None:
    carry_out(run, images, [verbalize(), ask()])
    (images / "scene 0000.jpg").touch()
    stages = [verbalize(), ask()]
    carry_out(run, images, stages)
    assert [stage.seen for stage in stages] == [[], []]


def test_adding_an_image_does_one_image(run: RunFolder, images: Path) -> None:
    carry_out(run, images, [verbalize(), ask()])
    write_scenes(images, 1, first=100)
    (images / "scene 0100.jpg").rename(images / "a new first one.jpg")
    stages = [verbalize(), ask()]
    carry_out(run, images, stages)
    assert [len(stage.seen) for stage in stages] == [1, 1]
    assert run.summary("candidates").kept == 9


def test_removing_an_image_removes_its_rows(run: RunFolder, images: Path) -> None:
    carry_out(run, images, [verbalize(), ask()])
    (images / "scene 0004.jpg").unlink()
    stages = [verbalize(), ask()]
    carry_out(run, images, stages)
    assert len(stages[0].seen) == 2, "the rest of its partition"
    assert run.summary("candidates").kept == 7


def test_duplicates_are_found_across_partitions_and_when_resumed(run: RunFolder, images: Path) -> None:
    (images / "z.jpg").write_bytes((images / "scene 0000.jpg").read_bytes())
    carry_out(run, images, [verbalize()])
    assert run.summary("images").dropped == {}, "partitions are taken in without knowing of each other"
    assert run.summary("distinct").dropped == {"exact duplicate": 1}
    (images / "zz.jpg").write_bytes((images / "scene 0001.jpg").read_bytes())
    carry_out(run, images, [verbalize()])
    assert run.summary("distinct").dropped == {"exact duplicate": 2}
    assert run.summary("verbalized").kept == 8


def test_when_the_first_of_two_duplicates_goes_the_second_is_taken(run: RunFolder, images: Path) -> None:
    (images / "z.jpg").write_bytes((images / "scene 0000.jpg").read_bytes())
    carry_out(run, images, [verbalize()])
    (images / "scene 0000.jpg").unlink()
    carry_out(run, images, [verbalize()])
    assert run.summary("images") == StageSummary("images", 8, 8)
    assert run.summary("verbalized").kept == 8


def test_rows_do_not_depend_on_the_partition_size_or_the_batch(tmp_path: Path, images: Path) -> None:
    rows = []
    for size, at_once in ((1, None), (3, 2), (100, 5)):
        run = RunFolder(tmp_path / f"run-{size}")
        carry_out(run, images, [verbalize(images_at_once=at_once), ask(partitions_at_once=2)], size=size)
        rows.append([pq.read_table(path).to_pylist() for path in run.partition_paths("candidates")])
    flat = [[row for part in parts for row in part] for parts in rows]
    assert flat[0] == flat[1] == flat[2]


def test_a_failed_row_is_written_and_stops_nothing(run: RunFolder, images: Path) -> None:
    def fail_first(rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Any]]:
        first: Failed[Verbalization] = Failed("verbalizing failed", "bad \udcff name")
        return [first, *say_size(rows[1:], evidence)]

    carry_out(run, images, [verbalize(work=fail_first), ask()])
    assert run.summary("verbalized") == StageSummary("verbalized", 8, 5, {}, {"verbalizing failed": 3})
    assert run.summary("candidates").inputs == 5


def test_an_error_of_a_stage_stops_the_run_and_what_was_finished_stays(run: RunFolder, images: Path) -> None:
    def break_on_second(rows: Sequence[Verbalization], evidence: Evidence) -> list[Outcome[Any]]:
        if len(broken.seen) > 3:
            raise StorageError("cannot write there")
        return ask_twice(rows, evidence)

    broken = ask(work=break_on_second)
    with pytest.raises(StorageError, match="cannot write there"):
        carry_out(run, images, [verbalize(), broken])
    assert run.summary("candidates").inputs == 3
    assert broken.left == 1
    mended = ask()
    carry_out(run, images, [verbalize(), mended])
    assert len(mended.seen) == 5


def test_a_budget_stops_what_spends_and_lets_the_rest_finish(run: RunFolder, images: Path) -> None:
    def until_spent(rows: Sequence[Verbalization], evidence: Evidence) -> list[Outcome[Any]]:
        if len(spender.seen) > 3:
            raise BudgetReached("spent $1.00 of $1.00")
        return ask_twice(rows, evidence)

    def slowly(rows: Sequence[Qar], evidence: Evidence) -> list[Outcome[Any]]:
        time.sleep(0.2)
        return [Kept((row,)) for row in rows]

    spender, last = ask(work=until_spent), TestStage("unique", Qar, Qar, slowly)
    with pytest.raises(BudgetReached, match=r"spent \$1\.00 of \$1\.00"):
        carry_out(run, images, [verbalize(), spender, last])
    assert run.summary("unique").kept == 3, "what was paid for went on"


def test_a_stop_ends_the_run_between_batches(run: RunFolder, images: Path) -> None:
    stop = threading.Event()

    def stop_after_two(rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Any]]:
        if len(stage.seen) >= 2:
            stop.set()
        return say_size(rows, evidence)

    stage = verbalize(work=stop_after_two, images_at_once=1)
    with pytest.raises(Interrupted):
        carry_out(run, images, [stage, ask()], size=8, stop=stop)
    assert len(stage.seen) == 2
    assert run.summary("verbalized").rows == 0
    carry_out(run, images, [verbalize(), ask()], size=8)
    assert run.summary("candidates").kept == 8


def test_memory_is_bounded_by_the_queues(run: RunFolder, images: Path) -> None:
    ahead: list[int] = []

    def note_lead(rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Any]]:
        ahead.append(len(first.seen) - len(slow.seen))
        return say_size(rows, evidence)

    def dawdle(rows: Sequence[Verbalization], evidence: Evidence) -> list[Outcome[Any]]:
        time.sleep(0.05)
        return ask_twice(rows, evidence)

    first, slow = verbalize(work=note_lead), ask(work=dawdle)
    carry_out(run, images, [first, slow], size=1)
    assert max(ahead) <= 5, "two queued, one at work, one waiting to be queued, one beginning"


def test_stages_overlap(run: RunFolder, images: Path) -> None:
    at_work: set[str] = set()
    together: list[int] = []

    def busy(name: str, work: Process) -> Process:
        def process(rows: Sequence[Any], evidence: Evidence) -> list[Outcome[Any]]:
            at_work.add(name)
            time.sleep(0.05)
            together.append(len(at_work))
            at_work.discard(name)
            return work(rows, evidence)

        return process

    carry_out(run, images, [verbalize(work=busy("v", say_size)), ask(work=busy("c", ask_twice))], size=1)
    assert max(together) == 2


def test_a_second_process_is_refused_and_a_killed_holder_is_not_waited_for(run: RunFolder) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom ostensive.run.folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked():\n    print('held', flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunLockedError, match="another process is at work in this run; wait for it"), run.locked():
            pass
        holder.kill()
    with run.locked():
        pass


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(SettingsError, match=r"holds other files \(thesis\.tex, \.\.\.\); choose an empty folder"),
        RunFolder(tmp_path).locked(),
    ):
        pass


def test_a_file_that_is_no_partition_is_named(run: RunFolder, images: Path) -> None:
    carry_out(run, images, [verbalize()])
    path = run.partition_paths("verbalized")[0]
    path.write_bytes(b"not parquet")
    with pytest.raises(StorageError, match="is not a partition of this program; remove it and run the command again"):
        carry_out(run, images, [verbalize()])


def test_a_partition_is_there_whole_or_not_at_all(
    run: RunFolder, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out(run, images, [verbalize()])
    before = files_of(run)

    def half(_table: Any, file: Any, **_options: Any) -> None:
        file.write(b"PAR1")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", half)
        with pytest.raises(StorageError, match="the disk is full; make room and run the same command again"):
            carry_out(run, images, [verbalize(setting=1)])
    assert files_of(run) == before
    carry_out(run, images, [verbalize(setting=1)])
    assert run.summary("verbalized").kept == 8


def test_batches_keep_the_rows_of_an_image_together() -> None:
    rows = [Qar(f"{i}-{k}", f"{i}", "ids", "", "", "", (), "", "", "") for i in range(5) for k in range(i)]
    found = list(batches(rows, 2))
    assert [row for batch in found for row in batch] == rows
    assert [len({row.image_id for row in batch}) for batch in found] == [2, 2]
    assert list(batches(rows, None)) == [rows]
    assert list(batches([], 2)) == [] == list(batches([], None))


# ---- a run without images -------------------------------------------------------------------------------------------


def write_broken(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"broken {number:04d}.jpg").write_bytes(b"GIF no" if number % 3 else b"")
    return folder


def test_a_run_into_which_no_image_came_opens_no_stage_and_says_why(run: RunFolder, tmp_path: Path) -> None:
    images = write_broken(tmp_path / "images", 20)  # more partitions than the queues between stages hold
    stages = [verbalize(), ask()]
    for _again in range(2):
        with pytest.raises(NoImagesError) as caught:
            carry_out(run, images, stages)
        assert str(caught.value) == (
            "images: all 20 were refused (13 not an image, 7 empty file); look into one of them: pointers of Git LFS"
            " (`git lfs pull`) and error pages of servers are none; the rows of"
            f" {run.path}/images have the reason of each"
        )
    assert [(stage.entered, stage.seen) for stage in stages] == [(0, []), (0, [])]
    assert run.summary("images") == StageSummary("images", 20, 0, {}, {"empty file": 7, "not an image": 13})
    assert run.all_partitions("verbalized") == {}


@pytest.mark.parametrize("first", [0, 7, 19])
def test_partitions_without_images_do_not_hold_up_the_one_with_some(run: RunFolder, tmp_path: Path, first: int) -> None:
    images = write_broken(tmp_path / "images", 20)
    write_scenes(tmp_path / "scenes", 1)
    (tmp_path / "scenes" / "scene 0000.jpg").rename(images / f"broken {first:04d}.jpg")
    stages = [verbalize(partitions_at_once=2), ask()]
    carry_out(run, images, stages, size=1)
    assert run.summary("images").kept == run.summary("candidates").inputs == 1
    assert [len(run.partition_paths(name)) for name in ("images", "distinct", "verbalized", "candidates")] == [20] * 4
    assert [stage.entered for stage in stages] == [1, 1]


def test_stages_are_opened_when_the_first_image_is_there_and_before_all_are(run: RunFolder, tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 9)
    opened = threading.Event()

    class Slow(TestStage):
        @contextmanager
        def opened(self, services: Services) -> Iterator[Self]:
            opened.set()
            yield self

    class Waiting(Intake):
        def process(self, rows: Sequence[Any], evidence: Evidence) -> list[Outcome[ImageRecord]]:
            if rows[0].key != "scene 0000.jpg":
                assert opened.wait(20), "the second partition came in before a stage was opened"
            return super().process(rows, evidence)

    settings = IntakeSettings()
    plan = Plan(plan_partitions(list_items(images, settings), {}, 3))
    with run.locked():
        stages = [Slow("verbalized", ImageRecord, Verbalization, say_size)]
        LocalEngine(run, stages, services=plain_services(), reporter=Silence()).run(plan, Waiting(settings, 2))
    assert run.summary("verbalized").kept == 9


def test_a_run_that_is_stopped_before_any_image_came_is_interrupted(run: RunFolder, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    stage = verbalize()
    with pytest.raises(Interrupted):
        carry_out(run, write_broken(tmp_path / "images", 4), [stage], stop=stop)
    assert stage.entered == 0


def test_a_plan_without_any_item_says_so(run: RunFolder) -> None:
    with run.locked(), pytest.raises(NoImagesError, match=r"^images: there is none to take in; "):
        LocalEngine(run, [verbalize()], services=plain_services(), reporter=Silence()).run(
            Plan({}), Intake(IntakeSettings(), 1)
        )
