"""The benchmark that a loop evaluates its base and its students on: checked before any work, read anew for each model.

It is not held between evaluations, since a build needs the memory.
"""

import dataclasses
import gc
import re
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: JSON values

from ostensive.commands.evaluation import evaluate_task, read_task
from ostensive.errors import SettingsError
from ostensive.user_paths import shown_path, user_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from students.evaluation.evaluate import Task
    from students.evaluation.settings import EvaluationSettings
    from students.loop.records import LoopEvaluation


@dataclass(frozen=True, slots=True)
class LoopTask:
    """A benchmark that fits the base of a loop."""

    path: Path
    task_format: str
    images: Path | None
    settings: "EvaluationSettings"  # without the revision, which is each model's own
    digest: str  # of what is asked and how

    @classmethod
    def checked(cls, asked: "LoopEvaluation", base: str, commit: str | None) -> "LoopTask":
        """What `asked` says; raises `SettingsError` where it cannot be read, or the base not be evaluated on it."""
        from ostensive.recipe import parse_assignments
        from ostensive.settings import validate
        from students.evaluation.evaluate import check_fit
        from students.evaluation.settings import EvaluationSettings

        values = parse_assignments(asked.settings)
        if "revision" in values:
            raise SettingsError("--eval-set revision: a loop sets it itself; --train-set revision is that of the base")
        found = cls(
            path=user_path(asked.task, "--eval-task"),
            task_format=asked.task_format,
            images=None if asked.images is None else user_path(asked.images, "--eval-images"),
            settings=validate(EvaluationSettings, values, "--eval-set"),
            digest="",
        )
        with _options_of_the_loop():
            task = found._read()
            check_fit(base, task, found.settings.model_copy(update={"revision": commit}))
        return dataclasses.replace(found, digest=found._digest(task))

    def evaluate(
        self, model: str, commit: str | None, out: Path, *, stop: threading.Event, tell: Callable[[str], None]
    ) -> None:
        """Evaluates a model, of which `commit` is known if it is on the Hub; results go to the file `out`."""
        from ostensive.run.progress import now_and_then

        settings = self.settings.model_copy(update={"revision": commit})
        with _options_of_the_loop():
            task = self._read()
            if self._digest(task) != self.digest:
                raise SettingsError(f"--task {shown_path(self.path)}: has changed since the command began; put it back")
            try:
                evaluate_task(model, task, settings, out, stop=stop, tell=now_and_then(tell))
            finally:
                gc.collect()  # the next build needs the memory

    def values(self) -> dict[str, Any]:
        """What a person wants to read of it."""
        return {
            "task": str(self.path),
            "format": self.task_format,
            "images": None if self.images is None else str(self.images),
            "settings": self.settings.model_dump(mode="json", exclude={"revision"}),
        }

    def _read(self) -> "Task":
        return read_task(self.task_format, self.path, self.images, self.settings.reading)

    def _digest(self, task: "Task") -> str:
        from ostensive.fingerprint import fingerprint

        items = [dataclasses.asdict(item) for item in task.read.items[: self.settings.limit]]
        return fingerprint([task.name, self.settings.identity(), items])


@contextmanager
def _options_of_the_loop() -> "Iterator[None]":
    """Calls the options of `ostensive student eval` what those of `ostensive loop` are called."""
    try:
        yield
    except SettingsError as error:
        named = re.sub(r"^--(task|images|format)\b", r"--eval-\1", str(error))
        raise SettingsError(re.sub(r"^--(?!eval-|out\b)", "--eval-set ", named)) from error
