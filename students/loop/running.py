"""Carrying out a loop, phase by phase: each round is built, then trained on, until there is a reason to end.

How a round is built and trained on, and a model evaluated, is handed in. All go on where they were stopped and do
nothing where nothing is left to do, so that a loop that is killed needs no more than to know which have come to their
end. The base is evaluated before the first round.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # Any: JSON values

from ostensive.errors import Interrupted, OstensiveError
from ostensive.run.processes import this_process
from ostensive.user_paths import shown_path
from students.loop.folder import LoopFolder
from students.loop.records import BuiltRound, LoopPlan, RoundPlace, RoundRecord, TrainedRound, ending_of
from students.loop.status import LoopStatus, loop_status
from students.training.record import TrainedStudent
from students.training.running import Tell


@dataclass(frozen=True, slots=True)
class Carriers:
    """The functions that carry out a round."""

    build: Callable[[RoundPlace, str], BuiltRound]  # also given the id of the loop, in whose name models are asked
    train: Callable[[RoundPlace], TrainedStudent]
    evaluate: Callable[[str, Path], object]  # a model, the base or a student's folder, and the file for its results


def run_loop(
    folder: LoopFolder,
    plan: LoopPlan,
    carriers: Carriers,
    *,
    asked: Mapping[str, Any],
    stop: threading.Event,
    tell: Tell = lambda _line: None,
) -> LoopStatus:
    """Goes on with the loop in `folder` to its end.

    Raises `SettingsError` where another loop was begun there, `Interrupted` when asked to stop, and what building,
    training and evaluating raise, with the number of the round before the message. The same call goes on.
    """
    with folder.locked():
        loop_id = folder.write_plan(plan, asked)
        folder.write_state("unfinished", process=this_process())
        try:
            _evaluate(folder, plan, carriers, stop, tell)
            _remove_old_models(folder, plan)
            while (ending := ending_of(plan, rounds := folder.rounds())) is None:
                if stop.is_set():
                    raise Interrupted
                if not rounds or rounds[-1].trained is not None:
                    rounds.append(folder.new_round(folder.place(plan, len(rounds))))
                _next_phase(folder, rounds[-1], folder.place(plan, len(rounds) - 1), carriers, loop_id, tell)
                _evaluate(folder, plan, carriers, stop, tell)
                _remove_old_models(folder, plan)
        except OstensiveError as error:
            folder.write_state(type(error).__name__, str(error))
            raise
        except BaseException as error:
            with suppress(OstensiveError):  # the error at hand says more
                folder.write_state(type(error).__name__)
            raise
        folder.write_state("done", ending)
    return loop_status(folder.path)


def _next_phase(
    folder: LoopFolder, record: RoundRecord, place: RoundPlace, carriers: Carriers, loop_id: str, tell: Tell
) -> None:
    """Builds, or trains where that is done, and notes what came of it; of what is cut short, how long it took."""
    what = "train" if record.built is not None else "build"
    folder.write_round(record)
    tell(f"round {place.number}: {_doing(what, place)}")
    began, done = time.monotonic(), record
    try:
        with _errors_of(f"round {place.number}"):
            if what == "build":
                done = replace(record, built=carriers.build(place, loop_id))
            else:
                student = carriers.train(place)
                done = replace(
                    record,
                    trained=TrainedRound(
                        student.objective, student.rows, student.steps, student.first_loss, student.last_loss
                    ),
                )
    finally:
        field = f"{what}_seconds"
        seconds = round(getattr(record, field) + time.monotonic() - began, 3)
        folder.write_round(replace(done, **{field: seconds}))


def _evaluate(folder: LoopFolder, plan: LoopPlan, carriers: Carriers, stop: threading.Event, tell: Tell) -> None:
    """Evaluates the base and the students that are not evaluated yet."""
    for number in folder.to_evaluate(plan):
        if stop.is_set():
            raise Interrupted
        whose = "base" if number is None else f"round {number}"
        model = plan.base if number is None else str(folder.student_path(number))
        tell(f"{whose}: evaluate {_shown(model)} on {plan.evaluated_on}")
        with _errors_of(whose):
            carriers.evaluate(model, folder.results_path(number))


@contextmanager
def _errors_of(whose: str) -> Iterator[None]:
    """Says in front of an error whose it is."""
    try:
        yield
    except Interrupted:
        raise
    except OstensiveError as error:
        raise type(error)(f"{whose}: {error}") from error


def _doing(what: str, place: RoundPlace) -> str:
    if what == "build":
        return f"build in {shown_path(place.run)}, taught by {_shown(place.teacher)}"
    return f"train in {shown_path(place.student)}, from {_shown(place.base)}"


def _shown(model: str) -> str:
    return shown_path(Path(model)) if Path(model).is_absolute() else model


def _remove_old_models(folder: LoopFolder, plan: LoopPlan) -> None:
    if plan.keep_models is not None:
        trained = [one.number for one in folder.rounds() if one.trained is not None]
        folder.remove_models(trained[: -plan.keep_models])
