"""The folder of a loop: what was asked, a folder a round with its run and its student, and how far it has come.

`loop.yaml` is what was asked, with every default; `loop.json` how the last command ended; `rounds/N/round.json` what is
known of a round, written when its build and its training end. Links in them are relative, so that a loop may be moved.
What an evaluation came to is in its own file of results alone.
"""

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final  # Any: JSON and YAML values

import yaml

from ostensive.errors import SettingsError
from ostensive.files import leftovers, remove, storage_errors, write_text
from ostensive.json_text import parse_json
from ostensive.own_folders import LOOP, LOOP_MARK, check_folder_for, own_kind
from ostensive.run.folder import locked_folder
from ostensive.settings import validate
from ostensive.user_paths import shown_path, without_folder
from ostensive.yaml_text import read_yaml
from students.evaluation.results import ResultFile, read_summary
from students.loop.records import BuiltRound, LoopPlan, RoundPlace, RoundRecord, TrainedRound
from students.training.folder import MODEL

_LOOP, _STATE, _ROUND = LOOP_MARK, "loop.json", "round.json"
_FORMAT: Final = {"kind": "ostensive-loop", "version": "1"}


class LoopFolder:
    """Paths, the lock and the records of one loop."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def journal_path(self) -> Path:
        """The journal that all rounds share, unless another was named."""
        return self.path / "journal.sqlite"

    def round_path(self, number: int) -> Path:
        """The folder of a round."""
        return self.path / "rounds" / str(number)

    def run_path(self, number: int) -> Path:
        """The run folder of a round."""
        return self.round_path(number) / "run"

    def student_path(self, number: int) -> Path:
        """The folder of a round's student."""
        return self.round_path(number) / "student"

    def model_path(self, number: int) -> Path:
        """The student's merged model."""
        return self.student_path(number) / MODEL

    def results_path(self, number: int | None) -> Path:
        """The results of a round's student on the loop's benchmark; None: of the base."""
        return (self.path / "base" if number is None else self.round_path(number)) / "results.jsonl"

    def place(self, plan: LoopPlan, number: int) -> RoundPlace:
        """Where the round of that number is carried out, and what it goes on from."""
        before = None if number == 0 else str(self.model_path(number - 1))
        return RoundPlace(
            number=number,
            run=self.run_path(number),
            student=self.student_path(number),
            parent=None if number == 0 else self.run_path(number - 1),
            teacher=before or plan.base,
            teacher_name=None if number == 0 else f"{without_folder(plan.base)} after round {number - 1}",
            base=before if before is not None and plan.start == "last" else plan.base,
        )

    def check_place(self) -> None:
        """Raises `SettingsError` where the path is no folder, or one with files of something else."""
        check_folder_for(self.path, LOOP, LOOP_MARK)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the loop for this process; raises `RunLockedError` when another has it."""
        self.check_place()
        with locked_folder(self.path, "another process is at work in this loop"):
            # Not below: a run clears its own folder under its own lock.
            for folder in (
                self.path,
                self.results_path(None).parent,
                *self.path.glob("rounds/*"),
                *self.path.glob("rounds/*/student"),
            ):
                for leftover in leftovers(folder):
                    remove(leftover)
            yield

    def write_plan(self, plan: LoopPlan, asked: Mapping[str, Any]) -> str:
        """Notes what was asked, and gives back the id of the loop; `asked` is for people to read.

        Raises `SettingsError` where a loop was begun here that was made from something else.
        """
        before = self._read()
        if before is not None:
            was = before.get("made_from") or {}
            other = [what for what, digest in plan.made_from.items() if was.get(what, digest) != digest]
            if other:
                raise SettingsError(
                    f"--out {shown_path(self.path)}: a loop of other {_and(other)} was begun here; name another folder,"
                    " or ask for the same"
                )
            plan = plan.model_copy(update={"made_from": {**was, **plan.made_from}})
        loop_id = str((before or {}).get("id") or uuid.uuid4().hex)
        values = {**_FORMAT, "id": loop_id, **plan.model_dump(mode="json"), **asked}
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
        write_text(self.path / _LOOP, text)
        return loop_id

    def read_plan(self) -> LoopPlan | None:
        """What was asked the last time; None where no loop was begun."""
        values = self._read()
        if values is None:
            return None
        own = {name: value for name, value in values.items() if name in LoopPlan.model_fields}
        return validate(LoopPlan, own, shown_path(self.path / _LOOP))

    def _read(self) -> dict[str, Any] | None:
        if not (self.path / _LOOP).exists():
            return None
        values = read_yaml(self.path / _LOOP, str(self.path / _LOOP))
        if {name: values.get(name) for name in _FORMAT} != _FORMAT:
            raise SettingsError(f"{shown_path(self.path / _LOOP)}: is of another version; name another folder")
        return dict(values)

    def rounds(self) -> list[RoundRecord]:
        """The rounds that have begun, in order."""
        found: list[RoundRecord] = []
        while (path := self.round_path(len(found)) / _ROUND).exists():
            values = parse_json(path.read_text("utf-8"), strict=False)
            built, trained = values["built"], values["trained"]
            values["built"] = None if built is None else BuiltRound(**built)
            values["trained"] = None if trained is None else TrainedRound(**trained)
            found.append(RoundRecord(**values))
        return found

    def figures(self, number: int | None) -> Sequence[Mapping[str, Any]] | None:
        """What a round's student, or the base, came to on the benchmark; None where it was not evaluated."""
        file = ResultFile(self.results_path(number))
        if not (file.path.is_file() and file.summary_path.is_file()):
            return None
        figures: Sequence[Mapping[str, Any]] = read_summary(file.path)["figures"]
        return figures

    def to_evaluate(self, plan: LoopPlan) -> list[int | None]:
        """The rounds, and None for the base, that are to be evaluated still and whose model is there."""
        if plan.evaluated_on is None:
            return []
        trained = [one.number for one in self.rounds() if one.trained is not None]
        there = (None, *(number for number in trained if self.model_path(number).exists()))
        return [number for number in there if self.figures(number) is None]

    def write_round(self, record: RoundRecord) -> None:
        """Notes how far a round has come."""
        write_text(self.round_path(record.number) / _ROUND, json.dumps(asdict(record), indent=1) + "\n")

    def new_round(self, place: RoundPlace) -> RoundRecord:
        """A round of which nothing is done, with its links."""
        here = self.round_path(place.number)

        def link(model: str) -> str:
            return os.path.relpath(model, here) if Path(model).is_relative_to(self.path) else model

        parent = None if place.number == 0 else f"../{place.number - 1}"
        return RoundRecord(place.number, parent, link(place.teacher), link(place.base))

    def read_state(self) -> tuple[str, str]:
        """How the last command ended ("done", "unfinished", the class of an error), and with which words."""
        try:
            values = parse_json((self.path / _STATE).read_text("utf-8"), strict=False)
            return str(values["outcome"]), str(values["message"])
        except (OSError, ValueError, KeyError):
            return "unfinished", ""

    def read_process(self) -> Mapping[str, Any] | None:
        """The process that is at work, as `ostensive.run.processes` notes it; None where none was noted."""
        try:
            process = parse_json((self.path / _STATE).read_text("utf-8"), strict=False).get("process")
        except (OSError, ValueError, AttributeError):
            return None
        return process if isinstance(process, dict) else None

    def write_state(self, outcome: str, message: str = "", process: Mapping[str, Any] | None = None) -> None:
        """Notes how a command ended, or that one is at work, and in which process."""
        values = {"outcome": outcome, "message": message, "process": process}
        write_text(self.path / _STATE, json.dumps(values) + "\n")

    def remove_models(self, numbers: Sequence[int]) -> None:
        """Removes the merged models of these rounds; adapters and all that is known of them stay."""
        import shutil

        for number in numbers:
            if self.model_path(number).exists():
                with storage_errors(self.model_path(number)):
                    shutil.rmtree(self.model_path(number))


def is_loop(path: Path) -> bool:
    """Whether a loop was begun in the folder."""
    return own_kind(path) == LOOP


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
