"""Loops carried out by functions that only note what they are asked for: phases, places, endings, stops, going on."""

import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ostensive.errors import EmptyCorpusError, Interrupted, OstensiveError, RunLockedError, SettingsError
from ostensive.files import temporary_name
from students.evaluation.results import ResultFile
from students.loop.folder import LoopFolder, is_loop
from students.loop.records import BuiltRound, LoopPlan, RoundPlace, RoundRecord, TrainedRound, ending_of
from students.loop.running import Carriers, run_loop
from students.loop.status import LoopStatus, loop_status
from students.training.checkpoints import remove_unusable
from students.training.image_check import BlindModelError, ImageCheck
from students.training.record import TrainedStudent

PLAN = LoopPlan(
    recipe="rationales",
    base="my/base",
    revision=None,
    commit=None,
    start="last",
    max_rounds=3,
    stop_below=0.05,
    keep_models=None,
    evaluated_on=None,
    made_from={"recipe or settings": "a", "base": "b", "images": "c"},
)
TRAINED = TrainedRound("sft", 10, 3, 2.0, 1.0)


def built(new: int, before: int) -> BuiltRound:
    return BuiltRound(new + before, 4, new, before, 2 * new, {"no reason": new}, 20, 0.5)


def with_plan(**changes: Any) -> LoopPlan:
    return PLAN.model_copy(update=changes)


@dataclass
class Notes:
    """Carriers that note each phase; every round adds as many rows as the first, unless `new` says something else."""

    new: dict[int, int] = field(default_factory=dict)
    errors: dict[tuple[str, int], OstensiveError] = field(default_factory=dict)
    stops_after: tuple[str, int] | None = None
    phases: list[tuple[str, int]] = field(default_factory=list)
    places: list[RoundPlace] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)
    rows: int = 0

    def build(self, place: RoundPlace, loop_id: str) -> BuiltRound:
        self.ids.add(loop_id)
        self._phase("build", place)
        new = self.new.get(place.number, 20)
        self.rows += new
        return built(new, self.rows - new)

    def train(self, place: RoundPlace) -> TrainedStudent:
        self._phase("train", place)
        (place.student / "model").mkdir(parents=True)
        return TrainedStudent(
            "my/base", "", "rationales", "", "sft", 10, {}, 3, 2.0, 1.0, ImageCheck(1.0, 2.0), 0.1, ""
        )

    def evaluate(self, model: str, out: Path) -> None:
        """Half of two items are right; the round of the base is noted as -1."""
        number = -1 if out.parent.name == "base" else int(out.parent.name)
        assert model == (PLAN.base if number < 0 else str(out.parent / "student"))
        self._note("evaluate", number)
        file, figure = ResultFile(out), {"name": "accuracy", "value": 0.5, "interval_95": [0.1, 0.9]}
        assert file.begin(model, 1) == (None, 1), "what is done is not asked for again"
        file.finish([{"id": "1"}], {"made_from": model, "figures": [figure]})

    def _phase(self, what: str, place: RoundPlace) -> None:
        self._note(what, place.number)
        self.places.append(place)

    def _note(self, what: str, number: int) -> None:
        if (error := self.errors.pop((what, number), None)) is not None:
            raise error
        self.phases.append((what, number))
        if self.stops_after == (what, number):
            self.stop.set()

    def run(self, folder: Path, plan: LoopPlan = PLAN) -> LoopStatus:
        carriers = Carriers(self.build, self.train, self.evaluate)
        return run_loop(LoopFolder(folder), plan, carriers, asked={"images": "x"}, stop=self.stop)


def phases_of(rounds: int) -> list[tuple[str, int]]:
    return [(what, number) for number in range(rounds) for what in ("build", "train")]


# ---- when it ends ----------------------------------------------------------------------------------------------------


def records(*rounds: tuple[int, int]) -> list[RoundRecord]:
    return [RoundRecord(place, None, "t", "b", built(*one), TRAINED) for place, one in enumerate(rounds)]


@pytest.mark.parametrize(
    ("rounds", "ending"),
    [
        ([], None),
        ([(20, 0)], None),
        ([(20, 0), (1, 20)], None),
        ([(3385, 0), (156, 3385)], "round 1 grew by 4.6%, which is below rounds.stop_below=0.05"),
        ([(20, 0), (0, 20)], "round 1 added no row to the 20 from before"),
        ([(20, 0), (5, 20), (5, 25)], "3 rounds were asked for"),
    ],
)
def test_endings(rounds: list[tuple[int, int]], ending: str | None) -> None:
    assert ending_of(PLAN, records(*rounds)) == ending


def test_a_round_is_trained_on_before_the_stop_rule_ends_the_loop_but_not_where_it_added_nothing() -> None:
    *before, last = records((3385, 0), (156, 3385))
    assert ending_of(PLAN, [*before, replace(last, trained=None)]) is None
    *before, last = records((20, 0), (0, 20))
    assert ending_of(PLAN, [*before, replace(last, trained=None)]) is not None
    assert ending_of(PLAN, [*before, replace(last, built=None, trained=None)]) is None
    assert ending_of(with_plan(max_rounds=1), records((20, 0))) == "1 round was asked for"
    assert ending_of(with_plan(max_rounds=None, stop_below=0.0), records((3385, 0), (1, 3385))) is None


def test_what_fits() -> None:
    assert built(4, 2).fitting == 0.5
    assert BuiltRound(0, 0, 0, 0, 0, {}, 0, None).fitting is None


# ---- phases ----------------------------------------------------------------------------------------------------------


def test_each_student_teaches_the_next_round_and_is_trained_further(tmp_path: Path) -> None:
    notes, loop = Notes(), tmp_path / "loop"
    found = notes.run(loop)
    assert notes.phases == phases_of(3)
    models = ["my/base", *(str(loop / "rounds" / str(number) / "student" / "model") for number in range(2))]
    assert [place.teacher for place in notes.places] == [model for model in models for _ in range(2)]
    assert [place.base for place in notes.places] == [place.teacher for place in notes.places]
    assert [place.parent for place in notes.places[::2]] == [
        None,
        loop / "rounds" / "0" / "run",
        loop / "rounds" / "1" / "run",
    ]
    assert len(notes.ids) == 1, "limits are of the loop as a whole"
    assert (found.outcome, found.ending) == ("done", "3 rounds were asked for")
    assert found.message == found.ending
    assert found.at is None
    assert found.model == loop / "rounds" / "2" / "student" / "model"
    assert [(one.parent, one.teacher) for one in found.rounds] == [
        (None, "my/base"),
        ("../0", "../0/student/model"),
        ("../1", "../1/student/model"),
    ]
    again = Notes()
    assert again.run(loop) == found
    assert again.phases == [], "nothing is left to do"


def test_from_the_base_each_training_begins_anew(tmp_path: Path) -> None:
    notes = Notes()
    notes.run(tmp_path / "loop", with_plan(start="base", max_rounds=2))
    assert [place.base for place in notes.places] == ["my/base"] * 4
    assert notes.places[2].teacher == str(tmp_path / "loop" / "rounds" / "0" / "student" / "model")


def test_a_round_that_adds_nothing_is_not_trained_on(tmp_path: Path) -> None:
    notes = Notes(new={1: 0})
    found = notes.run(tmp_path / "loop")
    assert notes.phases == [("build", 0), ("train", 0), ("build", 1)]
    assert found.message == "round 1 added no row to the 20 from before"
    assert found.model == tmp_path / "loop" / "rounds" / "0" / "student" / "model"


@pytest.mark.parametrize("phase", phases_of(3)[:-1])
def test_it_goes_on_where_it_was_stopped(tmp_path: Path, phase: tuple[str, int]) -> None:
    straight, first = Notes(), Notes(stops_after=phase)
    straight.run(tmp_path / "straight")
    with pytest.raises(Interrupted):
        first.run(tmp_path / "loop")
    assert first.phases[-1] == phase
    stopped = loop_status(tmp_path / "loop")
    next_phase = phases_of(3)[len(first.phases)]
    assert (stopped.outcome, stopped.at) == ("Interrupted", (next_phase[1], next_phase[0]))
    second = Notes(rows=first.rows)
    found = second.run(tmp_path / "loop")
    assert first.phases + second.phases == straight.phases
    assert second.ids <= first.ids
    without_time = [replace(one, build_seconds=0, train_seconds=0) for one in found.rounds]
    assert without_time == [
        replace(one, build_seconds=0, train_seconds=0) for one in loop_status(tmp_path / "straight").rounds
    ]


@pytest.mark.parametrize(
    ("phase", "error"),
    [
        (("train", 1), BlindModelError("the model does not see: ...")),
        (("build", 1), EmptyCorpusError("the corpus is empty: ...")),
    ],
)
def test_what_goes_wrong_is_told_with_the_round_and_tried_again(
    tmp_path: Path, phase: tuple[str, int], error: OstensiveError
) -> None:
    notes = Notes(errors={phase: error})
    with pytest.raises(type(error), match=f"^round 1: {error}$"):
        notes.run(tmp_path / "loop")
    found = loop_status(tmp_path / "loop")
    assert (found.outcome, found.message) == (type(error).__name__, f"round 1: {error}")
    assert found.at == (1, phase[0])
    notes.run(tmp_path / "loop")
    assert notes.phases == phases_of(3)


def test_more_rounds_or_another_stop_rule_may_be_asked_for_later(tmp_path: Path) -> None:
    notes = Notes(new={2: 1})
    notes.run(tmp_path / "loop", with_plan(max_rounds=1))
    assert notes.phases == phases_of(1)
    found = notes.run(tmp_path / "loop", with_plan(max_rounds=None))
    assert notes.phases == phases_of(3)
    assert found.ending == "round 2 grew by 2.5%, which is below rounds.stop_below=0.05"
    notes.run(tmp_path / "loop", with_plan(max_rounds=4, stop_below=0.0))
    assert notes.phases == phases_of(4)


def test_only_the_models_of_the_last_rounds_are_kept(tmp_path: Path) -> None:
    def models() -> list[str]:
        return sorted(path.parent.parent.name for path in (tmp_path / "loop").glob("rounds/*/student/model"))

    notes = Notes()
    with pytest.raises(Interrupted):
        replace(notes, stops_after=("train", 1)).run(tmp_path / "loop", with_plan(keep_models=1))
    assert models() == ["1"], "the next round is taught by it"
    notes.stop.clear()
    notes.run(tmp_path / "loop")
    assert models() == ["1", "2"]
    notes.run(tmp_path / "loop", with_plan(keep_models=1))
    assert models() == ["2"], "also where nothing else is left to do"


def test_a_loop_may_be_moved(tmp_path: Path) -> None:
    first = Notes(stops_after=("train", 0))
    with pytest.raises(Interrupted):
        first.run(tmp_path / "loop")
    moved = (tmp_path / "loop").rename(tmp_path / "moved")
    second = Notes(rows=first.rows)
    second.run(moved)
    assert second.phases == phases_of(3)[2:]
    assert second.places[0].teacher == str(moved / "rounds" / "0" / "student" / "model")


# ---- evaluation ------------------------------------------------------------------------------------------------------

TASK = "task or settings of evaluation"
EVALUATED = with_plan(evaluated_on="choices", max_rounds=2, made_from={**PLAN.made_from, TASK: "t"})
EVALUATED_PHASES = [
    ("evaluate", -1),
    *((what, number) for number in range(2) for what in ("build", "train", "evaluate")),
]


def test_the_base_is_evaluated_first_and_each_student_after_its_round(tmp_path: Path) -> None:
    notes = Notes()
    found = notes.run(tmp_path / "loop", EVALUATED)
    assert notes.phases == EVALUATED_PHASES
    assert {number: figures[0]["value"] for number, figures in found.figures.items()} == {None: 0.5, 0: 0.5, 1: 0.5}
    assert found.ending == "2 rounds were asked for"
    assert (tmp_path / "loop" / "rounds" / "1" / "results.jsonl").is_file()
    unasked = Notes().run(tmp_path / "unasked", with_plan(max_rounds=1))
    assert (unasked.figures, unasked.to_evaluate) == ({}, ())


@pytest.mark.parametrize("phase", EVALUATED_PHASES[:-1])
def test_a_loop_with_evaluations_goes_on_where_it_was_stopped(tmp_path: Path, phase: tuple[str, int]) -> None:
    first = Notes(stops_after=phase)
    with pytest.raises(Interrupted):
        first.run(tmp_path / "loop", EVALUATED)
    stopped = loop_status(tmp_path / "loop")
    what, number = EVALUATED_PHASES[len(first.phases)]
    assert (stopped.outcome, stopped.ending, stopped.at) == ("Interrupted", None, (number, what))
    second = Notes(rows=first.rows)
    second.run(tmp_path / "loop", EVALUATED)
    assert first.phases + second.phases == EVALUATED_PHASES


def test_an_evaluation_that_fails_is_told_with_its_round_and_done_again(tmp_path: Path) -> None:
    notes = Notes(errors={("evaluate", -1): OstensiveError("no"), ("evaluate", 1): OstensiveError("out of memory")})
    for whose, at in (("base: no", None), ("round 1: out of memory", 1)):
        with pytest.raises(OstensiveError, match=f"^{whose}$"):
            notes.run(tmp_path / "loop", EVALUATED)
        assert loop_status(tmp_path / "loop").at == (at, "evaluate")
    notes.run(tmp_path / "loop", EVALUATED)
    assert notes.phases == EVALUATED_PHASES


def test_a_benchmark_may_be_added_later_but_not_changed(tmp_path: Path) -> None:
    notes, loop = Notes(), tmp_path / "loop"
    notes.run(loop, with_plan(max_rounds=2, keep_models=1))
    found = notes.run(loop, EVALUATED)
    assert notes.phases == [*phases_of(2), ("evaluate", -1), ("evaluate", 1)], "the model of round 0 is gone"
    assert set(found.figures) == {None, 1}
    without = notes.run(loop, with_plan(max_rounds=3))
    assert notes.phases[-1] == ("train", 2)
    assert without.figures == found.figures
    other = EVALUATED.model_copy(update={"made_from": {**PLAN.made_from, TASK: "other"}})
    with pytest.raises(SettingsError, match=f": a loop of other {TASK} was begun here; name another folder, or ask"):
        notes.run(loop, other)


# ---- the folder ------------------------------------------------------------------------------------------------------


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    Notes().run(tmp_path / "loop")
    return tmp_path / "loop"


def test_the_folder_of_another_loop_is_refused_in_one_line(begun: Path) -> None:
    notes = Notes()
    for made_from, other in (
        ({**PLAN.made_from, "base": "x"}, "base"),
        ({**PLAN.made_from, "base": "x", "images": "x"}, "base and images"),
    ):
        with pytest.raises(SettingsError) as caught:
            notes.run(begun, with_plan(made_from=made_from))
        assert str(caught.value) == (
            f"--out {begun}: a loop of other {other} was begun here; name another folder, or ask for the same"
        )
    assert notes.phases == []
    assert loop_status(begun).outcome == "done", "what was there is untouched"


def test_a_folder_of_something_else_is_no_place_for_a_loop(tmp_path: Path, begun: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(SettingsError, match=r"mine holds other files \(notes.txt, ...\); choose an empty folder$"):
        Notes().run(tmp_path / "mine")
    assert not is_loop(tmp_path / "mine")
    with pytest.raises(
        SettingsError, match="there is no loop here; give the folder that was --out of `ostensive loop`"
    ):
        loop_status(tmp_path / "mine")
    text = (begun / "loop.yaml").read_text("utf-8")
    (begun / "loop.yaml").write_text(text.replace("version: '1'", "version: '2'"), "utf-8")
    with pytest.raises(SettingsError, match=r"loop.yaml: is of another version; name another folder$"):
        loop_status(begun)
    (begun / "loop.yaml").write_text(text.replace("start: last", "start: first"), "utf-8")
    with pytest.raises(SettingsError, match=r"loop.yaml: start: "):
        loop_status(begun)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = LoopFolder(tmp_path / "loop")
    with (
        folder.locked(),
        pytest.raises(RunLockedError, match="another process is at work in this loop; wait for it or stop it"),
    ):
        Notes().run(folder.path)


def test_what_a_kill_left_half_written_is_removed(begun: Path) -> None:
    student = begun / "rounds" / "1" / "student"
    places = [begun / "loop.json", student.parent / "round.json", student / "student.json"]
    left = [place.with_name(temporary_name(place.name)) for place in places]
    for path in left:
        path.write_text("{")
    (begun / "loop.json").write_text('{"outco')
    found = Notes().run(begun)
    assert not [path for path in left if path.exists()]
    assert found.outcome == "done"


def test_checkpoints_from_which_no_training_goes_on_are_removed(tmp_path: Path) -> None:
    states = {
        "checkpoint-1": '{"global_step": 1, "max_steps": 4}',
        "checkpoint-2": '{"global_',
        "checkpoint-3": None,
        "checkpoint-4": '{"global_step": 4, "max_steps": 4}',
    }
    for name, state in states.items():
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / "optimizer.pt").write_bytes(b"x")
        if state is not None:
            (tmp_path / "checkpoints" / name / "trainer_state.json").write_text(state)
    remove_unusable(tmp_path)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == states.keys(), "a folder of somebody else"
    (tmp_path / "made_from.json").write_text("{}")
    remove_unusable(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["checkpoint-1"]


def test_what_was_asked_is_written_down(begun: Path) -> None:
    text = (begun / "loop.yaml").read_text("utf-8")
    assert "images: x\n" in text
    assert "base: my/base\n" in text
    assert json.loads((begun / "rounds" / "0" / "round.json").read_text("utf-8"))["built"]["new"] == 20
