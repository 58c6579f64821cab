"""Evaluation in the Python interface: a model on a benchmark, and results of several models side by side."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.user_paths import user_path

if TYPE_CHECKING:
    from students.evaluation.compare import Comparison
    from students.evaluation.evaluate import Task
    from students.evaluation.lmms_task import ExportedTask
    from students.evaluation.reading import ReadOptions
    from students.evaluation.settings import EvaluationSettings


def evaluate(
    model: str,
    task: Path | str,
    out: Path | str,
    *,
    task_format: str,
    images: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    stop: threading.Event | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> Mapping[str, Any]:
    """The summary of how `model`, a student's folder or any model, does on the benchmark at `task`.

    Results of each item go to the file `out`. `settings` are those of
    `students.evaluation.settings.EvaluationSettings`. Raises as `students.evaluation.evaluate.evaluate` does.
    """
    from ostensive.settings import validate
    from students.evaluation.settings import EvaluationSettings

    wanted = validate(EvaluationSettings, settings or {}, "student eval")
    read = read_task(task_format, user_path(task, "--task"), images, wanted.reading)
    return evaluate_task(model, read, wanted, user_path(out, "--out"), stop=stop, tell=tell)


def evaluate_task(
    model: str,
    task: "Task",
    settings: "EvaluationSettings",
    out: Path,
    *,
    stop: threading.Event | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> Mapping[str, Any]:
    """The same of a benchmark that was read."""
    from builders.instructions.infusing import infused_text
    from builders.instructions.responding import describing_prompt
    from students.evaluation.evaluate import evaluate as run
    from students.evaluation.replying import Describing

    describing = Describing(describing_prompt(), infused_text) if settings.describe else None
    return run(model, task, settings, out, describing=describing, stop=stop, tell=tell)


def compare(results: Sequence[Path | str], *, shared: bool = False) -> "Comparison":
    """Files of results beside the first of them; raises as `students.evaluation.compare.compare` does."""
    from students.evaluation.compare import compare as run

    return run([user_path(one, "results") for one in results], shared=shared)


def export_task(
    task: Path | str, out: Path | str, *, name: str, task_format: str, images: Path | str, settings: Mapping[str, Any]
) -> "ExportedTask":
    """Writes the benchmark at `task` to the folder `out` as a task of lmms-eval called `name`.

    `settings` are `regions`, `split` and `seed` of `EvaluationSettings`. Raises as
    `students.evaluation.lmms_task.export_task` does.
    """
    from ostensive.settings import validate
    from students.evaluation.lmms_task import export_task as run
    from students.evaluation.settings import EvaluationSettings

    wanted = validate(EvaluationSettings, settings, "student lmms-task")
    return run(read_task(task_format, user_path(task, "--task"), images, wanted.reading), name, user_path(out, "--out"))


def read_task(task_format: str, task: Path, images: Path | str | None, options: "ReadOptions") -> "Task":
    """The benchmark at `task`, as a corpus or with its folder of images; raises `SettingsError` where it is none."""
    from students.evaluation import formats
    from students.evaluation.evaluate import Task
    from students.evaluation.pictures import FolderPictures

    if task_format == formats.CORPUS:
        return _held_out(task, options)
    if images is None:
        raise SettingsError(f"--images: is missing; the folder with the images of {task_format} is expected")
    folder = user_path(images, "--images")
    pictures = FolderPictures(folder)
    read = formats.read_task(task_format, task, folder, options)
    pictures.check(read.items, task)
    return Task(task_format, formats.FORMATS[task_format].metric, read, pictures)


def _held_out(run: Path, options: "ReadOptions") -> "Task":
    from builders.table import load, recipe_kind
    from cards.reading import read_corpus
    from ostensive.run.folder import existing_run
    from students.evaluation.evaluate import Task
    from students.evaluation.formats import CORPUS
    from students.evaluation.held_out import CorpusPictures, read_held_out

    folder = existing_run(run)
    kind = recipe_kind(load(str(folder.recipe_path)).recipe)
    corpus = read_corpus(folder)
    return Task(CORPUS, "loss", read_held_out(corpus, kind, options), CorpusPictures(corpus, kind))
