"""The one table of benchmark formats: how each is read, and by which figures it is told.

A new format is its reader, its test, and here a line.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ostensive.errors import SettingsError
from students.evaluation.items import ChoiceItem, Read, ReplyItem
from students.evaluation.plain import read_choices, read_replies, read_yes_no
from students.evaluation.question_sets import read_aokvqa, read_snli_ve, read_visual7w
from students.evaluation.reading import ReadOptions
from students.evaluation.sherlock import read_sherlock
from students.evaluation.vcr import read_vcr
from students.evaluation.visualcomet import read_visualcomet

Metric = Literal["accuracy", "parts", "yes-no", "agreement", "ranking", "replies", "loss"]
"""By which figures results are told; see `students.evaluation.figures`."""
Reader = Callable[[Path, Path, ReadOptions], Read[ChoiceItem] | Read[ReplyItem]]


@dataclass(frozen=True, slots=True)
class Format:
    """A form of benchmark files."""

    read: Reader
    metric: Metric


FORMATS: Final[Mapping[str, Format]] = {
    "vcr": Format(read_vcr, "parts"),
    "sherlock": Format(read_sherlock, "agreement"),
    "visualcomet": Format(read_visualcomet, "ranking"),
    "aokvqa": Format(read_aokvqa, "accuracy"),
    "snli-ve": Format(read_snli_ve, "accuracy"),
    "visual7w": Format(read_visual7w, "accuracy"),
    "choices": Format(read_choices, "accuracy"),
    "yesno": Format(read_yes_no, "yes-no"),
    "captions": Format(read_replies, "replies"),
}
CORPUS: Final = "corpus"
"""A run of ours, whose rows of one split are held out; its pictures are its own."""


def read_task(name: str, task: Path, images: Path, options: ReadOptions) -> Read[ChoiceItem] | Read[ReplyItem]:
    """What the files at `task` hold in the format `name`; raises `SettingsError` where no row can be used."""
    if name not in FORMATS:
        raise SettingsError(f"--format {name}: is none of {', '.join((*FORMATS, CORPUS))}")
    read = FORMATS[name].read(task, images, options)
    if not read.items:
        raise SettingsError(f"--task {task}: none of its {read.rows} rows can be used as {name} ({reasons(read.lost)})")
    return read


def reasons(lost: Counter[str]) -> str:
    """What was lost by reason, the most frequent first, in one line."""
    return ", ".join(f"{count} {reason}" for reason, count in lost.most_common()) or "there is none"
