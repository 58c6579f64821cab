"""A benchmark of choices as a task folder of lmms-eval: Parquet with the pictures, a YAML file, and its functions.

lmms-eval is run in that folder, since the YAML file names the data from there: a path of one machine would be wrong on
all others.
"""

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final  # Any: JSON values

import yaml

from cards.parquet import ParquetFolder
from ostensive.errors import SettingsError
from ostensive.files import new_folder
from ostensive.own_folders import EXPORT, mark_folder
from ostensive.user_paths import shown_path
from students.evaluation.evaluate import Task
from students.evaluation.items import BrokenRowError, ChoiceItem

_METRICS: Final = ("accuracy", "parts", "yes-no")
_LETTERS: Final = 26
_FILE_BYTES: Final = 500_000_000
_ROWS_A_GROUP: Final = 100
_JPEG_QUALITY: Final = 95


@dataclass(frozen=True, slots=True)
class ExportedTask:
    """What was written: items, and those that could not be, by reason."""

    name: str
    items: int
    lost: Mapping[str, int]


def export_task(task: Task, name: str, out: Path) -> ExportedTask:
    """Writes `task` to the folder `out` under the name that lmms-eval is to know it by.

    Raises `SettingsError` for a task without right choices, a name that is none, and a folder that holds something.
    """
    if task.metric not in _METRICS:
        raise SettingsError(f"--format {task.name}: has no single right choices; lmms-eval gets those with them")
    if not name.replace("_", "").isalnum() or not name.isascii():
        raise SettingsError(f"--name {name!r}: letters, digits and _ are expected")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"--out {shown_path(out)}: is there already; name a folder that is empty or not there")
    with new_folder(out) as work:
        mark_folder(work, EXPORT)
        (work / "data").mkdir()
        lost = _write_rows(task, work / "data")
        (work / "utils.py").write_bytes(files("students.evaluation").joinpath("lmms_task_utils.py").read_bytes())
        (work / f"{name}.yaml").write_text(_description(name), "utf-8")
    return ExportedTask(name, len(task.read.items) - lost.total(), dict(lost))


def _write_rows(task: Task, folder: Path) -> Counter[str]:
    import datasets

    text = datasets.Value("string")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "id": text,
            "question": text,
            "choices": datasets.List(text),
            "answer": datasets.Value("int64"),
        }
    )
    lost: Counter[str] = Counter()
    with ParquetFolder(folder, "test", features, max_bytes=_FILE_BYTES, group_rows=_ROWS_A_GROUP) as written:
        for item in task.read.items:
            assert isinstance(item, ChoiceItem), "its metric is one of choices"
            try:
                row, size = _row(item, task)
            except BrokenRowError as error:
                lost[str(error)] += 1
                continue
            written.add(row, size)
        written.finish()
    return lost


def _row(item: ChoiceItem, task: Task) -> tuple[dict[str, Any], int]:
    if len(item.choices) > _LETTERS:
        raise BrokenRowError(f"more than {_LETTERS} choices")
    jpeg = io.BytesIO()
    task.pictures.picture(item.question).save(jpeg, "JPEG", quality=_JPEG_QUALITY)
    row = {
        "image": {"bytes": jpeg.getvalue(), "path": None},
        "id": item.question.item_id,
        "question": "\n".join(turn.text for turn in item.question.turns),
        "choices": list(item.choices),
        "answer": item.right[0],
    }
    return row, len(jpeg.getvalue())


class _Function(str):
    """A name that lmms-eval looks up in a file beside the YAML file."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes names of functions under lmms-eval's tag."""


_Dumper.add_representer(_Function, lambda dumper, value: dumper.represent_scalar("!function", str(value)))


def _description(name: str) -> str:
    """The YAML file."""
    values = {
        "task": name,
        "dataset_path": "parquet",
        "dataset_kwargs": {"data_files": {"test": "data/test-*.parquet"}},
        "test_split": "test",
        "output_type": "generate_until",
        **{key: _Function(f"utils.{key}") for key in ("doc_to_visual", "doc_to_text", "doc_to_target")},
        "process_results": _Function("utils.process_results"),
        "generation_kwargs": {"max_new_tokens": 16, "temperature": 0, "do_sample": False},
        "metric_list": [{"metric": "accuracy", "aggregation": "mean", "higher_is_better": True}],
        "lmms_eval_specific_kwargs": {
            "default": {"pre_prompt": "", "post_prompt": "\nAnswer with the letter of the right choice."}
        },
        "metadata": [{"version": 1.0}],
    }
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False)
