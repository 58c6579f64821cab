"""`ostensive loop` with tiny models that see, teach and are trained: rounds, stops, limits, kills, what it tells."""

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any  # Any: JSON values

import loop_folder
import pytest
from hardship import call, tree
from loop_folder import BASE, TRAINING, Asked
from tiny_models import one_thread  # noqa: F401 - a fixture

import ostensive
from builders.rounds import judged_of
from ostensive.errors import Interrupted, SettingsError
from ostensive.intervals import wilson
from ostensive.models.files import model_version
from ostensive.run.folder import RunFolder
from ostensive.run.reporting import Silence
from ostensive.yaml_text import read_yaml
from students.training.logs import FILE, LOG

pytestmark = pytest.mark.usefixtures("one_thread")
REQUESTS_A_ROUND = 24  # two about each of three questions about each of four scenes
ENOUGH_FOR_A_ROUND_AND_A_HALF = 36


def answers(journal: Path) -> dict[str, tuple[str, str, Mapping[str, Any]]]:
    """What the journal holds: when each was answered, in whose name, and the request, by its key."""
    with closing(sqlite3.connect(journal)) as connection:
        found = connection.execute("SELECT key, answered_at, run_id, request FROM answers").fetchall()
        assert not connection.execute("SELECT 1 FROM spoiled").fetchall()
    return {key: (answered_at, run_id, json.loads(request)) for key, answered_at, run_id, request in found}


class Stopping(Silence):
    """A reporter that asks to stop as soon as it is told a line that begins so, the number of times that is given."""

    def __init__(self, line: str, time_of: int, stop: Any) -> None:
        self.told: list[str] = []
        self._line, self._time, self._stop = line, time_of, stop

    def note(self, text: str) -> None:
        self.told.append(text)
        if sum(one.startswith(self._line) for one in self.told) == self._time:
            self._stop.set()


def options_of(asked: Asked, **more: Any) -> ostensive.LoopOptions:
    build = ostensive.BuildOptions(profile="microworld", settings=asked.settings, annotations=asked.annotations)
    return ostensive.LoopOptions(build=build, train=TRAINING, **more)


class Told:
    """A loop that was cut short by a limit in the middle of its second build, and by Ctrl-C in its second training."""

    def __init__(self, folder: Path) -> None:
        import threading

        self.asked, self.loop = loop_folder.rationales(folder, 4), folder / "loop"
        self.evaluation = self.asked.evaluation(folder / "task.jsonl")
        words = self.asked.words(self.loop, "--rounds", 2, "--quiet", "--keep-models", 1, *self.evaluation)
        self.limited = call(*words, "--max-requests", ENOUGH_FOR_A_ROUND_AND_A_HALF)
        self.answers_at_limit = answers(self.loop / "journal.sqlite")
        self.first_round = tree(self.loop / "rounds" / "0")
        stop = threading.Event()
        self.reporter = Stopping("step 1 of", 1, stop)
        with pytest.raises(Interrupted):
            ostensive.loop(
                self.asked.recipe, images=self.asked.images, base=BASE, out=self.loop, stop=stop,
                options=self.options(), reporter=self.reporter,
            )  # fmt: skip
        self.status, self.status_json = call("status", self.loop), call("status", self.loop, "--json")
        self.answers_at_stop = answers(self.loop / "journal.sqlite")
        self.finished = call(*words, "--json")
        self.after_end = call(*words)

    def options(self) -> ostensive.LoopOptions:
        """What the words say."""
        evaluation = ostensive.LoopEvaluation(
            task=self.loop.parent / "task.jsonl",
            task_format="choices",
            images=self.asked.images,
            settings=("device=cpu", "batch_size=2"),
        )
        return options_of(self.asked, rounds=2, keep_models=1, evaluation=evaluation)

    def run(self, number: int) -> Path:
        return self.loop / "rounds" / str(number) / "run"

    def rows(self, number: int) -> list[Mapping[str, Any]]:
        return list(ostensive.open_corpus(self.run(number)).rows())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return Told(tmp_path_factory.mktemp("loop"))
    finally:
        torch.set_num_threads(threads)


def test_limits_are_those_of_the_loop_as_a_whole(told: Told) -> None:
    assert told.limited.returncode == 1
    assert told.limited.stderr.splitlines()[-1] == (
        f"ostensive: round 1: --max-requests: {ENOUGH_FOR_A_ROUND_AND_A_HALF} of {ENOUGH_FOR_A_ROUND_AND_A_HALF}"
        " requests are sent; run the same command with a larger number to go on"
    )
    assert "at          round 1, build; the same command goes on" in told.limited.stdout
    assert len(told.answers_at_limit) == ENOUGH_FOR_A_ROUND_AND_A_HALF


def test_nothing_is_asked_twice_and_no_finished_phase_is_done_again(told: Told) -> None:
    assert told.answers_at_limit.items() <= told.answers_at_stop.items()
    at_end = answers(told.loop / "journal.sqlite")
    assert told.answers_at_stop == at_end
    assert len(at_end) == 2 * REQUESTS_A_ROUND
    assert len({run_id for _, run_id, _ in at_end.values()}) == 1
    now = tree(told.loop / "rounds" / "0")
    gone = {path for path in told.first_round if path not in now}
    assert gone, "--keep-models 1"
    assert all(path.startswith("student/model/") for path in gone)
    assert now == {path: body for path, body in told.first_round.items() if path not in gone}
    assert told.reporter.told[0].startswith("round 1: build in ")
    assert told.reporter.told[1].startswith("round 1: train in ")
    assert told.reporter.told[2].startswith("step 1 of 3: loss ")


def test_the_student_of_a_round_teaches_the_next_one(told: Told) -> None:
    values = json.loads(told.finished.stdout)
    assert (told.finished.returncode, values["outcome"], values["ending"]) == (0, "done", "2 rounds were asked for")
    base, student = (
        json.loads((told.loop / "rounds" / str(number) / "student" / "student.json").read_text("utf-8"))
        for number in range(2)
    )
    assert base["base_version"] == model_version(BASE)
    taught = {number: [row for row in told.rows(1) if row["round"] == number] for number in range(2)}
    requests = answers(told.loop / "journal.sqlite")
    weights = {number: {requests[row["request_key"]][2]["weights"] for row in rows} for number, rows in taught.items()}
    assert weights == {0: {base["base_version"]}, 1: {student["base_version"]}}
    assert student["base_version"] != base["base_version"]
    names = {number: {row["teacher"] for row in rows} for number, rows in taught.items()}
    assert names == {0: {BASE}, 1: {f"{BASE} after round 0"}}
    card = (told.run(1) / "corpus" / "README.md").read_text("utf-8")
    assert f"- Teachers: {BASE}, {BASE} after round 0\n" in card
    parent = RunFolder(told.run(0))
    recipe = read_yaml(told.run(1) / "recipe.yaml")
    assert (recipe["rounds"]["parent"], recipe["rounds"]["number"]) == (str(parent.path), "1")
    assert {row["row_id"] for row in told.rows(0)} == {row["row_id"] for row in taught[0]}


def test_figures_are_those_of_the_folders(told: Told) -> None:
    values = json.loads(told.finished.stdout)
    for number, one in enumerate(values["rounds"]):
        rows = told.rows(number)
        new = sum(row["round"] == number for row in rows)
        built, trained = one["built"], one["trained"]
        assert (built["rows"], built["new"], built["before"]) == (len(rows), new, len(rows) - new)
        assert built["judged"] == judged_of(RunFolder(told.run(number)), number) >= new
        assert one["fitting"] == new / built["judged"]
        assert built["requests"] == REQUESTS_A_ROUND
        assert sum(built["lost"].values()) + new == REQUESTS_A_ROUND
        assert (trained["steps"], trained["objective"], trained["rows"]) == (3, "sft", 2 * len(rows))
        assert one["build_seconds"] > 0 < one["train_seconds"]
    first, second = values["rounds"]
    assert (first["parent"], first["teacher"], first["growth"]) == (None, BASE, None)
    assert (second["parent"], second["teacher"], second["base"]) == ("../0", "../0/student/model", "../0/student/model")
    assert second["growth"] == pytest.approx(second["built"]["new"] / first["built"]["rows"])


def test_base_and_students_are_evaluated_on_the_benchmark(told: Told) -> None:
    values = json.loads(told.finished.stdout)
    shown = told.after_end.stdout.splitlines()
    assert shown[0].endswith("    accuracy  95 % interval")
    files = [told.loop / "base" / "results.jsonl", *(told.loop / "rounds" / name / "results.jsonl" for name in "01")]
    models = [BASE, *(str(told.loop / "rounds" / str(number) / "student" / "model") for number in range(2))]
    of_rounds = [values["base_figures"], *(one["figures"] for one in values["rounds"])]
    for file, model, figures, line in zip(files, models, of_rounds, shown[1:], strict=False):
        results = [json.loads(result) for result in file.read_text("utf-8").splitlines()]
        accuracy = sum(result["right"] for result in results) / len(results)
        assert (len(results), figures[0]["name"], figures[0]["value"]) == (12, "accuracy", accuracy)
        interval = wilson(round(12 * accuracy), 12)
        assert line.endswith(f"{accuracy:>12.1%}  {interval.low:.1%} to {interval.high:.1%}")
        summary = json.loads(file.with_name("results.summary.json").read_text("utf-8"))
        if Path(model).exists() or model == BASE:
            assert summary["model_version"] == model_version(model)
    assert [line.split()[0] for line in shown[1:4]] == ["base", "0", "1"]
    assert values["evaluated_on"] == "choices"
    scores = [[json.loads(line)["scores"] for line in file.read_text("utf-8").splitlines()] for file in files]
    assert scores[0] != scores[1] != scores[2], "each student by itself"
    compared = call("student", "compare", *files)
    assert compared.returncode == 0, compared.stderr


def test_another_benchmark_is_refused_and_a_wrong_one_before_any_work(told: Told, tmp_path: Path) -> None:
    other = refused(told.asked, told.loop, *told.evaluation, "--eval-set", "limit=3")
    assert other.startswith(f"--out {told.loop}: a loop of other task or settings of evaluation was begun here; ")
    out, task = tmp_path / "out", tmp_path / "task.jsonl"
    words = told.asked.evaluation(task)
    assert refused(told.asked, out, *words[2:]) == (
        "--eval-task: is missing; a benchmark is named by --eval-task and --eval-format"
    )
    assert refused(told.asked, out, *words[:2]).startswith("--eval-format: is missing; ")
    assert refused(told.asked, out, *words[:4]) == (
        "--eval-images: is missing; the folder with the images of choices is expected"
    )
    assert refused(told.asked, out, *words, "--eval-set", "scoring=itm") == (
        "--eval-set scoring itm: not by microworld:vlm-base; likelihood is expected"
    )
    assert refused(told.asked, out, *words, "--eval-set", "limmit=3") == (
        "--eval-set: limmit: unknown key; the nearest known key is limit"
    )
    assert refused(told.asked, out, *words, "--eval-set", "revision=x").startswith("--eval-set revision: a loop sets")
    task.unlink()
    assert str(task) in refused(told.asked, out, *words)
    assert not out.exists()


def test_status_says_where_an_interrupted_loop_is(told: Told) -> None:
    values = json.loads(told.status_json.stdout)
    assert (values["outcome"], values["at"]) == ("Interrupted", {"round": 1, "phase": "train"})
    lines = told.status.stdout.splitlines()
    assert lines[0].split()[:4] == ["round", "rows", "new", "growth"]
    assert [line.split()[0] for line in lines[1:4]] == ["base", "0", "1"]
    assert "at          round 1, train; the same command goes on" in lines
    run = call("status", told.run(1))
    assert run.stdout.startswith("run is done; 4 source images")


def test_the_same_command_after_the_end_does_nothing_and_says_so(told: Told) -> None:
    assert told.after_end.returncode == 0
    assert "loop        rationales, done: 2 rounds were asked for" in told.after_end.stdout
    assert told.after_end.stderr == ""
    before = tree(told.loop / "rounds")
    options = told.options()
    again = ostensive.loop("rationales", images=told.asked.images, base=BASE, out=told.loop, options=options)
    assert again == ostensive.loop_status(told.loop)
    assert tree(told.loop / "rounds") == before


def test_what_was_asked_is_written_with_every_default(told: Told) -> None:
    values = read_yaml(told.loop / "loop.yaml")
    assert (values["recipe"], values["base"], values["start"], values["max_rounds"]) == (
        "rationales",
        BASE,
        "last",
        "2",
    )
    assert values["training"]["warmup"] == "0.03"
    assert values["settings"]["rounds"]["stop_below"] == "0.05"


def refused(asked: Asked, out: Path, *more: object, **changes: Any) -> str:
    done = call(*replace(asked, **changes).words(out, "--quiet", *more))
    assert done.returncode == 2, done.stderr
    return done.complaint


def test_another_loop_is_refused_in_one_line(told: Told, tmp_path: Path) -> None:
    before = tree(told.loop)
    more = (*told.asked.settings, "rationales.max_sentences=3")
    other = write_questions(told.asked, tmp_path / "fewer.jsonl")
    base = f"--out {told.loop}: a loop of other "
    end = " was begun here; name another folder, or ask for the same"
    assert refused(told.asked, told.loop, settings=more) == f"{base}recipe or settings{end}"
    assert refused(told.asked, told.loop, annotations=other) == f"{base}annotations{end}"
    assert refused(told.asked, told.loop, "--limit", 2) == f"{base}images{end}"
    assert refused(told.asked, told.loop, "--from", "base") == f"{base}settings of training{end}"
    assert refused(told.asked, told.loop, "--train-set", "seed=7") == f"{base}settings of training{end}"
    done = call(*[{BASE: "microworld:vlm"}.get(word, word) for word in told.asked.words(told.loop, "--quiet")])
    assert done.complaint == f"{base}base{end}"
    assert tree(told.loop) == before


def write_questions(asked: Asked, path: Path) -> Path:
    assert asked.annotations is not None
    path.write_text("".join(asked.annotations.read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8")
    return path


def test_what_is_asked_wrongly_is_refused_before_any_work(told: Told, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = told.asked
    assert "instructions has no rounds; a recipe that has is expected, such as rationales" in refused(
        asked, out, recipe="instructions", settings=asked.settings[:3]
    )
    teacher = (*asked.settings, "teacher.kind=served")
    assert refused(asked, out, settings=teacher) == (
        "--set teacher.kind: a loop sets it itself: --base teaches the first round, and each student the next one"
    )
    assert "--set rounds.parent: a loop sets it itself" in refused(
        asked, out, settings=(*asked.settings, "rounds={parent: x, number: 1}")
    )
    assert refused(asked, out, "--train-set", "batch_sise=2") == (
        "--train-set: batch_sise: unknown key; the nearest known key is batch_size"
    )
    assert refused(asked, out, "--train-set", "objective=dpo") == (
        "--train-set objective=dpo: a corpus of rationales cannot be trained on by it; sft is expected"
    )
    with pytest.raises(SettingsError, match=r"^--keep-models 0: 1 or more is expected$"):
        ostensive.loop("rationales", images=asked.images, base=BASE, out=out, options=options_of(asked, keep_models=0))
    options = options_of(asked)
    options = replace(options, build=replace(options.build, parent=told.run(0)))
    with pytest.raises(SettingsError, match="a loop begins with a round of its own; leave it out"):
        ostensive.loop("rationales", images=asked.images, base=BASE, out=out, options=options)
    assert not out.exists()
    (tmp_path / "none").mkdir()
    done = call("status", tmp_path / "none")
    assert "there is no run here" in done.complaint


# ---- whole loops -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "objective", "own_rounds"),
    [(loop_folder.preferences, "dpo", 1), (loop_folder.explanations, "sft", 4)],
    ids=["preferences", "explanations"],
)
def test_two_rounds_of_the_other_recipes_from_the_base(
    tmp_path: Path, make: Callable[[Path, int], Asked], objective: str, own_rounds: int
) -> None:
    asked = make(tmp_path, 4)
    done = call(*asked.words(tmp_path / "loop", "--rounds", 2, "--from", "base", "--quiet", "--json"))
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert [one["trained"]["objective"] for one in values["rounds"]] == [objective] * 2
    assert [one["base"] for one in values["rounds"]] == [BASE] * 2
    assert [one["teacher"] for one in values["rounds"]] == [BASE, "../0/student/model"]
    assert values["rounds"][1]["built"]["new"] > 0
    students = [
        json.loads((tmp_path / "loop" / "rounds" / str(number) / "student" / "student.json").read_text("utf-8"))
        for number in range(2)
    ]
    assert [one["base_version"] for one in students] == [model_version(BASE)] * 2
    assert students[0]["corpus"] != students[1]["corpus"], "on all rows so far"
    assert read_yaml(tmp_path / "loop" / "loop.yaml")["settings"]["rounds"]["max_rounds"] == str(own_rounds)


@pytest.mark.slow
def test_a_corpus_without_rows_and_a_model_that_does_not_see_end_the_loop_in_one_line(tmp_path: Path) -> None:
    asked = loop_folder.rationales(tmp_path, 2)
    none_fits = (*asked.settings[:-1], "critics=[{kind: rules, limits: {rationale: {min_words: 79}}}]")
    done = call(*replace(asked, settings=none_fits).words(tmp_path / "empty", "--quiet"))
    assert done.returncode == 1
    assert done.complaint.startswith("round 0: the corpus is empty: judged kept none of ")
    blind = blinded(tmp_path / "blind")
    words = [{BASE: str(blind)}.get(word, word) for word in asked.words(tmp_path / "loop", "--quiet", "--rounds", 1)]
    done = call(*words)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ostensive: round 0: the model does not see: the loss of ")
    assert "at          round 0, train; the same command goes on" in done.stdout


def blinded(folder: Path) -> Path:
    """The tiny model without what leads from its pictures to its words."""
    import torch

    from ostensive.models.generator_settings import GeneratorSettings
    from ostensive.models.loading import load_model

    loaded = load_model(GeneratorSettings(model=BASE, device="cpu", dtype="float32"))
    with torch.no_grad():
        for parameter in loaded.model.model.multi_modal_projector.parameters():
            parameter.zero_()
    loaded.model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    return folder


# ---- kills -----------------------------------------------------------------------------------------------------------

HEAVY = ["torch", "transformers.trainer", "trl.trainer.sft_trainer", "peft", "datasets", "ostensive.run.build"]


def in_a_process(words: list[str]) -> None:
    """The command in a process of its own, which the server of processes forks with the heavy libraries imported."""
    import torch

    torch.set_num_threads(1)
    os.environ["HF_HUB_OFFLINE"] = "1"
    done = call(*words)
    raise SystemExit(done.returncode)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_loop_that_is_killed_again_and_again_ends_like_one_that_is_not(tmp_path: Path) -> None:
    """SIGKILL, and Ctrl-C once, a little after each phase has begun, at moments that are drawn. Replies are drawn one
    by one, since those of a batch depend on it up to rounding."""
    asked = loop_folder.rationales(tmp_path, 4)
    asked = replace(asked, settings=(*asked.settings, "teacher.batch_size=1"))
    training = (*TRAINING, "save_every=1")
    processes, rng = multiprocessing.get_context("forkserver"), random.Random(5)
    processes.set_forkserver_preload(HEAVY)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    begun = (
        ("rounds/0/run/candidates/part-*", signal.SIGKILL),
        ("rounds/0/student/checkpoints/checkpoint-2", signal.SIGKILL),
        ("rounds/0/results.jsonl.parts/*.jsonl", signal.SIGKILL),
        ("rounds/1/run/candidates/part-*", signal.SIGINT),
        ("rounds/1/student/checkpoints/checkpoint-1/optimizer.pt", signal.SIGKILL),
        ("rounds/1/student/model", signal.SIGKILL),
    )
    more = ("--rounds", 2, "--quiet", *asked.evaluation(tmp_path / "task.jsonl"))
    words = asked.words(killed, *more, training=training)
    kept: dict[str, tuple[str, str, Mapping[str, Any]]] = {}
    kills = 0
    for sign, signal_number in begun:
        process = processes.Process(target=in_a_process, args=(words,))
        process.start()
        deadline = time.monotonic() + 60
        while process.is_alive() and not any(killed.glob(sign)) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.25))
        assert process.pid is not None
        os.kill(process.pid, signal_number)
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL if signal_number == signal.SIGKILL else 130)
        kills += process.exitcode != 0
        if (killed / "journal.sqlite").exists():
            now = answers(killed / "journal.sqlite")
            assert kept.items() <= now.items(), "an answer that was there was asked for again"
            kept = now
    assert kills >= len(begun) - 2
    for out in (killed, whole):
        done = call(*asked.words(out, *more, training=training))
        assert done.returncode == 0, done.stderr
    assert len(answers(killed / "journal.sqlite")) == len(answers(whole / "journal.sqlite")) == 2 * REQUESTS_A_ROUND
    for number in range(2):
        runs = [list(ostensive.open_corpus(out / "rounds" / str(number) / "run").rows()) for out in (killed, whole)]
        assert runs[0] == runs[1]
        students = [tree(out / "rounds" / str(number) / "student") for out in (killed, whole)]
        for student in students:
            assert student.pop(f"{LOG}/{FILE}"), "TensorBoard's file says when each step was"
        configs = [json.loads(student.pop("adapter/adapter_config.json")) for student in students]
        for config in configs:
            config["target_modules"].sort()  # a set, which has another order in another process
        assert configs[0] == configs[1]
        told = [json.loads(student.pop("student.json")) for student in students]
        assert told[0] == told[1]
        assert students[0].keys() == students[1].keys()
        assert students[0] == students[1], "the very weights"
        results = [out / "rounds" / str(number) / "results.jsonl" for out in (killed, whole)]
        assert results[0].read_bytes() == results[1].read_bytes()
    assert not list(killed.rglob(".partial-*"))
