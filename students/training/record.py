"""The record of a training, `student.json`: written last, so that a folder without it holds no student yet."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.json_text import parse_json
from ostensive.user_paths import shown_path
from students.training.image_check import ImageCheck
from students.training.other_rows import OtherRows

STUDENT: Final = "student.json"
_FORMAT: Final = {"kind": "ostensive-student", "version": 1}


@dataclass(frozen=True, slots=True)
class TrainedStudent:
    """What `student.json` says of a training."""

    base: str  # as it was named, without the folder it lay in
    base_version: str
    recipe: str
    corpus: str  # a hash of the files of the corpus
    objective: str
    rows: int
    lost: Mapping[str, int]  # rows of the corpus that could not be used, by reason
    steps: int
    first_loss: float  # mean of the first ten steps
    last_loss: float  # and of the last ten
    image_check: ImageCheck
    trained_share: float  # of all weights
    made_from: str  # a hash of all that the student depends on
    replay: OtherRows | None = None  # general data between the rows
    items: OtherRows | None = None  # ILLUME's questions without a rationale
    explanation_weight: float | None = None  # b of ILLUME's loss
    processes: int = 1


def write_student(student: TrainedStudent, folder: Path) -> None:
    """Writes the record of a training that has ended; raises `StorageError`."""
    write_text(folder / STUDENT, json.dumps({**_FORMAT, **dataclasses.asdict(student)}, indent=2) + "\n")


def read_student(folder: Path) -> TrainedStudent:
    """What is known of the student in `folder`; raises `SettingsError` where there is none."""
    found = finished_student(folder)
    if found is None:
        raise SettingsError(f"{shown_path(folder)}: holds no student; {STUDENT} is written when a training ends")
    return found


def finished_student(folder: Path) -> TrainedStudent | None:
    """The student in `folder`, None where no training has ended."""
    try:
        values = parse_json((folder / STUDENT).read_text("utf-8"), strict=False)
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict) or {key: values.pop(key, None) for key in _FORMAT} != _FORMAT:
        return None
    others = {name: OtherRows(**values[name]) for name in ("replay", "items") if values.get(name) is not None}
    return TrainedStudent(**{**values, **others, "image_check": ImageCheck(**values["image_check"])})
